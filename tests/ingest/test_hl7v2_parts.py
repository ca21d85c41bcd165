"""What messages of one visit, appointment or patient come to when they are put together: by event time, field by field."""

import random
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import Contract, contract
from foundation.config import Feed
from ingest.landing.contract_gate import check
from ingest.load.appointment_numbers import meet_numbers
from ingest.load.partial_rows import ENTITIES, landing_contract, prepare, take_parts, waiting_notices
from ingest.sources import source_for

FEEDS = {("t", "adt")}
LINEAGE = ("source_position", "batch_id", "batch_sequence")


def msh(kind: str, sent: str, control: str) -> str:
    return f"MSH|^~\\&|ADT|HARBOR|CM|HARBOR|{sent}||{kind}|{control}|P|2.5.1"


def segment(name: str, fields: dict[int, str]) -> str:
    return "|".join([name, *(fields.get(index, "") for index in range(1, max(fields) + 1))])


def adt(event: str, at: str, pid: dict[int, str] | None = None, pv1: dict[int, str] | None = None, **evn: str) -> str:
    parts = [msh(f"ADT^{event}", evn.get("sent", at), f"{event}{at}"), f"EVN|{event}|{at}||||{evn.get('occurred', '')}"]
    parts.append(segment("PID", {3: "MRN1^^^H^MR"} | (pid or {})))
    return "\r".join([*parts, segment("PV1", {2: "I", 19: "V1"} | (pv1 or {}))]) + "\r"


def siu(event: str, at: str, sch: dict[int, str] | None = None, *more: str) -> str:
    return "\r".join([msh(f"SIU^{event}", at, f"{event}{at}"), segment("SCH", {2: "F1"} | (sch or {})), *more]) + "\r"


class Warehouse:
    """Raw tables and parts in memory; takes batches as the load does, without landing."""

    def __init__(self) -> None:
        self.connection = duckdb.connect()
        self.connection.execute("attach ':memory:' as warehouse; create schema warehouse.raw")
        for entity in ENTITIES:
            columns = ", ".join(f"{column.name} {column.duckdb_type}" for column in contract(entity).columns)
            self.connection.execute(f"create table warehouse.raw.{entity} ({columns}, batch_sequence bigint)")
        prepare(self.connection, FEEDS)
        self.batches = 0

    def take(self, folder: Path, files: Sequence[str], *, again: bool = False) -> None:
        """One batch of some files."""
        self.batches += not again
        frames: dict[str, list[pl.DataFrame]] = {}
        feed = Feed(tenant_id="t", name="adt", kind="hl7v2", path=str(folder / "f.hl7"), time_zone="America/New_York")
        for text in files:
            (folder / "f.hl7").write_text(text, newline="")
            (unit,) = source_for("hl7v2").discover(feed)
            for chunk in source_for("hl7v2").read(unit):
                for entity, frame in chunk.rows.items():
                    frames.setdefault(entity, []).append(frame)
        for entity in ENTITIES:
            if entity not in frames:
                continue
            entity_contract = landing_contract("hl7v2", entity)
            gated = check(entity_contract, pl.concat(frames[entity]))
            assert gated.bad.height == 0, gated.bad
            added = {"tenant_id": "t", "source_system": "adt", "batch_id": f"b{self.batches}"}
            rows = gated.good.with_columns(pl.lit(text).alias(name) for name, text in added.items())
            rows = rows.select(entity_contract.column_names).with_columns(
                pl.lit(self.batches, pl.Int64).alias("batch_sequence")
            )
            self.connection.register("landed", rows.with_row_index("file_row_number"))
            times = ", ".join(
                f"{c.name}::timestamp as {c.name}" for c in entity_contract.columns if c.logical_type == "timestamp"
            )
            self.connection.execute(f"create or replace temp table arrived as select * replace ({times}) from landed")
            if entity == "appointment":
                meet_numbers(self.connection, "arrived")
            self.note_issuers(contract(entity))
            take_parts(self.connection, contract(entity), "arrived")

    def note_issuers(self, entity_contract: Contract) -> None:
        """What the load does with the table `arrived` before its rows are taken."""

    def rows(self, entity: str, *columns: str) -> list[tuple[object, ...]]:
        names = ", ".join(columns) or f"* exclude ({', '.join(LINEAGE)})"
        return self.connection.execute(f"select {names} from warehouse.raw.{entity} order by all").fetchall()

    def everything(self) -> dict[str, list[tuple[object, ...]]]:
        return {entity: self.rows(entity) for entity in ENTITIES}

    def waiting(self) -> list[tuple[object, ...]]:
        return waiting_notices(self.connection).select("feed", "reason", "rows").rows()


