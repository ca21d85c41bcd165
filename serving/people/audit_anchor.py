"""Heads of the audit log outside its database: who empties the log or puts an old copy back contradicts them.

After each append one line `sequence mac signature` is added to a file (AUDIT_ANCHOR, else `audit-heads.log` of the home). Put it
where the account that serves the pages may append and not rewrite: another machine's mount, or a disk with `chattr +a`.
"""

import hashlib
import hmac
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select

from foundation.comparing import is_same
from foundation.errors import ConfigurationError
from foundation.home import AUDIT_HEADS, Home
from serving.people.tables import AUDIT

VARIABLE = "CLINICMART_AUDIT_ANCHOR"
_TAIL_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Head:
    """The last row of the log at some moment."""

    sequence: int
    mac: str


def anchor_of(home: Home) -> Path:
    """The file that heads are written to."""
    configured = os.environ.get(VARIABLE)
    return Path(configured) if configured else own_file(home)


@contextmanager
def own_files() -> Iterator[None]:
    """Within it, heads of any home go to its own file. The file that CLINICMART_AUDIT_ANCHOR names is that of the running home: a home
    that is made beside it would contradict it."""
    before = os.environ.pop(VARIABLE, None)
    try:
        yield
    finally:
        if before is not None:
            os.environ[VARIABLE] = before


def own_file(home: Home) -> Path:
    """The file of heads that lies in the home."""
    return home.path / AUDIT_HEADS


def _signature(key: bytes, head: Head) -> str:
    return hmac.new(key, f"anchor/{head.sequence}/{head.mac}".encode(), hashlib.sha256).hexdigest()


def write(file: Path, key: bytes, head: Head) -> None:
    """Adds a head. Raises ConfigurationError where the file cannot be written: nothing is shown that leaves no trace."""
    line = f"{head.sequence} {head.mac} {_signature(key, head)}\n"
    try:
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
    except OSError as error:
        raise ConfigurationError(f"the audit's heads cannot be written to {file}: {error.strerror}") from None


def heads(file: Path, key: bytes) -> list[Head]:
    """The heads at the end of the file whose signature holds; empty for a file that is not there."""
    try:
        with file.open("rb") as handle:
            handle.seek(0, os.SEEK_END)
            handle.seek(max(0, handle.tell() - _TAIL_BYTES))
            lines = handle.read().decode("ascii", "replace").splitlines()
    except OSError:
        return []
    signed = []
    for line in lines:
        sequence, _, after = line.partition(" ")
        mac, _, signature = after.partition(" ")
        if sequence.isdigit():
            head = Head(sequence=int(sequence), mac=mac)
            if is_same(signature, _signature(key, head)):
                signed.append(head)
    return signed


def contradiction(connection: Connection, file: Path, key: bytes) -> str:
    """What the database lacks that the file has seen; empty where they agree."""
    seen = heads(file, key)
    if not seen:
        has_rows = connection.execute(select(AUDIT.c.sequence).limit(1)).first() is not None
        return f"the file of its heads, {file.name}, is missing or was not written by this home" if has_rows else ""
    macs = select(AUDIT.c.sequence, AUDIT.c.mac).where(AUDIT.c.sequence.in_([head.sequence for head in seen]))
    kept = {row.sequence: row.mac for row in connection.execute(macs)}
    for head in sorted(seen, key=lambda head: head.sequence):
        if head.sequence not in kept:
            return f"row {head.sequence} was written and is gone: rows were removed, or an older copy was put back"
        if not is_same(kept[head.sequence], head.mac):
            return f"row {head.sequence} is not the row that was written"
    return ""
