"""The audit log: append-only rows, each holding a keyed hash (HMAC-SHA-256) over itself and the row before it.

Changing, removing or reordering a row breaks the chain from there on; cutting off the end contradicts the signed head.
Without the key nobody can write a chain that verifies. Details hold names, counts and identifiers of units, never PHI.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection, RowMapping, insert, inspect, select, update

from foundation.comparing import is_same
from serving.people.audit_anchor import Head
from serving.people.caller import caller
from serving.people.tables import AUDIT, AUDIT_HEAD, NUL, REPLACED

FIRST = "0" * 64
_ROWS_AT_ONCE = 2000
_SIGNED = ("sequence", "at", "tenant_id", "actor", "action", "scope_hash", "detail", "result", "previous_mac")
# Rows of earlier releases have none of these; where one is set, it is signed.
_CALLER = ("channel", "address", "session", "os_user")


@dataclass(frozen=True, kw_only=True)
class AuditRow:
    """Who (`actor`) did what (`action`), when, in which scope, with which result; from where and by which way, see `Caller`."""

    sequence: int
    at: datetime
    tenant_id: str
    actor: str
    action: str
    scope_hash: str
    detail: Mapping[str, object]
    result: str
    channel: str = ""
    address: str = ""
    session: str = ""
    os_user: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditCheck:
    """The outcome of `verify`. `first_bad` is the sequence of the first row that is not what was written."""

    rows: int
    first_bad: int | None
    problem: str = ""

    @property
    def is_intact(self) -> bool:
        return self.first_bad is None


def _mac(key: bytes, row: Mapping[str, object]) -> str:
    values = [value.isoformat() if isinstance(value := row[name], datetime) else value for name in _SIGNED]
    values += [{name: row[name]} for name in _CALLER if row[name]]
    return hmac.new(key, json.dumps(values, ensure_ascii=True).encode(), hashlib.sha256).hexdigest()


def _head_mac(key: bytes, sequence: int, mac: str) -> str:
    return hmac.new(key, f"head/{sequence}/{mac}".encode(), hashlib.sha256).hexdigest()


def append(
    connection: Connection,
    key: bytes,
    *,
    tenant_id: str,
    actor: str,
    action: str,
    scope_hash: str,
    detail: Mapping[str, object],
    result: str,
) -> Head:
    """Appends one row and returns the new head. The connection must be in a transaction that holds the write lock."""
    last = connection.execute(select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(1)).mappings().first()
    sequence = 1 if last is None else int(last["sequence"]) + 1
    row: dict[str, object] = {
        "sequence": sequence,
        "at": datetime.now(UTC),
        "tenant_id": tenant_id,
        "actor": actor,
        "action": action,
        "scope_hash": scope_hash,
        "detail": json.dumps(dict(detail), sort_keys=True, default=str),
        "result": result,
        **{name: getattr(caller(), name) for name in _CALLER},
        "previous_mac": FIRST if last is None else str(last["mac"]),
    }
    # What is signed is what is kept, on every kind of database.
    row = {name: value.replace(NUL, REPLACED) if isinstance(value, str) else value for name, value in row.items()}
    row["mac"] = _mac(key, row)
    connection.execute(insert(AUDIT).values(**row))
    head = {"sequence": sequence, "mac": _head_mac(key, sequence, str(row["mac"]))}
    if connection.execute(update(AUDIT_HEAD).where(AUDIT_HEAD.c.id == 1).values(**head)).rowcount == 0:
        connection.execute(insert(AUDIT_HEAD).values(id=1, **head))
    return Head(sequence=sequence, mac=str(row["mac"]))


def has_tables(connection: Connection) -> bool:
    """Whether the log's tables are there."""
    return {AUDIT.name, AUDIT_HEAD.name} <= set(inspect(connection).get_table_names())


def head(connection: Connection) -> Head | None:
    """The last row of the log."""
    last = connection.execute(select(AUDIT).order_by(AUDIT.c.sequence.desc()).limit(1)).mappings().first()
    return None if last is None else Head(sequence=int(last["sequence"]), mac=str(last["mac"]))


def _bad(rows: int, sequence: int, problem: str) -> AuditCheck:
    return AuditCheck(rows=rows, first_bad=sequence, problem=problem)


def verify(connection: Connection, key: bytes) -> AuditCheck:
    """Recomputes the whole chain."""
    previous, count = FIRST, 0
    # In parts: a log of years does not fit into memory.
    rows = select(AUDIT).order_by(AUDIT.c.sequence).execution_options(yield_per=_ROWS_AT_ONCE)
    for row in connection.execute(rows).mappings():
        count += 1
        sequence = int(row["sequence"])
        if sequence != count:
            return _bad(count, count, f"row {count} is missing")
        if row["previous_mac"] != previous or not is_same(str(row["mac"]), _mac(key, dict(row))):
            return _bad(count, sequence, f"row {sequence} is not the row that was written")
        previous = str(row["mac"])
    head = connection.execute(select(AUDIT_HEAD).where(AUDIT_HEAD.c.id == 1)).mappings().first()
    if head is None:
        return _bad(count, 1, "the signed head is missing") if count else AuditCheck(rows=0, first_bad=None)
    if int(head["sequence"]) != count or not is_same(str(head["mac"]), _head_mac(key, count, previous)):
        return _bad(count, count + 1, f"rows after {count} are missing, or the signed head was changed")
    return AuditCheck(rows=count, first_bad=None)


def row_of(row: RowMapping) -> AuditRow:
    """One row as a value."""
    return AuditRow(
        sequence=row["sequence"],
        at=row["at"],
        tenant_id=row["tenant_id"],
        actor=row["actor"],
        action=row["action"],
        scope_hash=row["scope_hash"],
        detail=json.loads(row["detail"]),
        result=row["result"],
        **{name: row[name] or "" for name in _CALLER},
    )