def put_together(folder: Path, *files: str) -> Warehouse:
    """Every message in a separate file, in this order, as one batch."""
    made = Warehouse()
    made.take(folder, files)
    return made


def utc(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]


HISTORY = [
    adt("A05", "20260308080000", {5: "DOE^JANE"}, {2: "P", 3: "PRE"}),
    adt("A01", "20260309120000", {7: "19800215", 8: "F"}, {3: "ICU^1", 7: "D1^GRAY^ANNA", 44: "20260309113000"}),
    adt("A08", "20260309130000", {11: "1 MAIN^^T^NY^12345"}, {7: "D1", 14: "7"}),
    adt("A02", "20260310080000", None, {3: "MED^2", 6: "ICU^1"}),
    adt("A03", "20260312100000", None, {3: "MED^2", 36: "01"}),
    adt("A13", "20260312110000", None, {3: "MED^2"}),
    adt("A08", "20260312120000", {8: '""', 15: "spa"}, {14: '""'}),
    adt("A03", "20260313100000", None, {36: "06", 45: "20260313094500"}),
    siu("S12", "20260301090000", {8: "OFFICE", 9: "30", 10: "MIN", 11: "^^^20260325140000"}, "AIL|1||CARD^4"),
    siu("S13", "20260305090000", {11: "^^^20260326150000"}, "AIP|1||D2^LEE^SAM"),
    siu("S14", "20260306090000", {9: "45", 10: "MIN"}, "IN1|1|P1^Plan|ACME|Acme Health|||||||||20260101"),
    siu("S15", "20260307090000", {6: "PATIENT"}),
    siu("S13", "20260308090000", {11: "^^^20260327150000"}, "IN1|1|P1|ACME"),
    siu("S26", "20260327160000"),
]


def test_a_stay_from_admission_to_discharge_message_by_message(tmp_path: Path) -> None:
    made, seen = Warehouse(), []
    for text in HISTORY[1:8]:
        made.take(tmp_path, [text])
        seen += made.rows(
            "encounter", "status", "service_unit_id", "admission_source", "discharge_disposition", "ended_at"
        )
    assert seen == [
        ("in_progress", "ICU", None, None, None),
        ("in_progress", "ICU", "7", None, None),
        ("in_progress", "MED", "7", None, None),
        ("finished", "MED", "7", "01", utc(2026, 3, 12, 14)),
        ("in_progress", "MED", "7", None, None),
        ("in_progress", "MED", None, None, None),
        ("finished", "MED", None, "06", utc(2026, 3, 13, 13, 45)),
    ]
    assert made.rows("encounter", "started_at", "provider_id") == [(utc(2026, 3, 9, 15, 30), "D1")]
    assert made.rows("patient", "birth_year", "sex", "zip3", "language") == [(1980, None, "123", "es")], (
        "an HL7 null deletes"
    )
    assert made.rows("provider", "provider_id", "display_name") == [("D1", "ANNA GRAY")]


def test_an_appointment_from_booking_to_no_show_message_by_message(tmp_path: Path) -> None:
    made, seen = Warehouse(), []
    columns = ("status", "cancel_initiator", "scheduled_start_at", "scheduled_end_at", "cancelled_at")
    for text in HISTORY[8:]:
        made.take(tmp_path, [text])
        seen += made.rows("appointment", *columns)
    first, moved, again = utc(2026, 3, 25, 18), utc(2026, 3, 26, 19), utc(2026, 3, 27, 19)
    assert seen == [
        ("scheduled", None, first, utc(2026, 3, 25, 18, 30), None),
        ("scheduled", None, moved, utc(2026, 3, 26, 19, 30), None),
        ("scheduled", None, moved, utc(2026, 3, 26, 19, 45), None),
        ("cancelled", "patient", moved, utc(2026, 3, 26, 19, 45), utc(2026, 3, 7, 14)),
        ("scheduled", None, again, utc(2026, 3, 27, 19, 45), None),
        ("no_show", "unknown", again, utc(2026, 3, 27, 19, 45), utc(2026, 3, 27, 20)),
    ]
    others = ("service_unit_id", "provider_id", "visit_type_id", "booked_at", "cancel_reason_code")
    assert made.rows("appointment", *others) == [("CARD", "D2", "OFFICE", utc(2026, 3, 1, 14), None)]
    assert made.rows("payer", "name", "payer_class") == [("Acme Health", "unmapped")], "a later message names it not"


