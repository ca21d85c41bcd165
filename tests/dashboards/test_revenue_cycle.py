"""Revenue cycle: parts that add up, flows and triangles whose cells are the reader's figures, each section drawn and asked alone."""

import itertools
import re
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import filters
from dashboards import format as fmt
from dashboards import view as states
from dashboards.drawings.columns import Amount, Bin, Marker, histogram, pareto
from dashboards.figures import Figure
from dashboards.pages.revenue_cycle import money, receivables, speed, triangle
from dashboards.pages.revenue_cycle import page as sections_of_page
from serving.model import MetricDefinition, MetricQuery
from tests.dashboards import fake_metrics, fake_reader

D = Decimal
CENTS = st.decimals(min_value=-10_000, max_value=1_000_000, places=4)
BRIDGE = ("contractual_amount", "denial_written_off_amount", "open_balance", "payer_paid_amount", "patient_paid_amount")


def figure(name, value):
    metric = MetricDefinition(
        name=name, label=name, description="", unit="usd", direction="neutral", module="revenue_cycle"
    )
    return Figure(metric=metric, value=value, before=None, against="")


def reached(bars):
    """Where each bar ends; a total begins at zero."""
    ends, at = [], D(0)
    for bar in bars:
        at = bar.part if bar.kind == "total" else at + bar.part
        ends.append(at)
    return ends


@given(st.fixed_dictionaries(dict.fromkeys((*BRIDGE, "other_written_off_amount"), CENTS)), st.booleans())
def test_the_bridge_leads_from_billed_to_collected_to_the_last_digit(amounts, is_old):
    collected = amounts["payer_paid_amount"] + amounts["patient_paid_amount"]
    billed = sum(amounts.values(), D(0))
    loaded = {name: figure(name, value) for name, value in amounts.items()}
    loaded |= {
        "billed_amount": figure("billed_amount", billed),
        "collected_amount": figure("collected_amount", collected),
    }
    if is_old:
        del loaded["other_written_off_amount"]
    bars = money.bridge(loaded)
    names = [bar.label for bar in bars]
    ends = dict(zip(names, reached(bars), strict=True))
    before = names[names.index("Collected") - 1]
    assert ends[before] == ends["Collected"] == ends["By patients"] == collected
    others = [bar for bar in bars if bar.label == "Other write-offs"]
    assert sum((bar.part for bar in others), D(0)) == -amounts["other_written_off_amount"]
    # What no metric counts leads nowhere; every other bar opens the passport of its metric.
    assert {bar.member for bar in bars if not bar.member} == ({""} if is_old and others else set())


def test_a_bridge_with_a_hidden_part_is_not_drawn():
    loaded = {name: figure(name, D(1)) for name in (*BRIDGE, "billed_amount", "collected_amount")}
    loaded["open_balance"] = figure("open_balance", None)
    assert money.bridge(loaded) == []


def test_a_roll_rate_is_a_bucket_over_the_bucket_before_it_a_month_earlier():
    buckets = ["0-30", "31-60", "121+"]
    by_month = {
        date(2026, 7, 1): {"0-30": D(200), "31-60": D(100), "121+": D(50)},
        date(2026, 8, 1): {"0-30": D(300), "31-60": D(80), "121+": D(75)},
        date(2026, 10, 1): {"0-30": D(10)},
    }
    # 80 of 200 moved on; 25 more than before are in the last bucket, of 100. September has no balance, so October has no rate.
    assert receivables.roll_rates(by_month, buckets) == [(date(2026, 8, 1), [D("0.4"), D("0.25")])]


BALANCES = st.dictionaries(st.sampled_from(["0-30", "31-60", "61-90"]), st.decimals(0, 10_000, places=2))


@given(st.lists(BALANCES, min_size=2, max_size=6))
def test_roll_rates_give_the_balances_back(months):
    buckets = ["0-30", "31-60", "61-90"]
    by_month = {date(2026, place + 1, 1): balances for place, balances in enumerate(months)}
    rows = receivables.roll_rates(by_month, buckets)
    assert len(rows) == len(months) - 1
    for month, shares in rows:
        earlier = by_month[month.replace(month=month.month - 1)]
        if shares[0] is not None:
            assert round(shares[0] * earlier["0-30"], 2) == by_month[month].get("31-60", D(0))


