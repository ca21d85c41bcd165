"""What pages say of closed months: both figures, when, why, and nothing where nothing changed."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from dashboards import annotations, charts, closed_notice, data, shell
from dashboards import view as states
from serving.closed_months.view import Change
from serving.versions.closes import Close

CLOSE = Close(
    tenant_id="harbor",
    month=date(2025, 12, 1),
    number=1,
    version="v1",
    run_id="run-1",
    # Already the sixth in UTC.
    closed_at=datetime(2026, 1, 6, 3, 0, tzinfo=UTC),
    closed_by="admin@harbor",
    figures=10,
)
LATE = {
    "kind": "late",
    "feed": "remits",
    "file": "file 3f9c2a7b1c.835",
    "entity": "remittance_claim",
    "record_kind": "claim",
    "landed_at": datetime(2026, 1, 9),
    "rows": 1,
    "cause_set": "a",
}


def change(metric, label, before, now, unit="usd", causes=()):
    return Change(close=CLOSE, metric=metric, label=label, unit=unit, closed=before, now=now, causes=tuple(causes))


def late(*records):
    return [{**LATE, "record_id": record, "ordinal": place} for place, record in enumerate(records, 1)]


BILLED = change(
    "billed_amount", "Billed charges", Decimal(1_240_000), Decimal(1_250_000), causes=late("K1", "K2", "K3", "K3")
)
PAID = change("payer_paid_amount", "Paid by payers", Decimal(5), Decimal(6), causes=late("K1"))


def test_a_page_says_when_a_month_was_closed_with_what_what_it_is_now_and_why():
    (line,) = closed_notice.lines("revenue_cycle", [PAID, BILLED], "America/New_York")
    assert line == (
        "December 2025 was closed on 5 Jan 2026 with $1.24\xa0M (billed charges); it is $1.25\xa0M now: "
        "feed remits later brought rows of 3 claims. 1 other figure of this page changed too."
    )
    assert closed_notice.lines("no_show", [PAID, BILLED], "America/New_York") == []
    (part,) = closed_notice.lines("revenue_cycle", [PAID], "America/New_York", in_part=True)
    assert "not only of what is chosen here" in part


def test_a_change_too_small_for_short_figures_is_told_with_all_digits():
    small = change("billed_amount", "Billed charges", Decimal("1240000.10"), Decimal("1240000.20"))
    assert closed_notice.values(small) == ("$1,240,000.10", "$1,240,000.20")


@pytest.mark.parametrize(
    ("causes", "words"),
    [
        ([{"kind": "definition"}], "its definition changed"),
        ([{"kind": "unexplained", "rows": 3}], "nothing that arrived since explains it"),
        ([{"kind": "definition"}, {"kind": "unexplained", "rows": 3}], "its definition changed"),
        (
            [*late("K1"), {"kind": "more", "rows": 312}],
            "feed remits later brought rows of 1 claim; 312 more records changed",
        ),
        ([{**late("K1")[0], "kind": "deleted"}], "feed remits deleted 1 claim"),
        # A person who may not see records still sees their number.
        ([{**cause, "record_id": None} for cause in late("K1", "K2")], "feed remits later brought rows of 2 claims"),
        ([], "nothing that arrived since explains it"),
    ],
)
def test_causes_are_told_in_words(causes, words):
    assert closed_notice.why(causes) == words


def test_closed_months_are_marked_on_the_axis():
    months = [date(2025, 12, 1), date(2026, 1, 1)]
    assert charts.month_names(months, frozenset(months[:1])) == ["Dec ■\n2025", "Jan\n2026"]


class FakeClosed:
    """Closed months without a home."""

    closes = standing = (CLOSE,)
    stamp = "1"

    def __init__(self, *_):
        pass

    def changes(self, close, *, unit=None):
        assert close is CLOSE
        return [BILLED, PAID] if unit is None else []


@pytest.fixture
def with_closes(monkeypatch, reader):
    reader.scope_hash = "c" * 64
    monkeypatch.setattr(data, "ClosedMonths", FakeClosed)


def test_a_page_whose_period_holds_a_restated_month_leads_to_the_closed_months(page, markup_of, with_closes):
    html = markup_of(page("revenue_cycle", period="2025-10-01_2025-12-31"))
    assert "December 2025 was closed on 5 Jan 2026" in html
    assert "page:closed_months?" in html
    assert "was closed on" not in markup_of(page("revenue_cycle", period="2025-10-01_2025-11-30"))
    assert "was closed on" not in markup_of(page("revenue_cycle", period="2025-10-01_2025-12-31", place="bayview"))


def test_who_sees_several_parts_of_the_tree_is_told_of_each(reader, source, monkeypatch):
    monkeypatch.setattr(
        type(source), "tops", property(lambda self: tuple(self.places[name] for name in ("bayview", "behavioral")))
    )
    monkeypatch.setattr(FakeClosed, "changes", lambda self, close, *, unit=None: [BILLED] if unit == "bayview" else [])
    monkeypatch.setattr(data, "ClosedMonths", FakeClosed)
    scope = reader.scope
    scope.unit_ids = ("bayview", "behavioral")
    monkeypatch.setattr(type(reader), "scope", property(lambda self: scope))
    (found,) = source.closed_changes(CLOSE, None)
    assert found.label == f"Billed charges, {source.places['bayview'].name}"
    # Each part has an annotation on the charts. Another stamp: the answers of the first one are kept.
    monkeypatch.setattr(FakeClosed, "stamp", "2")
    monkeypatch.setattr(FakeClosed, "changes", lambda self, close, *, unit=None: [BILLED])
    assert restated_on_charts(source_again(source)) == [
        f"Billed charges, {source.places[name].name} changed after the month was closed"
        for name in ("bayview", "behavioral")
    ]


def source_again(source):
    """The source of another run of a page."""
    return data.Source(source.reader, source.principal)


def restated_on_charts(source, **params):
    view = states.parse(params, source.as_of)
    return [
        mark.sentence for mark in annotations.of_view(source, view, "revenue_cycle", [BILLED.metric], [CLOSE.month])
    ]


def test_a_provider_at_one_place_sees_no_change_of_all_places_as_one_of_it(reader, source, monkeypatch):
    monkeypatch.setattr(data, "ClosedMonths", FakeClosed)
    monkeypatch.setattr(FakeClosed, "changes", lambda self, close, *, unit=None: [BILLED] if unit is None else [])
    scope = reader.scope
    scope.provider_id = "p1"
    monkeypatch.setattr(type(reader), "scope", property(lambda self: scope))
    assert restated_on_charts(source) == ["Billed charges changed after the month was closed"]
    assert restated_on_charts(source, place="bayview") == []
    # The notice names it, and says that it is not only of the place.
    december = states.parse({"period": "2025-12-01_2025-12-31", "place": "bayview"}, source.as_of)
    (sentence,) = shell.changed_closes(source, december, "revenue_cycle")
    assert "not only of what is chosen here" in sentence


def test_the_changes_of_a_close_are_asked_once_for_each_run_of_a_page(source, monkeypatch):
    asked = []
    monkeypatch.setattr(data, "ClosedMonths", FakeClosed)
    monkeypatch.setattr(data.Source, "_cached", lambda self, question, ask: asked.append(question) or ask())
    for _ in range(2):
        assert source.changes_in(date(2025, 11, 1), date(2026, 1, 31), None) == [BILLED, PAID]
        assert source.changes_in(CLOSE.month, CLOSE.month, None) == [BILLED, PAID]
    assert [question for question in asked if question["ask"] == "closed"] == asked[:1]
    assert source.changes_in(date(2025, 12, 2), date(2026, 1, 31), None) == []


def test_the_page_of_closed_months_shows_both_figures_and_what_arrived(page, markup_of, with_closes):
    test = page("closed_months")
    html = markup_of(test)
    assert not test.exception
    assert "December 2025 changed after it was closed" in html
    for text in ("$1,240,000.00", "$1,250,000.00", "file 3f9c2a7b1c.835", "Claim K2", "5 Jan 2026", "admin@harbor"):
        assert text in html, text


def test_without_a_close_there_is_no_such_page_and_no_word_of_it(page, markup_of):
    assert "Closed months" not in markup_of(page("revenue_cycle"))
