"""The orchestrator's event log in SQLite, with one connection for each file while it is in use, and one transaction for each batch of
events.

Dagster's own makes an engine and a connection for every event, compiles the same few statements again, asks whether its tables are
there, and, closing the last connection, has SQLite fold its journal into the file: that was a large part of a run over
forty tenants' feeds with nothing new.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from threading import get_ident
from typing import Any

import yaml
from dagster import EventLogEntry
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sqlite.sqlite_event_log import INDEX_SHARD_NAME
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, StaticPool, create_engine, event

from foundation.home import Home, write_atomically

# A run has a separate file: the index's and those of the last runs are kept.
_KEPT = 4
# How many of the events that Dagster gives as a batch (what a run plans) are written in one transaction.
_BATCH_VARIABLE, _BATCH = "DAGSTER_EVENT_BATCH_SIZE", "500"


class EventLog(SqliteEventLogStorage):
    """The same files and tables; only how they are connected to differs."""

    def __init__(self, base_dir: str, inst_data: Any = None) -> None:
        self._engines: OrderedDict[str, Engine] = OrderedDict()
        self._tables: set[str] = set()
        # Of the batch that is being written: file to its open transaction.
        self._batch: dict[str, Connection] | None = None
        self._writer = 0
        super().__init__(base_dir, inst_data)

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "EventLog":
        return cls(inst_data=inst_data, **config_value)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; it loses none."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def _engine(self, shard: str) -> Engine:
        if shard not in self._engines:
            # One connection, handed from thread to thread: `_connect` lets in one at a time.
            engine = create_engine(
                self.conn_string_for_shard(shard),
                poolclass=StaticPool,
                connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS, "check_same_thread": False},
            )
            event.listen(engine, "connect", _settings)
            self._engines[shard] = engine
            while len(self._engines) > _KEPT:
                self._engines.popitem(last=False)[1].dispose()
        self._engines.move_to_end(shard)
        return self._engines[shard]

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        if self._batch is not None and shard in self._batch and self._writer == get_ident():
            yield self._batch[shard]
            return
        with self._db_lock, self._prepared(shard).begin() as connection:
            yield connection

    def _prepared(self, shard: str) -> Engine:
        engine = self._engine(shard)
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        return engine

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores events in one transaction for each file."""
        shards = {*(event.run_id for event in events), INDEX_SHARD_NAME}
        if len(shards) > _KEPT:
            super().store_event_batch(events)
            return
        with self._db_lock, ExitStack() as transactions:
            engines = {shard: self._prepared(shard) for shard in sorted(shards)}
            self._writer = get_ident()
            self._batch = {name: transactions.enter_context(engine.begin()) for name, engine in engines.items()}
            try:
                for event in events:
                    self.store_event(event)
            finally:
                self._batch = None

    def dispose(self) -> None:
        """Gives the files back."""
        super().dispose()
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


def configure(home: Home) -> None:
    """The orchestrator's own settings in the home: no telemetry, no invitations, and its log below the home as it lies now: a home may be
    copied or moved."""
    os.environ.setdefault(_BATCH_VARIABLE, _BATCH)
    settings = {
        "telemetry": {"enabled": False},
        # No invitation to a newsletter over the page.
        "nux": {"enabled": False},
        "python_logs": {"python_log_level": "ERROR"},
        "event_log_storage": {
            "module": EventLog.__module__,
            "class": EventLog.__name__,
            "config": {"base_dir": str(home.dagster / "history" / "runs")},
        },
    }
    content, path = yaml.safe_dump(settings).encode(), home.dagster / "dagster.yaml"
    if not path.exists() or path.read_bytes() != content:
        write_atomically(path, content)


def _settings(connection: Any, _record: Any) -> None:
    # A power cut may cost the last events, never the file: the ledger says what a run did.
    connection.execute("pragma synchronous = normal")
