"""Which months of a tenant were closed, by whom, from which version, and which closes were reopened.

closes/<tenant>/closes.json                   every close that there ever was: replaced atomically, nothing is taken out of it
closes/<tenant>/2026-09.1.duckdb              encrypted: the figures of close 1 of September 2026; never written again
closes/<tenant>/2026-09.1.restated.duckdb     encrypted: what changed of them since; replaced as a whole after a publish
closes/compiled/<digest>.json                 compiled questions, so that they are not compiled again for every publish

No run and no rebuild touches this folder. A month that was reopened is closed again as close 2; close 1 stays as it was.
A file counts when `closes.json` names it: a close that was killed leaves at most a file that the next close writes over.
"""

import calendar
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import BaseModel, ConfigDict

from foundation import formats
from foundation.config import TENANT_ID
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from foundation.kept_files import KeptFile
from foundation.keys import Keys

CLOSES = "closes.json"
_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


class _CloseFacts(BaseModel):
    """The facts of one close of one month, in the file and in memory.

    `number` counts the closes of the month from 1; `version` is the published version whose figures are frozen, and `run_id` the
    run that published it; `figures` counts them. `missing` names the missing data and `accepted_because` the reason for closing
    the month nevertheless; both are empty for a month with complete data. `doubts` are the findings of plausibility about the
    month, a sentence each. `reopened_at` is None while the close is valid. Times are UTC.
    """

    model_config = ConfigDict(frozen=True)
    number: int
    version: str
    run_id: str
    closed_at: datetime
    closed_by: str
    figures: int
    missing: tuple[str, ...] = ()
    accepted_because: str = ""
    doubts: tuple[str, ...] = ()
    reopened_at: datetime | None = None
    reopened_by: str = ""
    reopened_because: str = ""


class Close(_CloseFacts):
    """One close of one month of a tenant. `month` is its first day."""

    tenant_id: str
    month: date

    @property
    def name(self) -> str:
        """`2026-09`."""
        return f"{self.month:%Y-%m}"

    @property
    def last_day(self) -> date:
        return last_day(self.month)

    @property
    def stands(self) -> bool:
        """Whether it was not reopened."""
        return self.reopened_at is None

    @property
    def facts(self) -> dict[str, Any]:
        """Name to value of the fields that the file holds, without the month."""
        return self.model_dump(include=set(_CloseFacts.model_fields))


class _CloseRecord(_CloseFacts):
    """A close as the file holds it, with the month as `2026-09`. What a later release adds is kept when this one writes the file."""

    model_config = ConfigDict(extra="allow")
    month: str

    def close(self, tenant_id: str) -> Close:
        """The same as a close of a tenant."""
        facts = {name: getattr(self, name) for name in _CloseFacts.model_fields}
        return Close(tenant_id=tenant_id, month=month_of(self.month), **facts)


class _ClosesFile(KeptFile):
    """`closes.json`."""

    FORMAT = formats.CLOSES
    closes: tuple[_CloseRecord, ...] = ()


def month_of(text: str) -> date:
    """The first day of a month given as `2026-09`. Raises ConfigurationError for anything else."""
    match = _MONTH.fullmatch(text)
    if match is None or match[1] == "0000":
        raise ConfigurationError(f"{text!r} is not a month, such as 2026-09")
    return date(int(match[1]), int(match[2]), 1)


def last_day(month: date) -> date:
    """The last day of the month that begins on a day."""
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def folder(home: Home, tenant_id: str) -> Path:
    """The tenant's folder below `closes`. Raises AccessError for an invalid tenant id, before it is used as a path."""
    if not TENANT_ID.fullmatch(tenant_id):
        raise AccessError("there is no such tenant")
    return home.folder("closes", tenant_id)


def figures_file(home: Home, close: Close) -> Path:
    """Where the frozen figures of a close are."""
    return folder(home, close.tenant_id) / f"{close.name}.{close.number}.duckdb"


def restated_file(home: Home, close: Close) -> Path:
    """Where the restatements of a close are; absent until the first publish after it."""
    return folder(home, close.tenant_id) / f"{close.name}.{close.number}.restated.duckdb"


def keys_of(home: Home, tenant_id: str) -> tuple[str, ...]:
    """The keys of a tenant's closes, as `duck.attach` takes them."""
    return Keys.of(home).derive_all_hex("closes", tenant_id)


@contextmanager
def locked(home: Home, tenant_id: str) -> Iterator[None]:
    """One at a time closes, reopens or restates a tenant's months."""
    with FileLock(folder(home, tenant_id) / ".lock"):
        yield


def closes(home: Home, tenant_id: str) -> tuple[Close, ...]:
    """Every close of a tenant, reopened or not, by month and number."""
    if not TENANT_ID.fullmatch(tenant_id):
        raise AccessError("there is no such tenant")
    noted = (_ClosesFile.read(home.path / "closes" / tenant_id / CLOSES) or _ClosesFile()).closes
    return tuple(sorted((item.close(tenant_id) for item in noted), key=lambda c: (c.month, c.number)))


def standing(home: Home, tenant_id: str) -> tuple[Close, ...]:
    """The closes that were not reopened: at most one a month."""
    return tuple(close for close in closes(home, tenant_id) if close.stands)


def close_of(home: Home, tenant_id: str, month: date, number: int | None = None) -> Close:
    """A close by month and number, the last one for None. Raises ConfigurationError naming those there are."""
    all_of = closes(home, tenant_id)
    matching = [close for close in all_of if close.month == month and number in (None, close.number)]
    if not matching:
        asked = f"{month:%Y-%m}" + (f" (close {number})" if number is not None else "")
        names = ", ".join(f"{close.name} (close {close.number})" for close in all_of) or "none"
        raise ConfigurationError(f"the month {asked} was not closed; closed months are: {names}")
    return matching[-1]


def pinned_versions(home: Home, tenant_id: str) -> frozenset[str]:
    """Published versions that a close names, reopened or not: they are kept for ever."""
    return frozenset(close.version for close in closes(home, tenant_id))


def record(home: Home, close: Close) -> None:
    """Notes a new close. The caller holds `locked`."""
    _write(home, close.tenant_id, (*closes(home, close.tenant_id), close))


def record_reopened(home: Home, close: Close, *, at: datetime, by: str, because: str) -> Close:
    """Notes that a close was reopened; everything it froze stays. The caller holds `locked`."""
    changed = close.model_copy(update={"reopened_at": at, "reopened_by": by, "reopened_because": because})
    others = [
        item for item in closes(home, close.tenant_id) if (item.month, item.number) != (close.month, close.number)
    ]
    _write(home, close.tenant_id, (*others, changed))
    return changed


def _write(home: Home, tenant_id: str, all_of: tuple[Close, ...]) -> None:
    path = folder(home, tenant_id) / CLOSES
    noted = {(item.month, item.number): item for item in (_ClosesFile.read(path) or _ClosesFile()).closes}
    records = []
    for item in sorted(all_of, key=lambda close: (close.month, close.number)):
        values = item.facts | {"month": item.name}
        before = noted.get((item.name, item.number))
        records.append(_CloseRecord(**values) if before is None else before.model_copy(update=values))
    _ClosesFile(closes=tuple(records)).write(path)