def test_a_triangle_adds_up_to_what_came_in_and_ends_where_the_data_end():
    received = {"0": D(100), "1": D(300), "2": D(50), "9": D(7)}
    cells = triangle.cells(date(2026, 7, 1), received, D(1000), date(2026, 9, 15))
    assert [cell.value for cell in cells] == [D("0.1"), D("0.4"), D("0.45"), None, None, None, None]
    assert [cell.is_moving for cell in cells[:3]] == [False, False, True]
    assert "months_after_service=0&months_after_service=1" in cells[1].action
    assert "month=2026-07" in cells[1].action
    assert cells[1].note == "$400.00 of $1,000.00; $300.00 of it in Aug 2026"


def test_a_pareto_ends_at_the_whole_and_its_marks_are_buttons():
    bars = [
        Amount(name=f"<{place}>", amount=D(amount), action=f"figure:x?carc={place}")
        for place, amount in enumerate((60, 30))
    ]
    html = str(pareto(bars, D(100), "usd"))
    assert "<0>" not in html
    assert re.findall(r'height:([0-9.]+)%"', html) == ["60.00", "30.00"]
    assert re.findall(r">([0-9]+) %</em>", html) == ["60", "90"]
    assert html.count("<button") == 2


def test_a_distribution_draws_its_bands_against_the_largest_and_its_markers_across():
    html = str(
        histogram(
            [Bin(name="0", count=10, action="a"), Bin(name="1", count=40), Bin(name="2+", count=0, action="b")],
            [Marker(name="median 1.2 days", place=0.4)],
            "claim",
        )
    )
    assert re.findall(r'height:([0-9.]+)%"', html) == ["25.00", "100.00", "0.00"]
    assert 'left:40.00%"><span>median 1.2 days' in html
    assert "0: 10 claims (20.0" in html
    assert html.count("<button") == 1


@pytest.mark.parametrize("item", [speed.CHARGE_LAG, speed.PAYER_LAG], ids=lambda item: item.dimension)
def test_bands_are_of_equal_width_and_the_last_is_open(item):
    names = speed.band_names(item)
    assert len(names) == item.bands
    starts = [int(name.split()[0]) for name in names]
    assert {later - earlier for earlier, later in itertools.pairwise(starts)} == {item.days_a_band}
    assert names[-1].endswith(" and more")


def _of_denied(column):
    return pl.col(column).filter(pl.col("denied")).sum()


