"""What pages say of feeds that stopped, and the strips of Data health."""

import re
from datetime import date, timedelta

import polars as pl
import pytest

from dashboards import incomplete_notice
from dashboards.pages.data_health import coverage

TODAY = date(2026, 11, 18)
STOPPED = {
    "feed": "adt",
    "kind": "stopped",
    "since": date(2026, 11, 6),
    "newest_day": date(2026, 11, 5),
    "message": "Feed adt stopped.",
    "entities": ["encounter", "bed_movement"],
}
RHYTHM = {"feed": "adt", "rhythm": "daily", "period_days": None, "usual_rows": 40, "newest_day": date(2026, 11, 5)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, "Feed adt stopped: visits and stays from 6 Nov 2026 on are missing in these figures."),
        ({"kind": "short"}, "Feed adt brings much less than it should: visits and stays from 6 Nov 2026 on are too few in these figures."),
        ({"kind": "unreadable", "since": None}, "Feed adt could not be read: visits and stays stand as they were when it last could."),
    ],
)  # fmt: skip
def test_each_kind_of_alert_has_its_sentence(change, said):
    assert incomplete_notice.lines("throughput", [STOPPED | change], TODAY) == [said]
    assert incomplete_notice.lines("revenue_cycle", [STOPPED | change], TODAY) == []


def test_a_period_that_ended_before_the_feed_stopped_is_not_called_incomplete():
    (line,) = incomplete_notice.lines("throughput", [STOPPED], date(2026, 9, 30))
    assert line == (
        "Feed adt stopped: visits and stays from 6 Nov 2026 on are missing in later figures; this period ends before that."
    )
    (line,) = incomplete_notice.lines("throughput", [STOPPED], date(2026, 11, 6))
    assert line.endswith("missing in these figures.")


def test_a_feed_that_never_brought_anything_takes_nothing_from_a_page():
    assert incomplete_notice.lines("overview", [STOPPED | {"entities": None}], TODAY) == []


def test_more_than_three_kinds_of_rows_are_not_listed_one_by_one():
    entities = ["claim", "charge", "remittance", "patient_payment", "encounter"]
    (line,) = incomplete_notice.lines("overview", [STOPPED | {"entities": entities}], TODAY)
    assert line.startswith("Feed adt stopped: payments, patient payments and more from")


def test_text_of_a_feed_is_escaped():
    html = incomplete_notice.banner(
        incomplete_notice.lines("throughput", [STOPPED | {"feed": "<b>"}], TODAY), "page:x?"
    )
    assert "<b>" not in html
    assert "<b>" not in coverage.strip([], [date(2026, 11, 1)], '"><b>')


def test_headlines_name_one_feed_or_count_several():
    assert coverage.finding([]) == ""
    assert coverage.finding([STOPPED]) == "Feed adt stopped on 6 Nov 2026; visits since then are missing"
    two = coverage.finding([STOPPED, STOPPED | {"since": date(2026, 11, 2)}])
    assert two == "2 feeds need attention; figures from 2 Nov 2026 on are incomplete"


def day(number, received, status="as_expected", expected=40):
    return {"feed": "adt", "day": date(2026, 11, 1) + timedelta(days=number), "expected": expected, "low": 30, "high": 50,
            "received": received, "status": status}  # fmt: skip


def test_bars_stand_over_the_band_and_a_backfill_does_not_flatten_them():
    frame = pl.DataFrame([day(0, 40), day(1, 9000, "above"), day(2, 0, "missing")])
    html = coverage.strips(frame, pl.DataFrame([RHYTHM]), [STOPPED])
    heights = {kind: float(height) for kind, height in re.findall(r'class="(\w+)"[^/]*height="([\d.]+)"', html)}
    assert heights["above"] == coverage.HEIGHT - 2
    assert heights["as_expected"] == pytest.approx(40 / 50 * (coverage.HEIGHT - 2), abs=0.1)
    assert heights["missing"] == coverage.HEIGHT
    assert html.count('class="band"') == 2
    assert "Tue 3 Nov 2026: 0 of about 40 rows, missing" in html
    assert "Stopped on 6 Nov 2026" in html
    assert "about 40 rows a day" in html


def test_what_has_no_rhythm_is_told_so():
    unknown = RHYTHM | {"rhythm": "unknown", "usual_rows": None}
    frame = pl.DataFrame([day(0, 40, "not_yet_known") | {"expected": None, "low": None, "high": None}])
    html = coverage.strips(frame, pl.DataFrame([unknown]), [])
    assert "Not judged: too few days to learn from" in html
    assert "no rhythm known yet" in html
    assert 'class="band"' not in html
    assert "Nothing to show yet" in coverage.strips(frame.clear(), pl.DataFrame([unknown]), [])