EXPECTED: dict[str, list[tuple[object, ...]]] = {}


def in_order(folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """The rows of the whole history in one file, in its order."""
    if not EXPECTED:
        EXPECTED.update(put_together(folder, "".join(HISTORY)).everything())
    return EXPECTED


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.lists(st.integers(1, 6), min_size=1, max_size=8), st.booleans())
def test_any_order_and_any_split_of_a_history_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random, sizes: list[int], twice: bool
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    expected = in_order(folder)
    shuffled = chance.sample(HISTORY, len(HISTORY))
    made = Warehouse()
    while shuffled:
        size = sizes[made.batches % len(sizes)]
        batch, shuffled = shuffled[:size], shuffled[size:]
        cut = chance.randint(0, len(batch))
        files = [text for text in ("".join(batch[:cut]), "".join(batch[cut:])) if text]
        made.take(folder, files)
        if twice:
            made.take(folder, files, again=True)
    assert made.everything() == expected


def test_the_parts_kept_are_bounded_however_many_messages_come(tmp_path: Path) -> None:
    made = Warehouse()
    for minute in range(40):
        made.take(tmp_path, [adt("A08", f"202603091200{minute:02d}", {8: "F"}, {3: f"W{minute}"})])
    ((kept,),) = made.connection.execute("select count(*) from warehouse.parts.encounter").fetchall()
    assert kept == 1
    assert made.rows("patient", "sex") == [("female",)]


@pytest.mark.parametrize("late", [False, True], ids=["in order", "the cancellation first"])
@pytest.mark.parametrize(
    ("event", "cancel", "expected"),
    [
        (
            adt("A01", "20260309120000", None, {3: "ICU"}),
            adt("A11", "20260309123000"),
            ("cancelled", "ICU", None, None),
        ),
        (
            adt("A02", "20260310080000", None, {3: "MED", 6: "ICU"}),
            adt("A12", "20260310090000", None, {3: "ICU"}),
            ("in_progress", "ICU", None, None),
        ),
        (
            adt("A03", "20260312100000", None, {36: "01", 45: "20260312093000"}),
            adt("A13", "20260312110000"),
            ("in_progress", "ICU", None, None),
        ),
    ],
    ids=["A11", "A12", "A13"],
)
def test_a_cancellation_undoes_its_event(
    tmp_path: Path, event: str, cancel: str, expected: tuple[object, ...], late: bool
) -> None:
    admission = adt("A01", "20260309120000", None, {3: "ICU"})
    made = Warehouse()
    for text in (cancel, admission, event) if late else (admission, event, cancel):
        made.take(tmp_path, [text])
    assert made.rows("encounter", "status", "service_unit_id", "discharge_disposition", "ended_at") == [expected]


def test_a_visit_whose_start_nobody_told_waits_is_shown_and_comes_when_it_is_told(tmp_path: Path) -> None:
    made = put_together(tmp_path, adt("A03", "20260312100000", None, {36: "01"}))
    assert made.rows("encounter") == []
    assert made.waiting() == [("adt", "encounter_incomplete", 1)]
    made.take(tmp_path, [adt("A01", "20260309120000", None, {3: "ICU"})])
    assert made.rows("encounter", "status", "discharge_disposition", "started_at", "ended_at") == [
        ("finished", "01", utc(2026, 3, 9, 16), utc(2026, 3, 12, 14))
    ]
    assert made.waiting() == []
    made.take(tmp_path, [adt("A08", "20260313100000", None, {44: "20260401"})])
    assert made.rows("encounter") == [], "an end before the start"
    assert made.waiting() == [("adt", "encounter_incomplete", 1)]


