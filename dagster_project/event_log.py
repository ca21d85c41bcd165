"""The orchestrator's event log in SQLite, with one engine for each file.

Dagster's own makes an engine for every event, and with it compiles the same few statements anew: over a run's 1,500 events that took
six seconds of a minute.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from sqlalchemy import Connection, Engine, NullPool, create_engine

BUSY_SECONDS = 60


class EventLog(SqliteEventLogStorage):
    """The same files and tables; only how they are connected to differs."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "EventLog":
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = self._engine_of(shard)
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection

    def _engine_of(self, shard: str) -> Engine:
        engines: dict[str, Engine] = self.__dict__.setdefault("_engines", {})
        if shard not in engines:
            address = self.conn_string_for_shard(shard)
            engines[shard] = create_engine(address, poolclass=NullPool, connect_args={"timeout": BUSY_SECONDS})
        return engines[shard]
