"""The orchestrator's event log in SQLite, with one engine for each file.

Dagster's own makes an engine for every event, and with it compiles the same few statements anew: over a run's 1,500 events that took
six seconds of a minute.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.sqlite import SQLITE_BUSY_TIMEOUT_SECONDS
from sqlalchemy import Connection, Engine, NullPool, create_engine


# A run has a file of its own: the index's and those of the last runs are kept. An engine that is forgotten holds no connection.
@lru_cache(maxsize=8)
def _engine(address: str) -> Engine:
    return create_engine(address, poolclass=NullPool, connect_args={"timeout": SQLITE_BUSY_TIMEOUT_SECONDS})


class EventLog(SqliteEventLogStorage):
    """The same files and tables; only how they are connected to differs."""

    @classmethod
    def from_config_value(cls, inst_data: Any, config_value: Any) -> "EventLog":
        return cls(inst_data=inst_data, **config_value)

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock:
            engine = _engine(self.conn_string_for_shard(shard))
            if shard not in self._initialized_dbs:
                self._initdb(engine)
                self._initialized_dbs.add(shard)
            with engine.begin() as connection:
                yield connection
