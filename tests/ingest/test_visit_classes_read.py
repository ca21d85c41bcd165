"""What readers say of a visit through several classes, and of times of which only the day is known."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ingest.fhir_reading import Result, lines
from tests.ingest.fhir_reading import read as read_fhir
from tests.ingest.test_hl7v2 import read
from tests.ingest.test_hl7v2_parts import adt, put_together, utc

CODES = {"EMER": "E", "IMP": "I", "OBSENC": "OBS", "AMB": "O"}
BEGINNING = datetime(2026, 3, 10, 12)
Changes = list[tuple[datetime, str]]


def local(moment: datetime) -> str:
    """The wall clock in New York, in summer time."""
    return (moment - timedelta(hours=4)).strftime("%Y%m%d%H%M%S")


@st.composite
def changes(draw: Any) -> Changes:
    hours = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=5)))
    kinds = [draw(st.sampled_from(sorted(CODES))) for _ in hours]
    return [(BEGINNING + timedelta(hours=hour), kind) for hour, kind in zip(hours, kinds, strict=True)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reported=changes(), order=st.randoms(use_true_random=False))
def test_messages_in_any_order_tell_the_same_changes_of_class(
    tmp_path: Path, reported: Changes, order: random.Random
) -> None:
    start = local(reported[0][0])
    messages = []
    for number, (moment, kind) in enumerate(reported):
        event = "A04" if number == 0 else "A07" if kind == "AMB" else "A06"
        messages.append(adt(event, local(moment), None, {2: CODES[kind], 3: "W", 44: start}))
    order.shuffle(messages)
    rows = read(tmp_path, "".join(messages)).rows["encounter_event"]
    result = [(at.replace(tzinfo=None), kind) for at, kind in rows.select("occurred_at", "encounter_class").iter_rows()]
    assert sorted(pair for pair in result if pair[1] != "UNK") == reported
    # An A06 says that there was another class before.
    assert {pair for pair in result if pair[1] == "UNK"} <= {(reported[0][0], "UNK")}
    assert put_together(tmp_path, *messages).rows("encounter", "encounter_class", "started_at") == [
        (reported[-1][1], reported[0][0])
    ]


def read_resources(folder: Path, *resources: dict[str, Any]) -> Result:
    return read_fhir(lines(folder, *resources))


def encounter(**more: Any) -> dict[str, Any]:
    """A finished stay in New York from eight in the morning to ten on the next day."""
    return {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"code": "IMP"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2026-03-10T08:00:00-04:00", "end": "2026-03-11T10:00:00-04:00"},
        **more,
    }


def span(kind: str, start: str, end: str | None = None) -> dict[str, Any]:
    period = {"start": f"2026-03-10T{start}:00-04:00"} | ({"end": f"2026-03-10T{end}:00-04:00"} if end else {})
    return {"class": {"code": kind}, "period": period}


@pytest.mark.parametrize(
    "history",
    [
        [span("EMER", "08:00", "14:00"), span("IMP", "14:00")],
        # The history of an encounter need not hold its present class.
        [span("EMER", "08:00", "14:00")],
    ],
)
def test_a_class_history_gives_the_changes_of_class(tmp_path: Path, history: list[dict[str, Any]]) -> None:
    rows = read_resources(tmp_path, encounter(classHistory=history)).good["encounter_event"]
    assert rows.select("event_type", "encounter_class", "occurred_at").rows() == [
        ("class_change", "EMER", datetime(2026, 3, 10, 12, tzinfo=UTC)),
        ("class_change", "IMP", datetime(2026, 3, 10, 18, tzinfo=UTC)),
    ]


def test_a_part_of_an_encounter_names_the_whole(tmp_path: Path) -> None:
    result = read_resources(tmp_path, encounter(), encounter(id="e2", partOf={"reference": "Encounter/e1"}))
    assert result.good["encounter"].select("encounter_id", "part_of_encounter_id").rows() == [
        ("e1", None),
        ("e2", "e1"),
    ]


def test_a_period_of_days_is_known_to_the_day(tmp_path: Path) -> None:
    days = encounter(id="e2", period={"start": "2026-03-10", "end": "2026-03-12"})
    row = read_resources(tmp_path, encounter(), days).row("encounter", 1)
    assert (row["started_precision"], row["ended_precision"]) == ("day", "day")
    assert (row["started_at"], row["ended_at"]) == (
        datetime(2026, 3, 10, 16, tzinfo=UTC),
        datetime(2026, 3, 12, 16, tzinfo=UTC),
    )


def test_a_day_is_not_before_a_time_on_it(tmp_path: Path) -> None:
    late = encounter(period={"start": "2026-03-10T22:10:00-04:00", "end": "2026-03-10"})
    row = read_resources(tmp_path, late).row("encounter")
    assert (row["started_at"], row["ended_at"]) == (datetime(2026, 3, 11, 2, 10, tzinfo=UTC),) * 2
    assert (row["started_precision"], row["ended_precision"]) == (None, "day")


PRECISE = ("started_at", "started_precision", "ended_at", "ended_precision")


def test_the_event_says_the_time_on_the_day_that_pv1_names(tmp_path: Path) -> None:
    arrival = adt("A04", "20260310221000", None, {2: "E", 44: "20260310"})
    departure = adt("A03", "20260310234000", None, {2: "E", 44: "20260310", 45: "20260310"})
    for files in ((arrival, departure), (departure, arrival)):
        made = put_together(tmp_path, *files)
        assert made.rows("encounter", *PRECISE) == [
            (utc(2026, 3, 11, 2, 10), "minute", utc(2026, 3, 11, 3, 40), "minute"),
        ]


def test_a_day_of_which_nobody_tells_the_time_stays_a_day(tmp_path: Path) -> None:
    made = put_together(tmp_path, adt("A08", "20260312080000", None, {2: "I", 44: "20260310", 45: "20260311"}))
    assert made.rows("encounter", *PRECISE) == [(utc(2026, 3, 10, 16), "day", utc(2026, 3, 11, 16), "day")]


def test_another_day_told_later_wins_over_an_earlier_time(tmp_path: Path) -> None:
    made = put_together(
        tmp_path,
        adt("A01", "20260310080000", None, {44: "20260310074500"}),
        adt("A08", "20260312080000", None, {44: "20260309"}),
    )
    assert made.rows("encounter", "started_at", "started_precision") == [(utc(2026, 3, 9, 16), "day")]


def test_a_day_is_one_of_the_feeds_zone_whatever_offset_its_message_has(tmp_path: Path) -> None:
    message = adt("A08", "20260312080000", None, {2: "I", 44: "20260310"}, sent="20260312050000+0900")
    row = read(tmp_path, message).rows["encounter"].row(0, named=True)
    assert (row["started_at"], row["started_precision"]) == (datetime(2026, 3, 10, 16, tzinfo=UTC), "day")


def test_an_update_is_no_change_of_class(tmp_path: Path) -> None:
    update = adt("A08", "20260310080000", None, {2: "E", 44: "20260310074500"})
    assert "encounter_event" not in read(tmp_path, update).rows
