"""Annotations on a page: on charts over time, in their tables, in files, and the form that writes them."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from dashboards import annotations, chart_tables, charts, theme
from dashboards import view as states
from serving.annotations import FEED_GAP, UNIT_MOVED, Automatic
from serving.people.annotations import Annotation

# Closed months are read from the served home.
pytestmark = pytest.mark.usefixtures("served")
AUGUST, SEPTEMBER, OCTOBER = (date(2026, month, 1) for month in (8, 9, 10))
MONTHS = [AUGUST, SEPTEMBER, OCTOBER]
FLOOD = Annotation(sentence="Flood", first_day=date(2026, 8, 30), last_day=date(2026, 9, 2), set_by="admin@harbor")
MOVED = Automatic(
    kind=UNIT_MOVED,
    sentence="Bayview moved",
    first_day=SEPTEMBER,
    last_day=SEPTEMBER,
    service_unit_id="bayview",
    above=("harbor", "behavioral", "bayview", "elm"),
)
GAP = Automatic(
    kind=FEED_GAP, sentence="Feed adt stopped", first_day=OCTOBER, last_day=date(2026, 11, 15), pages=("throughput",)
)


def marks(source, page="no_show", metrics=("no_show_rate",), **params):
    view = states.parse(params, source.as_of)
    return annotations.of_view(source, view, page, metrics, MONTHS)


def sentences(source, page="no_show", metrics=("no_show_rate",), **params):
    return [mark.sentence for mark in marks(source, page, metrics, **params)]


def test_an_annotation_is_on_each_month_that_it_touches(source):
    source.reader.annotations.kept = [FLOOD]
    texts = annotations.texts(marks(source), MONTHS)
    assert texts[0] == texts[1] == "◆ 30 Aug 2026 to 2 Sep 2026: Flood (admin@harbor)"
    assert texts[2] == ""


@pytest.mark.parametrize(
    ("changes", "page", "metric", "is_shown"),
    [
        ({}, "no_show", "no_show_rate", True),
        ({"page": "no_show"}, "no_show", "no_show_rate", True),
        ({"page": "no_show"}, "throughput", "no_show_rate", False),
        ({"metric": "no_show_rate"}, "throughput", "no_show_rate", True),
        ({"metric": "no_show_rate"}, "no_show", "late_cancel_rate", False),
        ({"first_day": date(2026, 7, 30), "last_day": date(2026, 7, 31)}, "no_show", "no_show_rate", False),
        ({"first_day": date(2026, 11, 1), "last_day": date(2026, 11, 1)}, "no_show", "no_show_rate", False),
        ({"last_day": date(2026, 12, 24)}, "no_show", "no_show_rate", True),
    ],
)
def test_an_annotation_is_shown_with_its_page_its_figure_and_its_days(source, changes, page, metric, is_shown):
    source.reader.annotations.kept = [replace(FLOOD, **changes)]
    assert sentences(source, page, (metric,)) == ["Flood"] * is_shown


def test_an_annotation_of_a_unit_is_shown_at_the_unit_above_it_and_below_it(source):
    source.reader.annotations.kept = [replace(FLOOD, service_unit_id="behavioral")]
    assert [bool(marks(source, place=place)) for place in ("", "behavioral", "bayview", "elm")] == [
        True,
        True,
        True,
        False,
    ]
    assert marks(source)[0].whose == "Harbor Behavioral, admin@harbor"
    assert marks(source, place="behavioral")[0].whose == "admin@harbor"


def test_gaps_and_moves_are_shown_where_they_concern_the_figures(source):
    source.reader.annotations.moved = (MOVED, GAP)
    assert sentences(source) == ["Bayview moved"]
    assert sentences(source, "throughput") == ["Bayview moved", "Feed adt stopped"]
    assert sentences(source, place="elm") == ["Bayview moved"]
    # With today's units nothing has moved.
    assert (
        annotations.of_view(
            source.telling(True), states.parse({}, source.as_of), "throughput", ("no_show_rate",), MONTHS
        )
        == marks(source, "throughput")[1:]
    )


def test_each_leads_to_what_explains_it(source):
    source.reader.annotations.kept, source.reader.annotations.moved = [FLOOD], (MOVED, GAP)
    html = annotations.listed(marks(source, "throughput"), {"annotations", "data_health"})
    assert "◆ 3 annotations" in html
    for action in ("page:annotations?", "page:data_health?", "view:told=today"):
        assert f'data-do="{action}"' in html
    assert "page:data_health?" not in annotations.listed(marks(source, "throughput"), set())
    assert annotations.listed((), {"annotations"}) == ""


def test_who_reads_no_annotations_gets_none(source):
    source.reader.annotations.kept, source.reader.annotations.moved = [FLOOD], (MOVED,)
    source.reader.annotations.may_read = False
    assert marks(source) == ()
    assert source.annotations == source.automatic_annotations == ()
    assert source.reader.annotations.asked == 0


def test_a_line_has_a_mark_and_the_text_in_the_hover_of_its_month():
    values = [(month, Decimal("0.1")) for month in MONTHS]
    look = theme.tokens("light")
    option = charts.line_over_time(
        look, values, name="No-show rate", unit="percent", chosen=(OCTOBER, OCTOBER), clickable=True
    )
    told = charts.annotated(look, option, ["", "◆ 1 Sep 2026: " + "long words " * 15, ""])
    first = told["series"][0]
    assert first["markLine"]["data"] == [{"xAxis": 1}]
    hovers = [datum[2] for datum in first["data"]]
    assert "◆" not in hovers[0] + hovers[2]
    assert hovers[1].startswith(option["series"][0]["data"][1][2] + "\n◆ 1 Sep 2026: long words")
    assert max(len(line) for line in hovers[1].splitlines()) <= 60
    assert [len(series["data"]) for series in told["series"]] == [len(series["data"]) for series in option["series"]]
    assert charts.annotated(look, option, ["", "", ""]) is option
    # A chart whose parts are all hidden has no marks to write on.
    hidden = charts.stacked_bars(look, ["Aug", "Sep", "Oct"], [], unit="usd")
    assert charts.annotated(look, hidden, ["", "◆ Flood", ""]) is hidden


def test_stacked_bars_have_the_text_on_each_part_of_the_month():
    look = theme.tokens("dark")
    parts = [charts.Part(name, "#123456", (Decimal(1), Decimal(2), None)) for name in ("paid", "open")]
    option = charts.stacked_bars(look, ["Aug", "Sep", "Oct"], parts, unit="usd")
    told = charts.annotated(look, option, ["", "", "◆ Flood"])
    assert [[("◆ Flood" in datum[2]) for datum in series["data"]] for series in told["series"]] == [
        [False, False, True]
    ] * 2


def test_the_table_of_a_chart_has_a_column_of_annotations_where_there_are_any():
    values = [(month, Decimal("0.1")) for month in MONTHS]
    with_them = chart_tables.by_month(values, name="Rate", unit="percent", annotations=["", "◆ one\n◆ <b>two", ""])
    assert "◆ one; ◆ &lt;b&gt;two" in with_them
    assert "Annotations" in with_them
    assert "Annotations" not in chart_tables.by_month(values, name="Rate", unit="percent", annotations=["", "", ""])


def test_charts_of_a_page_show_annotations_and_ask_for_them_once(page, markup_of, reader):
    reader.annotations.kept = [replace(FLOOD, sentence="Flood <script>")]
    html = markup_of(page("no_show"))
    assert "◆ 1 annotation" in html
    assert "Flood &lt;script&gt;" in html
    assert "<script>" not in html
    assert reader.annotations.asked == 1


def written(test, sentence, **values):
    test.text_input[0].set_value(sentence)
    for label, value in values.items():
        {box.label: box for box in [*test.selectbox, *test.date_input]}[label].set_value(value)
    return test.button[0].click().run()


def test_an_annotation_is_written_changed_and_removed_in_the_browser(page, markup_of, reader):
    test = page("annotations")
    assert "No annotations yet" in markup_of(test)
    html = markup_of(written(test, "Flood at Bayview", For="bayview", About="page:no_show"))
    assert "Saved: an annotation of" in html
    assert "<h1>1 annotation</h1>" in html
    (kept,) = reader.annotations.kept
    assert (kept.sentence, kept.service_unit_id, kept.page) == ("Flood at Bayview", "bayview", "no_show")
    assert kept.first_day == kept.last_day == reader.data_as_of
    test = page("annotations")
    test.selectbox(key="cm_annotation").set_value(kept.annotation_id).run()
    assert test.text_input[0].value == "Flood at Bayview"
    written(test, "Flood at Bayview and Elm")
    assert [(item.sentence, item.service_unit_id) for item in reader.annotations.kept] == [
        ("Flood at Bayview and Elm", "bayview")
    ]
    test = page("annotations")
    test.selectbox(key="cm_annotation").set_value(kept.annotation_id).run()
    html = markup_of(test.button[1].click().run())
    assert "is removed" in html
    assert reader.annotations.kept == []


def test_what_is_no_annotation_is_refused_in_a_sentence(page, markup_of, reader):
    test = written(page("annotations"), "patient 10045678")
    html = markup_of(test)
    assert "Not saved" in html
    assert "The sentence has a long number" in html
    assert reader.annotations.kept == []
    # It can be mended and sent; then the form is empty, and a second click writes nothing twice.
    assert test.text_input[0].value == "patient 10045678"
    assert "Saved: an annotation of" in markup_of(written(test, "A patient came late"))
    assert test.text_input[0].value == ""
    assert [item.sentence for item in reader.annotations.kept] == ["A patient came late"]


def test_who_may_not_write_reads(page, markup_of, reader):
    reader.annotations.kept, reader.annotations.may_write = [FLOOD], False
    reader.annotations.moved = (MOVED,)
    test = page("annotations")
    html = markup_of(test)
    assert not test.text_input
    assert "You can read annotations" in html
    assert "1 annotation" in html
    assert "Bayview moved" in html


def test_a_gap_is_named_with_the_pages_that_it_concerns_and_left_out_without_one(page, markup_of, reader):
    reader.annotations.moved = (GAP, replace(GAP, sentence="Feed beds stopped", pages=("credentials",)))
    html = markup_of(page("annotations"))
    assert "Feed adt stopped" in html
    assert "Throughput" in html
    # No page of figures of this tenant rests on it.
    assert "Feed beds stopped" not in html
    assert "All figures" not in html
