"""The ledger: what every run read, landed, quarantined and refused. SQLite beside the landing; it holds counts, encrypted
names of files and positions, never the content of a record.

    run        one row per pipeline run
    feed_run   one row per run and feed: outcome and totals
    unit       one row per file or table read: outcome landed, refused, or replaced by a later read of the same file under
               another profile; records read = used + refused;
               `is_whole` where a table was read from its beginning to its end, and later reads are compared with that;
               `definition` is of the SELECT, or of the profile, that gave it
    batch      one row per batch and entity: rows read = landed + quarantined; `batch_sequence` orders all batches
    result     one row per batch, entity and expectation
    amount     sums of money per batch, entity and amount column: read = landed + quarantined, as decimal text
    stated     the rows and money of a landed file as its source states them, and as the reader gave them
    held       rows in quarantine by batch, entity, reason and column
    received   rows landed by batch, entity and day of the record in the tenant's zone: what `ingest.accounts.feed_coverage` learns from
    notice     what a reader found odd but could read (balances, counts of envelopes, references to nothing)
    unknown_word   words of coded fields that no profile knows, by unit, entity, column and word; `became` is the value rows have
    acknowledged   refused files that an operator has acknowledged, with reason
    loaded     which batches are in which warehouse
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from foundation.errors import DamagedFileError
from foundation.faults import naming
from foundation.home import Home
from foundation.keys import Keys
from foundation.migrations import Store
from ingest.interface import TableState
from ingest.migrations import STEPS
from ingest.sealed_names import SealedName, register

metadata = sa.MetaData()

run = sa.Table(
    "run",
    metadata,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("config_file", sa.String, nullable=False),
    sa.Column("started_at", sa.DateTime, nullable=False),
    sa.Column("ended_at", sa.DateTime),
    sa.Column("outcome", sa.String),
    sa.Column("problem", sa.String),
)
feed_run = sa.Table(
    "feed_run",
    metadata,
    sa.Column("run_id", sa.String, primary_key=True),
    sa.Column("tenant_id", sa.String, primary_key=True),
    sa.Column("feed", sa.String, primary_key=True),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("profile", sa.String),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("problem", sa.String),
    sa.Column("read_at", sa.DateTime, nullable=False),
    # The zone in which the feed's days are counted, and the moment (UTC) as of which it is judged: that of the read, or
    # the end of the day that the configuration names for a copy of an earlier state.
    sa.Column("time_zone", sa.String),
    sa.Column("judged_at", sa.DateTime),
)
unit = sa.Table(
    "unit",
    metadata,
    sa.Column("unit_id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("tenant_id", sa.String, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    # Encrypted: a file may be named after a patient.
    sa.Column("name", SealedName, nullable=False),
    sa.Column("fingerprint", sa.String),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("position", sa.String),
    sa.Column("reason", sa.String),
    sa.Column("problem", sa.String),
    sa.Column("remedy", sa.String),
    sa.Column("records_read", sa.Integer, nullable=False, default=0),
    sa.Column("records_used", sa.Integer, nullable=False, default=0),
    sa.Column("records_refused", sa.Integer, nullable=False, default=0),
    sa.Column("dropped_fields", sa.JSON),
    sa.Column("cursor", sa.String),
    sa.Column("is_whole", sa.Boolean),
    sa.Column("definition", sa.String),
    sa.Column("read_at", sa.DateTime, nullable=False),
    sa.Index("unit_by_feed", "tenant_id", "feed", "fingerprint"),
    sa.Index("unit_by_name", "tenant_id", "feed", "name"),
)
batch = sa.Table(
    "batch",
    metadata,
    sa.Column("batch_sequence", sa.Integer, primary_key=True),
    sa.Column("batch_id", sa.String, nullable=False),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("tenant_id", sa.String, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    sa.Column("entity", sa.String, nullable=False),
    sa.Column("file", sa.String),
    sa.Column("rows_read", sa.Integer, nullable=False),
    sa.Column("rows_landed", sa.Integer, nullable=False),
    sa.Column("rows_quarantined", sa.Integer, nullable=False),
    sa.Column("newest_record_at", sa.DateTime),
    sa.Column("landed_at", sa.DateTime, nullable=False),
    sa.UniqueConstraint("batch_id", "entity"),
    sa.CheckConstraint("rows_read = rows_landed + rows_quarantined", name="rows_are_conserved"),
)
result = sa.Table(
    "result",
    metadata,
    sa.Column("batch_id", sa.String, nullable=False, index=True),
    sa.Column("entity", sa.String, nullable=False),
    sa.Column("rule", sa.String, nullable=False),
    sa.Column("column_name", sa.String, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("unexpected", sa.Integer, nullable=False),
)
amount = sa.Table(
    "amount",
    metadata,
    sa.Column("batch_id", sa.String, primary_key=True),
    sa.Column("entity", sa.String, primary_key=True),
    sa.Column("measure", sa.String, primary_key=True),
    sa.Column("tenant_id", sa.String, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    # Decimal text: SQLite knows no decimal that holds every sum. `ingest.control_totals.conserved` has checked them.
    sa.Column("read_amount", sa.String, nullable=False),
    sa.Column("landed_amount", sa.String, nullable=False),
    sa.Column("quarantined_amount", sa.String, nullable=False),
    sa.Index("amount_by_feed", "tenant_id", "feed"),
)
stated = sa.Table(
    "stated",
    metadata,
    sa.Column("unit_id", sa.Integer, primary_key=True),
    sa.Column("entity", sa.String, primary_key=True),
    sa.Column("measure", sa.String, primary_key=True),
    sa.Column("tenant_id", sa.String, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    sa.Column("told_by", sa.String, nullable=False),
    sa.Column("stated_total", sa.String, nullable=False),
    sa.Column("given_total", sa.String, nullable=False),
    sa.Index("stated_by_feed", "tenant_id", "feed"),
)
held = sa.Table(
    "held",
    metadata,
    sa.Column("held_id", sa.Integer, primary_key=True),
    sa.Column("run_id", sa.String, nullable=False),
    sa.Column("tenant_id", sa.String, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    sa.Column("batch_id", sa.String, nullable=False),
    sa.Column("entity", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("column_name", sa.String, nullable=False, default=""),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("first_position", sa.String, nullable=False),
    sa.Column("detail", sa.String, nullable=False, default=""),
    sa.Column("held_at", sa.DateTime, nullable=False),
    sa.Column("released_at", sa.DateTime),
    # What a person counts of it ("payment", "claim", "charge row"), and its money as decimal text; null before there were these.
    sa.Column("what", sa.String),
    sa.Column("what_count", sa.Integer),
    sa.Column("amount", sa.String),
)
received = sa.Table(
    "received",
    metadata,
    sa.Column("batch_id", sa.String, primary_key=True),
    sa.Column("entity", sa.String, primary_key=True),
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("tenant_id", sa.String, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("arrived_on", sa.Date, nullable=False),
    sa.Index("received_by_feed", "tenant_id", "feed"),
)
notice = sa.Table(
    "notice",
    metadata,
    sa.Column("unit_id", sa.Integer, nullable=False, index=True),
    sa.Column("position", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("detail", sa.String, nullable=False),
    sa.Column("records", sa.Integer, nullable=False, server_default="1"),
)
unknown_word = sa.Table(
    "unknown_word",
    metadata,
    sa.Column("unit_id", sa.Integer, primary_key=True),
    sa.Column("entity", sa.String, primary_key=True),
    sa.Column("column_name", sa.String, primary_key=True),
    sa.Column("word", sa.String, primary_key=True),
    sa.Column("tenant_id", sa.String, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    sa.Column("became", sa.String, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("first_position", sa.String, nullable=False),
    sa.Index("unknown_word_by_feed", "tenant_id", "feed"),
)
acknowledged = sa.Table(
    "acknowledged",
    metadata,
    sa.Column("acknowledged_id", sa.Integer, primary_key=True),
    sa.Column("tenant_id", sa.String, nullable=False),
    sa.Column("feed", sa.String, nullable=False),
    sa.Column("name", SealedName, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("acknowledged_by", sa.String, nullable=False),
    sa.Column("acknowledged_at", sa.DateTime, nullable=False),
    sa.Index("acknowledged_by_feed", "tenant_id", "feed"),
)
loaded = sa.Table(
    "loaded",
    metadata,
    sa.Column("warehouse", sa.String, primary_key=True),
    sa.Column("batch_sequence", sa.Integer, primary_key=True),
)

_LOST = (
    "{home}: its ledger.sqlite is missing, and the landed batches cannot be identified without it; restore it from your backup. "
    "Without one, move the folders landing, quarantine, index, messages, payments and warehouse out of the home: the next run then "
    "reads everything again that the feeds still have, and what is published stays until then"
)
LEDGER = Store(metadata=metadata, steps=STEPS / "ledger")


def now() -> datetime:
    """This moment in UTC, without a zone, as the ledger stores it."""
    return datetime.now(UTC).replace(tzinfo=None)


class Ledger:
    """One home's ledger. Every write of a batch is one transaction.

    Raises DamagedFileError where the home holds landed batches and no ledger, or where the file is not one: a new ledger would
    read every source again under unit numbers that other files of the home give a meaning already.
    """

    def __init__(self, home: Home) -> None:
        if not home.ledger.exists() and next(home.path.glob("landing/*/*/*.parquet"), None) is not None:
            raise DamagedFileError(_LOST.format(home=home.path))
        # The key first: names in the ledger are encrypted, and a home that holds a ledger and no key has lost it.
        teach = register(Keys.of(home))
        self._engine = sa.create_engine(f"sqlite:///{home.ledger}")

        @sa.event.listens_for(self._engine, "connect")
        def _settings(connection: Any, _record: Any) -> None:
            for setting in ("journal_mode = wal", "synchronous = normal", "busy_timeout = 30000"):
                connection.execute(f"pragma {setting}")
            teach(connection)

        with naming(home.ledger):
            LEDGER.bring_up_to_date(home.ledger, teach)

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """A transaction: committed at the end, rolled back on an error."""
        with self._engine.begin() as connection:
            yield connection

    def rows(self, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """The rows of a query as mappings."""
        with self._engine.connect() as connection:
            result = connection.execute(query)
            names = tuple(result.keys())
            return [dict(zip(names, row, strict=True)) for row in result.all()]

    def frame(self, query: sa.Select[Any]) -> pl.DataFrame:
        """The rows of a query that may have very many, as a frame of the selected columns: texts, whole numbers and dates."""
        types: dict[str, Any] = {}
        for column in query.selected_columns:
            kind = column.type
            types[column.name] = (
                pl.Date if isinstance(kind, sa.Date) else pl.Int64 if isinstance(kind, sa.Integer) else pl.String
            )
        sql = query.compile(self._engine)
        with self._engine.connect() as connection:
            # As SQLite gives them: SQLAlchemy would make a date of each of half a million texts.
            result = connection.exec_driver_sql(str(sql), tuple(sql.params[name] for name in sql.positiontup or ()))
            rows = result.fetchall()
        dates = [name for name, kind in types.items() if kind == pl.Date]
        raw = {name: pl.String if name in dates else kind for name, kind in types.items()}
        return pl.DataFrame(rows, schema=raw, orient="row").with_columns(pl.col(dates).str.to_date())

    def close(self) -> None:
        """Gives the database's connections back."""
        self._engine.dispose()

    def start_run(self, run_id: str, config_file: str) -> None:
        """Opens a run; runs that never ended are marked as stopped."""
        with self.write() as connection:
            stopped = sa.update(run).where(run.c.ended_at.is_(None))
            connection.execute(stopped.values(ended_at=now(), outcome="stopped", problem="the run was killed"))
            connection.execute(sa.insert(run).values(run_id=run_id, config_file=config_file, started_at=now()))

    def ensure_run(self, run_id: str, config_file: str) -> None:
        """Opens a run unless it is open: the orchestrator's own runs begin with the first feed that is landed."""
        with self.write() as connection:
            values = {"run_id": run_id, "config_file": config_file, "started_at": now()}
            connection.execute(sa.insert(run).prefix_with("or ignore").values(values))

    def end_run(self, run_id: str, outcome: str, problem: str | None = None) -> None:
        """Closes a run: outcome is published, unchanged or stopped. That one tenant's version stays does not undo that another's was
        published."""
        with self.write() as connection:
            ended = sa.update(run).where(run.c.run_id == run_id)
            if outcome == "unchanged":
                ended = ended.where(sa.or_(run.c.outcome.is_(None), run.c.outcome == "unchanged"))
            connection.execute(ended.values(ended_at=now(), outcome=outcome, problem=problem))

    def add_problem(self, run_id: str, tenant_id: str, feed: str, problem: str) -> None:
        """Adds a problem to the record of a feed that a run has read."""
        of_feed = (feed_run.c.run_id == run_id) & (feed_run.c.tenant_id == tenant_id) & (feed_run.c.feed == feed)
        with self.write() as connection:
            earlier = connection.execute(sa.select(feed_run.c.problem).where(of_feed)).scalar()
            connection.execute(
                sa.update(feed_run)
                .where(of_feed)
                .values(problem=f"{earlier}\n{problem}" if earlier else problem, outcome="partly")
            )

    def last_run(self) -> dict[str, Any] | None:
        """The latest run, or None."""
        runs = self.rows(sa.select(run).order_by(run.c.started_at.desc()).limit(1))
        return runs[0] if runs else None

    def feeds_of_kind(self, kind: str) -> set[tuple[str, str]]:
        """(tenant, feed) of every feed that was ever read as one of a kind."""
        query = sa.select(feed_run.c.tenant_id, feed_run.c.feed).where(feed_run.c.kind == kind).distinct()
        return {(row["tenant_id"], row["feed"]) for row in self.rows(query)}

    def kinds_of_feeds(self) -> dict[tuple[str, str], str]:
        """(tenant, feed) to the kind as which the feed was read last."""
        query = sa.select(feed_run.c.tenant_id, feed_run.c.feed, feed_run.c.kind).order_by(feed_run.c.read_at)
        return {(row["tenant_id"], row["feed"]): row["kind"] for row in self.rows(query)}

    def table_state(self, tenant_id: str, feed: str, name: str) -> TableState:
        """Where the reads of a table stand."""
        landed = sa.and_(
            unit.c.tenant_id == tenant_id, unit.c.feed == feed, unit.c.name == name, unit.c.outcome == "landed"
        )
        latest = sa.select(unit).where(landed).order_by(unit.c.unit_id.desc()).limit(1)
        cursors = self.rows(latest.where(unit.c.cursor.is_not(None)))
        wholes = self.rows(latest.where(unit.c.is_whole.is_(True)))
        if not wholes:
            return TableState(cursor=cursors[0]["cursor"] if cursors else None)
        since = self.rows(sa.select(unit.c.unit_id).where(landed, unit.c.unit_id >= wholes[0]["unit_id"]))
        return TableState(
            cursor=cursors[0]["cursor"] if cursors else None,
            whole_at=wholes[0]["read_at"],
            definition=wholes[0]["definition"],
            units=tuple(row["unit_id"] for row in since),
        )
