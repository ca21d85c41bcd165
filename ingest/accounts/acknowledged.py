"""Refused files that an operator has acknowledged: a run no longer ends with an error because of them.

An acknowledgement is of one file with these bytes. If the file changes and is refused again, that is a new problem.
"""

from typing import Any

import sqlalchemy as sa

from foundation.errors import ConfigurationError
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.accounts.accounts import file_mark, refused_units
from ingest.ledger import Ledger, now


def sentence_of(ledger: Ledger, tenant_id: str, feed: str, name: str, fingerprint: str | None) -> str | None:
    """Who acknowledged a file with these bytes, when and why; None where nobody did."""
    row = _latest(ledger, tenant_id, feed, name, fingerprint)
    return None if row is None else sentence(row)


def sentence(row: dict[str, Any]) -> str:
    """An acknowledgement in words."""
    return f"Acknowledged on {row['acknowledged_at']:%d %b %Y} by {row['acknowledged_by']}: {row['reason']}"


def refused_files(ledger: Ledger, keys: Keys) -> list[dict[str, Any]]:
    """Units that the latest run of their feed refused, each with its `mark` and its `acknowledged`: None, or who, when and why."""
    unit = tables.unit.c
    query = sa.select(unit.run_id, unit.tenant_id, unit.feed, unit.name, unit.fingerprint)
    prints = {
        (row["run_id"], row["tenant_id"], row["feed"], row["name"]): row["fingerprint"]
        for row in ledger.rows(query.where(unit.outcome == "refused"))
    }
    files = []
    for row in refused_units(ledger).iter_rows(named=True):
        tenant_id, feed, name = row["tenant_id"], row["feed"], row["unit"]
        fingerprint = prints.get((row["run_id"], tenant_id, feed, name))
        mark = file_mark(keys, tenant_id, name) if row["is_file"] else name
        acknowledged = _latest(ledger, tenant_id, feed, name, fingerprint)
        files.append(row | {"mark": mark, "fingerprint": fingerprint, "acknowledged": acknowledged})
    return files


def acknowledge(ledger: Ledger, keys: Keys, tenant_id: str, mark: str, *, reason: str, by: str) -> dict[str, Any]:
    """Acknowledges the refused file of a mark, which may be written without `file ` and without its ending; returns the file.

    Raises ConfigurationError where no file of the tenant that was refused in the last read has this mark.
    """
    file = _file_of(ledger, keys, tenant_id, mark)
    values = {name: file[name] for name in ("tenant_id", "feed", "fingerprint")} | {"name": file["unit"]}
    with ledger.write() as connection:
        note = {"reason": reason, "acknowledged_by": by, "acknowledged_at": now()}
        connection.execute(sa.insert(tables.acknowledged).values(**values, **note))
    return file


def withdraw(ledger: Ledger, keys: Keys, tenant_id: str, mark: str) -> dict[str, Any]:
    """Removes the acknowledgement of a refused file; returns the file. Raises ConfigurationError as `acknowledge` does."""
    file = _file_of(ledger, keys, tenant_id, mark)
    with ledger.write() as connection:
        where = _of_file(tenant_id, file["feed"], file["unit"], file["fingerprint"])
        connection.execute(sa.delete(tables.acknowledged).where(where))
    return file


def _file_of(ledger: Ledger, keys: Keys, tenant_id: str, mark: str) -> dict[str, Any]:
    wanted = mark.removeprefix("file ").partition(".")[0]
    files = [file for file in refused_files(ledger, keys) if file["tenant_id"] == tenant_id and file["is_file"]]
    for file in files:
        if file["mark"].removeprefix("file ").partition(".")[0] == wanted:
            return file
    marks = ", ".join(file["mark"].removeprefix("file ") for file in files) or "none"
    raise ConfigurationError(f"the last read of {tenant_id} refused no file {mark!r}; refused files: {marks}")


def _latest(ledger: Ledger, tenant_id: str, feed: str, name: str, fingerprint: str | None) -> dict[str, Any] | None:
    if fingerprint is None:
        return None
    query = sa.select(
        tables.acknowledged.c.reason, tables.acknowledged.c.acknowledged_by, tables.acknowledged.c.acknowledged_at
    )
    where = _of_file(tenant_id, feed, name, fingerprint)
    rows = ledger.rows(query.where(where).order_by(tables.acknowledged.c.acknowledged_id.desc()).limit(1))
    return rows[0] if rows else None


def _of_file(tenant_id: str, feed: str, name: str, fingerprint: str) -> sa.ColumnElement[bool]:
    acknowledged = tables.acknowledged.c
    return sa.and_(
        acknowledged.tenant_id == tenant_id,
        acknowledged.feed == feed,
        acknowledged.name == name,
        acknowledged.fingerprint == fingerprint,
    )