def test_messages_are_ordered_by_when_their_event_was_recorded_not_by_when_they_were_sent(tmp_path: Path) -> None:
    again = adt("A01", "20260309120000", None, {3: "ICU"}, sent="20260320080000")
    made = put_together(tmp_path, adt("A02", "20260310080000", None, {3: "MED"}), again)
    assert made.rows("encounter", "service_unit_id") == [("MED",)], "an engine sends an old admission again"
    within = [
        adt("A02", "20260310080000.5", None, {3: "LATER"}),
        adt("A02", "20260310080000.25", None, {3: "EARLIER"}),
    ]
    assert put_together(tmp_path, HISTORY[1], *within).rows("encounter", "service_unit_id") == [("LATER",)]
    rounded = [
        adt("A02", "202603100800", None, {3: "LATER"}, sent="20260310080040"),
        adt("A02", "202603100800", None, {3: "EARLIER"}, sent="20260310080010"),
    ]
    assert put_together(tmp_path, HISTORY[1], *rounded).rows("encounter", "service_unit_id") == [("LATER",)]


def test_rows_of_an_older_warehouse_become_parts(tmp_path: Path) -> None:
    made = put_together(tmp_path, HISTORY[1])
    made.connection.execute("drop schema warehouse.parts cascade")
    prepare(made.connection, FEEDS)
    made.take(tmp_path, [HISTORY[3]])
    assert made.rows("encounter", "service_unit_id", "provider_id", "started_at") == [
        ("MED", "D1", utc(2026, 3, 9, 15, 30))
    ]


def test_a_resource_that_is_taken_away_is_gone(tmp_path: Path) -> None:
    gone = siu("S20", "20260304090000", None, "AIL|1|D|CARD^4")
    made = put_together(tmp_path, HISTORY[8], gone)
    assert made.rows("appointment", "service_unit_id", "status") == [(None, "scheduled")]


def numbered(event: str, at: str, placer: str = "", filler: str = "", status: str = "", start: str = "") -> str:
    """A message that names an appointment by the placer's number, the filler's, or both; with a start or without."""
    timing = {11: f"^^30^{start}"} if start else {}
    return siu(event, at, {1: placer, 2: filler, 25: status} | timing)


PLACED = numbered("S12", "20260301080000", "PL1", start="20260310100000")
FILLED = numbered("S14", "20260302080000", "PL1", "FI1")
CALLED_OFF = numbered("S15", "20260305080000", "PL1", "FI1")
BY_PLACER = numbered("S14", "20260303080000", "PL1", start="20260311100000")
BY_FILLER = numbered("S14", "20260304080000", "", "FI1", status="Booked")
ANOTHER = numbered("S12", "20260301090000", "PL2", start="20260320100000")


def test_a_placers_number_first_and_the_fillers_later_are_one_appointment(tmp_path: Path) -> None:
    warehouse = put_together(tmp_path, PLACED, CALLED_OFF)
    columns = ("appointment_id", "status", "booked_at::date::varchar", "scheduled_start_at::varchar")
    assert warehouse.rows("appointment", *columns) == [("FI1", "cancelled", "2026-03-01", "2026-03-10 14:00:00")]
    assert warehouse.waiting() == []


@settings(deadline=None, max_examples=40)
@given(
    messages=st.permutations([PLACED, FILLED, CALLED_OFF, BY_PLACER, BY_FILLER, ANOTHER]),
    cuts=st.lists(st.integers(1, 5), max_size=3, unique=True),
)
def test_the_numbers_of_an_appointment_meet_in_any_order_and_in_any_number_of_loads(
    tmp_path_factory: pytest.TempPathFactory, messages: list[str], cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("numbers")
    warehouse = Warehouse()
    bounds = [0, *sorted(cuts), len(messages)]
    for first, last in pairwise(bounds):
        warehouse.take(folder, messages[first:last])
        warehouse.take(folder, messages[first:last], again=True)
    columns = ("appointment_id", "status", "scheduled_start_at::varchar", "cancelled_at::date::varchar")
    assert warehouse.rows("appointment", *columns) == [
        ("FI1", "cancelled", "2026-03-11 14:00:00", "2026-03-05"),
        ("PL2", "scheduled", "2026-03-20 14:00:00", None),
    ]
    assert warehouse.waiting() == []


def test_a_number_that_is_a_placers_and_another_appointments_fillers_joins_nothing(tmp_path: Path) -> None:
    crossed = [
        numbered("S12", "20260301080000", "5", "9", start="20260310100000"),
        numbered("S12", "20260301090000", "9", "5", start="20260311100000"),
    ]
    warehouse = put_together(tmp_path, *crossed)
    assert warehouse.rows("appointment", "appointment_id", "scheduled_start_at::varchar") == [
        ("5", "2026-03-11 14:00:00"),
        ("9", "2026-03-10 14:00:00"),
    ]
