"""The rows of a table that were read: a mark of every row's content and its record. So rows that come again are not landed
again, and records that a whole read no longer sees are found.

One encrypted file a read, `index/<tenant>/<feed>/<table>/<unit>.parquet`, of `record_id` (as the landed row has it: a token
where that is one), `mark` (64 bits of a hash over the row as it was read) and `updated_at`. A whole read writes all of its
rows, the reads after it those that were new. A file counts when the ledger says that its unit landed; older ones are
removed. If a file is lost, rows are landed again, as new versions. Nothing else is lost.

Rows are compared in DuckDB, so that a table may be larger than memory. Marks of another version of Polars may differ: then,
too, rows are landed again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from foundation import duck, formats
from foundation.config import Feed
from foundation.faults import is_damage
from foundation.home import Home
from foundation.keys import Keys
from ingest.interface import TableRules, TableState, UnreadableUnit

_SEED = 20261031
# Cursors are in the database's zone and words, marks of time here in UTC: the overlap is widened by what may lie between.
_SLACK = timedelta(days=2)
# So few missing records count as deleted, at any share, unless the table is empty.
BELIEVED = 5
_MET = "(record_id varchar, mark ubigint, updated_at timestamptz, is_known boolean)"


@dataclass(frozen=True)
class IndexSession:
    """A DuckDB connection for the indexes of one tenant's tables, and the name of the key of each file. Close it."""

    connection: duckdb.DuckDBPyConnection
    key_name: Callable[[Path], str]

    @classmethod
    def of(cls, home: Home, keys: Keys, tenant_id: str) -> "IndexSession":
        connection = duck.connect(home)
        return cls(connection, duck.add_parquet_keys(connection, keys.derive_all("landing", tenant_id)))

    def close(self) -> None:
        self.connection.close()


class RowIndex:
    """The rows of one table of one feed during one read."""

    def __init__(self, session: IndexSession, home: Home, feed: Feed, table: str, state: TableState) -> None:
        self._connection = connection = session.connection
        self._key_name = session.key_name
        self._folder = home.folder("index", feed.tenant_id, feed.name, table)
        self._files = self._counted(state.units)
        self.has_baseline = state.whole_at is not None
        connection.execute(f"create or replace temp table met {_MET}")
        connection.execute("create or replace temp table known (mark ubigint)")
        self._knows = False

    def _counted(self, units: Sequence[int]) -> list[Path]:
        """The files of some units; others are of reads that a newer whole one replaced, or that never landed."""
        counted = []
        for path in sorted(self._folder.glob("*.parquet")):
            if int(path.stem) in units:
                counted.append(path)
            else:
                path.unlink()
        return counted

    def _rows(self) -> str:
        names = {path: self._key_name(path) for path in self._files}
        reads = (
            duck.parquet_of([path for path in self._files if names[path] == name], name)
            for name in dict.fromkeys(names.values())
        )
        return f"({' union all '.join(f'select * from {read}' for read in reads)})"

    def recall(self, rules: TableRules, *, whole: bool) -> None:
        """Loads the rows of earlier reads: all, or those that a read from the cursor on sees again."""
        if not self._files:
            return
        condition = ""
        if not whole:
            # As the reader's cursor is: times more than a day ahead are left out of what is newest.
            ahead = duck.quoted((datetime.now(UTC) + timedelta(days=1)).isoformat())
            span = timedelta(minutes=rules.overlap_minutes) + _SLACK
            condition = (
                f" where updated_at is null or updated_at >= (select coalesce(max(updated_at), '-infinity') from "
                f"{self._rows()} where updated_at <= {ahead}::timestamptz) - interval {int(span.total_seconds())} seconds"
            )
        try:
            self._connection.execute(f"insert into known select distinct mark from {self._rows()}{condition}")
        except duckdb.Error as error:
            if not is_damage(str(error)):
                raise
            self._forget()
            return
        self._knows = self._connection.execute("select 1 from known limit 1").fetchone() is not None

    def _forget(self) -> None:
        """A file lost bytes: all files are made again. No record counts as deleted until a whole read has seen all records."""
        for path in self._files:
            path.unlink(missing_ok=True)
        self._files = []

    def meet(self, frame: pl.DataFrame, records: pl.Series) -> pl.Series:
        """Records the rows of a frame as they were read; `records` are their record ids as landed. Returns which of them were
        read before."""
        content = sorted(name for name in frame.columns if name != "source_position")
        moments = frame["source_updated_at"]
        if moments.dtype == pl.String():
            moments = moments.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
        rows = pl.DataFrame(
            {
                "place": pl.Series(range(frame.height), dtype=pl.Int64),
                "record_id": records.cast(pl.String),
                "mark": frame.select(pl.struct(content).hash(seed=_SEED)).to_series(),
                "updated_at": moments.cast(pl.Datetime("us", "UTC")),
            }
        )
        connection = self._connection
        connection.register("rows_read", rows)
        is_known = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
        if self._knows:
            places = connection.execute("select place from rows_read semi join known using (mark)").pl()["place"]
            is_known = rows["place"].is_in(places.to_list())
        connection.register("rows_known", pl.DataFrame({"place": rows["place"], "is_known": is_known}))
        connection.execute(
            "insert into met select record_id, mark, updated_at, is_known from rows_read join rows_known using (place)"
        )
        connection.unregister("rows_read")
        connection.unregister("rows_known")
        return is_known

    def absent(self, rules: TableRules, *, accept: bool) -> pl.Series:
        """Record ids of earlier reads that this whole read did not see. Raises UnreadableUnit if they exceed the safety limit,
        because then the source is probably incomplete, unless accepted.
        """
        if not self._files or not self.has_baseline:
            return pl.Series(dtype=pl.String)
        self._connection.execute(
            f"create or replace temp table gone as select distinct record_id from {self._rows()} "
            "where record_id is not null and record_id not in (select record_id from met where record_id is not null)"
        )
        gone = self._count("select count(*) from gone")
        before = self._count(f"select count(distinct record_id) from {self._rows()}")
        is_empty = gone == before > 0
        if not accept and (is_empty or (gone > BELIEVED and gone * 100 > before * rules.maximum_deleted_percent)):
            share = "all" if is_empty else f"{100 * gone // before} %"
            raise UnreadableUnit(
                reason="too_many_deleted",
                position="",
                problem=f"{gone:,} of {before:,} known records ({share}) are missing from a full read; none was treated as deleted",
                remedy="Check that the database is complete; if they were deleted, run with --full-refresh --accept-deletions",
            )
        return self._connection.execute("select record_id from gone order by record_id").pl()["record_id"]

    def _count(self, query: str) -> int:
        counted = self._connection.execute(query).fetchone()
        return int(counted[0]) if counted else 0

    def keep(self, unit_id: int, *, whole: bool) -> None:
        """Writes the rows of this read, all or only the new ones, for later reads."""
        which = "" if whole else " where not is_known"
        if whole or self._count(f"select count(*) from met{which}"):
            self._connection.execute(
                f"copy (select record_id, mark, updated_at from met{which} order by updated_at) "
                f"to {duck.quoted(str(self._folder / f'{unit_id}.parquet'))} ({duck.parquet_options(formats.INDEXED)})"
            )