@pytest.fixture
def rich(reader, monkeypatch):
    """The fake reader with the metrics of all sections."""
    rule = fake_metrics.Rule
    more = {
        "collected_amount": ("Collected", "usd", rule(pl.col("paid").sum() + pl.col("patient_paid").sum())),
        "contractual_amount": ("Contractual", "usd", rule(pl.col("adjusted").sum())),
        "denial_written_off_amount": ("Written off for denials", "usd", rule(pl.lit(D(0)))),
        "overturned_billed_amount": ("Billed on overturned denials", "usd", rule(_of_denied("paid"))),
        "denial_overturn_rate": (
            "Denial overturn rate",
            "percent",
            rule(pl.col("denied").sum() * 0, pl.col("denied").sum()),
        ),
        "receivables": ("Receivables", "usd", rule(pl.col("open").sum())),
        "net_billed_amount": (
            "Billed less contractual",
            "usd",
            rule(pl.col("billed").sum() - pl.col("adjusted").sum()),
        ),
        "received_by_service_amount": ("Received", "usd", rule(pl.col("paid").sum() + pl.col("patient_paid").sum())),
        "charge_lines": ("Charge lines", "count", rule(pl.col("done").sum())),
        "charge_lag_days_median": ("Charge lag (median)", "days", rule(pl.col("lead_time_days").sum(), pl.len())),
        "decided_claims": ("Claims decided", "count", rule(pl.col("answered").sum())),
        "payer_lag_days": ("Payer lag", "days", rule(pl.col("lead_time_days").sum(), pl.len())),
        "underpaid_amount": ("Underpaid", "usd", rule(pl.col("open").sum())),
        "takeback_amount": ("Taken back", "usd", rule(pl.col("open").sum())),
    }
    for name, (label, unit, made) in more.items():
        monkeypatch.setitem(fake_metrics.RULES, name, (label, unit, "lower", "revenue_cycle", made))
    monkeypatch.setattr(
        fake_reader,
        "DIMENSIONS",
        (*fake_reader.DIMENSIONS, "carc", "charge_lag_band", "payer_lag_band", "months_after_service"),
    )
    days = pl.col("lead_time_days").cast(pl.Int64)
    reader.visits = reader.visits.with_columns(
        carc=pl.when(pl.col("denied"))
        .then(pl.lit("CO-") + pl.col("denial_category").str.len_chars().cast(pl.String))
        .otherwise(pl.lit("not_denied")),
        denial_category=pl.col("denial_category").fill_null("not_denied"),
        charge_lag_band=pl.when(days > 14).then(pl.lit("15 and more")).otherwise(days.cast(pl.String)),
        payer_lag_band=pl.when(days > 59)
        .then(pl.lit("60 and more"))
        .otherwise((days // 5 * 5).cast(pl.String) + " to " + (days // 5 * 5 + 4).cast(pl.String)),
        months_after_service=(pl.col("hour_of_day") % 4).cast(pl.String),
    )
    reader.scope_hash = "rich".ljust(64, "0")
    return reader


SECTIONS = {
    "money": ("From billed to collected", "How fast a month of service is collected"),
    "denials": ("Few reasons cost most", "What can be won back"),
    "receivables": ("How old the open balance is", "What moves on instead of being paid"),
    "speed": ("Days from service to charge entry", "Right the first time"),
    "payers": ("Payers, and which have drifted", "Who pays below the contract"),
}


@pytest.mark.parametrize("key", SECTIONS)
def test_a_section_is_drawn_where_the_address_names_it_and_no_other(rich, page, markup_of, key):
    test = page("revenue_cycle", section=key)
    html = markup_of(test)
    assert not test.exception
    assert "could not be drawn" not in html
    for title in SECTIONS[key]:
        assert f"<h2>{title}</h2>" in html
    for other in set(SECTIONS) - {key}:
        assert f"<h2>{SECTIONS[other][0]}</h2>" not in html
    assert html.count("cm-tab cm-here") == 1


@pytest.mark.parametrize("key", SECTIONS)
@pytest.mark.parametrize("smallest", [1, 40, 100_000])
@pytest.mark.parametrize(
    "params", [{"place": "bayview"}, {"payer": "medicaid"}, {"period": "2030-01-01_2030-02-01"}], ids=str
)
def test_a_section_stands_any_view_and_few_people(rich, page, markup_of, key, smallest, params):
    rich.smallest_cell = smallest
    test = page("revenue_cycle", section=key, **params)
    assert not test.exception
    assert "could not be drawn" not in markup_of(test)


def test_the_figures_of_the_sections_are_those_of_their_passports(rich, page, markup_of):
    units = {metric.name: metric.unit for metric in rich.metrics()}
    checked = 0
    for key in SECTIONS:
        # Cells of a triangle and of flows are shares of two figures: their passports have the money.
        html = re.sub(
            r'<table class="cm-heat">.*?</table>', "", markup_of(page("revenue_cycle", section=key)), flags=re.S
        )
        for action, text in re.findall(r'class="cm-open" data-do="figure:([^"]+)">([^<]+)<', html):
            if "_band=" in action:
                # The name of a band may be a number; it is no figure.
                continue
            name, _, at = action.replace("&amp;", "&").partition("?")
            view = states.moved_by(states.parse({}, rich.data_as_of), at)
            asked = MetricQuery(
                metrics=[name], where=filters.chosen(view), date_from=view.period.start, date_to=view.period.end
            )
            value = rich.query(asked)[name][0]
            if re.fullmatch(r"-?[$]?[0-9.,]+(\u00a0[A-Za-z%]+)?", text):
                assert text in (fmt.short(value, units[name]), fmt.exact(value, units[name])), (key, action)
                checked += 1
    assert checked > 40


def test_a_pareto_of_denials_is_of_all_denied_money_where_some_reasons_are_hidden(rich, page, markup_of):
    def shares():
        html = markup_of(page("revenue_cycle", section="denials", period="last_month"))
        return re.findall(r">([0-9]+) %</em>", html)

    every = shares()
    assert every[-1] == "100"
    rich.smallest_cell = 3
    rich.scope_hash = "some".ljust(64, "0")
    some = shares()
    assert 0 < len(some) < len(every)
    assert some == every[: len(some)]


def test_a_page_move_asks_for_the_first_section_alone(rich, page):
    page("revenue_cycle")
    first = rich.asked
    asked_by = {}
    for key in SECTIONS:
        rich.asked = 0
        rich.scope_hash = key.ljust(64, "0")
        page("revenue_cycle", section=key)
        asked_by[key] = rich.asked
    assert first <= 20
    assert max(asked_by.values()) <= 36


def test_sections_that_nobody_granted_have_no_tab(page, markup_of):
    html = markup_of(page("revenue_cycle"))
    tabs = re.findall(r'class="cm-tab[^>]*>([^<]+)<', html)
    assert tabs == ["Billed to collected", "Denials", "Receivables", "Payers"]
    assert {section.key for section in sections_of_page.SECTIONS} == set(SECTIONS)
