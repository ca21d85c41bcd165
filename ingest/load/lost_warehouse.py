"""Loads a warehouse again from the landed batches if it was lost or damaged.

Everything in the warehouse is made from landed batches, which stay on disk. So nothing is lost with it but the time of one load.
"""

from contextlib import suppress
from pathlib import Path

import duckdb
import sqlalchemy as sa

from foundation import duck
from foundation.faults import is_damage
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.ledger import Ledger

# Written beside the warehouse by a run that found it damaged.
DAMAGED = "damaged"


def note_damage(home: Home) -> None:
    """From now on the warehouse counts as damaged: the next load makes a new one."""
    with suppress(OSError):
        (home.warehouse.parent / DAMAGED).touch(mode=0o600)


def start_anew_if_lost(home: Home, keys: Keys, ledger: Ledger) -> str | None:
    """Marks every landed batch as not loaded, if the warehouse lacks rows that the ledger says were loaded. Returns the reason,
    as part of a sentence; None if the warehouse is complete or nothing was ever loaded. A damaged file is moved to
    `warehouse.duckdb.damaged`. Safe to kill: the batches count as not loaded before the file goes.
    """
    path = home.warehouse
    reason = "was lost" if not path.exists() else "lost bytes" if is_damaged(home, keys) else None
    if reason is None:
        return None
    with ledger.write() as connection:
        forgotten = connection.execute(sa.delete(tables.loaded)).rowcount
    _write_ahead_log(path).unlink(missing_ok=True)
    if path.exists():
        path.replace(path.with_suffix(".duckdb.damaged"))
    (path.parent / DAMAGED).unlink(missing_ok=True)
    return reason if forgotten or reason == "lost bytes" else None


def is_damaged(home: Home, keys: Keys) -> bool:
    """Whether the warehouse is marked as damaged, or cannot be opened because bytes are lost. Other errors of DuckDB are raised."""
    if (home.warehouse.parent / DAMAGED).exists():
        return True
    with duck.session(home) as connection:
        try:
            duck.attach(connection, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"))
        except duckdb.Error as error:
            if not is_damage(str(error)):
                raise
            return True
    return False


def _write_ahead_log(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")
