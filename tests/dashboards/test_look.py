"""Tokens, charts and markup: contrast, fixed colours, honest axes, escaped text."""

import json
import re
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from dashboards import charts, figures, markup, theme
from dashboards import format as fmt
from serving.model import MetricDefinition

METRIC = MetricDefinition(
    name="no_show_rate",
    label="No-show rate",
    description="Missed out of expected.",
    unit="percent",
    direction="lower",
    module="no_show",
    numerator="Missed appointments",
    denominator="Expected appointments",
    exclusions="Walk-ins",
    source="definition of this project",
)
MONTHS = [date(2026, month, 1) for month in range(1, 10)]
TREND = [(month, 0.1 + index / 100) for index, month in enumerate(MONTHS)]
CHOSEN = (date(2026, 7, 1), date(2026, 9, 30))


def luminance(colour: str) -> float:
    parts = [int(colour[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("look", [theme.LIGHT, theme.DARK], ids=lambda look: look.name)
@pytest.mark.parametrize("token", ["ink", "soft", "faint", "accent", "good", "bad"])
def test_text_is_readable_on_both_grounds(look, token):
    assert contrast(getattr(look, token), look.ground) >= 4.5
    assert contrast(getattr(look, token), look.shade) >= 4.3


@pytest.mark.parametrize("look", [theme.LIGHT, theme.DARK], ids=lambda look: look.name)
def test_each_payer_class_has_a_colour_of_its_own(look):
    colours = [theme.payer_colour(name, look) for name in theme.PAYER_CLASSES]
    assert len(set(colours)) == len(theme.PAYER_CLASSES)
    assert theme.payer_colour("never seen", look) == theme.payer_colour("unmapped", look)


def test_streamlit_knows_every_option_we_set():
    from streamlit import config

    assert set(theme.streamlit_options()) <= set(config._config_options_template)


def test_the_style_sheet_uses_only_tokens_that_exist():
    for name in ("pages.css", "signin.css"):
        used = set(re.findall(r"var\((--cm-[a-z-]+)\)", (theme.ASSETS / name).read_text()))
        assert used - {"--cm-count"} <= set(re.findall(r"(--cm-[a-z-]+):", theme.variables(theme.LIGHT)))


def options():
    parts = [charts.Part("Paid", "#111111", (Decimal(60), None)), charts.Part("Open", "#222222", (Decimal(40), None))]
    ranks = [charts.Rank("North", 0.2), charts.Rank("South", 0.1)]
    yield charts.line_over_time(theme.LIGHT, TREND, name="Rate", unit="percent", chosen=CHOSEN, earlier=[0.1] * 9)
    yield charts.stacked_bars(theme.LIGHT, ["Jan", "Feb"], parts, unit="usd")
    yield charts.ranked_bars(theme.LIGHT, ranks, unit="percent", clickable=True)
    yield charts.heat_map(theme.LIGHT, {(0, 8): 0.1, (4, 17): 0.3}, name="Rate", unit="percent")


@pytest.mark.parametrize("option", list(options()), ids=["line", "stacked", "ranked", "heat"])
def test_charts_start_at_zero_have_one_value_axis_and_are_plain_json(option):
    json.dumps(option)
    axes = [axis for axis in (option["xAxis"], option["yAxis"]) if axis["type"] == "value"]
    assert len(axes) <= 1
    for axis in axes:
        assert axis["min"] == 0
        assert axis["axisLabel"]["formatter"] != "{value}"
    assert {series["type"] for series in option["series"]} <= {"line", "bar", "heatmap"}


def test_a_month_without_anything_is_a_gap_not_a_zero():
    parts = [charts.Part("Paid", "#111111", (Decimal(60), None)), charts.Part("Open", "#222222", (Decimal(40), None))]
    option = charts.stacked_bars(theme.LIGHT, ["Jan", "Feb"], parts, unit="usd")
    assert [series["data"][0][1] for series in option["series"]] == [60, 40]
    assert [series["data"][1][1] for series in option["series"]] == [None, None]


def test_hovers_carry_the_exact_value():
    parts = [charts.Part("Paid", "#111111", (Decimal("1234567.89"),))]
    option = charts.stacked_bars(theme.LIGHT, ["Jan"], parts, unit="usd")
    assert "$1,234,567.89" in option["series"][0]["data"][0][2]


def _texts(value):
    """Every text of a chart's data, its hovers among them."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in _texts(item)]
    if isinstance(value, list | tuple):
        return [text for item in value for text in _texts(item)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("option", list(options()), ids=["line", "stacked", "ranked", "heat"])
def test_hovers_are_text_and_not_html(option):
    texts = _texts([series["data"] for series in option["series"]])
    assert any("\n" in text for text in texts)
    assert not any("<" in text for text in texts)
    assert "pre-line" in option["tooltip"]["extraCssText"]


def test_the_hover_of_a_line_gives_both_exact_values():
    months = [(month, Decimal("28430.45")) for month in MONTHS]
    option = charts.line_over_time(
        theme.LIGHT,
        months,
        name="Billed",
        unit="usd",
        chosen=CHOSEN,
        earlier=[Decimal("19999.99")] * 9,
        earlier_name="A year before",
    )
    expected = "Sep 2026\nBilled: $28,430.45\nA year before: $19,999.99"
    named = [series for series in option["series"] if series.get("name")]
    assert [series["data"][-1][2] for series in named] == [expected, expected]


def test_an_even_heat_map_is_pale_and_its_hovers_count():
    cells = dict.fromkeys([(0, 8), (4, 17)], Decimal(0))
    option = charts.heat_map(
        theme.LIGHT, cells, name="Rate", unit="percent", counts={(0, 8): 12, (4, 17): 5}, counted="Expected"
    )
    scale = option["visualMap"]
    assert all(item[2] == scale["min"] < scale["max"] for item in option["series"][0]["data"])
    assert option["series"][0]["data"][0][3].endswith("Expected: 12")
    near = charts.heat_map(theme.LIGHT, {(0, 8): 0.060, (4, 17): 0.062}, name="Rate", unit="percent")
    shades = [item[2] for item in near["series"][0]["data"]]
    spread = near["visualMap"]["max"] - near["visualMap"]["min"]
    assert (max(shades) - min(shades)) / spread < 0.1


def test_a_month_that_will_still_move_is_drawn_hollow():
    option = charts.line_over_time(
        theme.LIGHT, TREND, name="Rate", unit="percent", chosen=CHOSEN, hollow=frozenset({date(2026, 9, 1)})
    )
    data = option["series"][0]["data"]
    assert data[-1]["itemStyle"]["color"] == theme.LIGHT.ground
    assert not isinstance(data[-2], dict)
    settled, moving = option["series"][1:3]
    assert (settled["lineStyle"]["color"], settled["data"][-1][0]) == (theme.LIGHT.accent, 7)
    assert (moving["lineStyle"]["type"], [place for place, _ in moving["data"]]) == ("dotted", [7, 8])


def test_control_limits_are_a_band_and_a_month_outside_them_is_ringed():
    option = charts.line_over_time(
        theme.LIGHT, TREND, name="Rate", unit="percent", chosen=CHOSEN, usual=(0.0, float(TREND[-1][1]) - 0.001)
    )
    band = option["series"][0]["markArea"]["data"][-1]
    assert (band[0]["yAxis"], band[1]["yAxis"]) == (0.0, pytest.approx(float(TREND[-1][1]) * 100 - 0.1))
    assert option["series"][0]["data"][-1]["itemStyle"]["borderColor"] == theme.LIGHT.ink
    assert "Usual range: 0.0" in option["series"][0]["data"][-1]["value"][2]
    wide = charts.line_over_time(theme.LIGHT, TREND, name="Rate", unit="percent", chosen=CHOSEN, usual=(0.0, 0.43))
    assert wide["yAxis"]["max"] >= 43


EXPECTED = figures.Base(
    replace(METRIC, name="expected_appointments", label="Expected appointments", unit="count"), 8000, 7900
)


def figure(**changes):
    return replace(
        figures.Figure(metric=METRIC, value=0.145, before=0.124, against="Q2 2026", trend=tuple(TREND), base=EXPECTED),
        **changes,
    )


def test_a_tile_has_name_value_unit_change_trend_and_definition():
    html = markup.tile(figure())
    for text in ("No-show rate", "<b>14.5</b><span>%</span>", "+2.1 points, worse than Q2 2026", "cm-bad", "<polyline"):
        assert text in html
    assert "1,160 of 8,000 expected appointments" in html
    for text in ("Missed appointments", "Expected appointments", "Walk-ins", "definition of this project"):
        assert text in html


def test_a_figure_that_cannot_be_trusted_is_grey_and_says_why():
    html = markup.tile(figure(caution="Incomplete: data reach 14 Nov 2026"))
    assert "cm-none" in html
    assert "cm-bad" not in html
    assert "Incomplete: data reach 14 Nov 2026" in html
    assert f"<b>{fmt.DASH}</b>" in markup.tile(figure(problem="Not split by payer class"))


HOSTILE = "<img src=x onerror=alert(1)>\"'"


def test_names_from_feeds_are_escaped_everywhere():
    column = markup.Column(HOSTILE)
    pieces = [
        markup.tile(figure(metric=replace(METRIC, label=HOSTILE, description=HOSTILE))),
        markup.table([column, column], [markup.Row((HOSTILE, HOSTILE), action=HOSTILE)]),
        markup.breadcrumb([(HOSTILE, HOSTILE), (HOSTILE, "")]),
        markup.heading(HOSTILE, [HOSTILE]),
        markup.section(HOSTILE, HOSTILE),
        markup.state(HOSTILE, HOSTILE, link=(HOSTILE, HOSTILE)),
        markup.chips([(HOSTILE, HOSTILE, HOSTILE)]),
        markup.notice([HOSTILE], link=(HOSTILE, HOSTILE)),
        markup.alerts([(HOSTILE, HOSTILE)]),
        markup.terms([(HOSTILE, HOSTILE)]),
        markup.folded(HOSTILE, markup.EMPTY),
    ]
    for piece in pieces:
        assert "<img" not in piece
        assert "onerror" in piece


def test_a_table_without_rows_says_what_to_do():
    assert "Choose another period or place" in markup.table([markup.Column("Unit")], [])


def test_a_sparkline_is_dotted_across_gaps_and_to_what_still_moves_and_ends_at_its_line():
    drawn = markup.sparkline([1, 2, None, 3, 4], [False, False, False, False, True])
    assert (drawn.count('class="cm-drawn"'), drawn.count('class="cm-dotted"')) == (1, 1)
    assert "cm-spark-end cm-moving" in drawn
    # The last of 160 units lies 2 from the left edge of a box of 166.
    assert f"left:{162 / 166 * 100:.1f}%" in drawn
    lonely = markup.sparkline([1, None, None, 4, None])
    assert 'points="0.0,32.0 120.0,4.0"' in lonely
    assert f"left:{122 / 166 * 100:.1f}%" in lonely
    assert "<polyline" not in markup.sparkline([None, 1, None])
