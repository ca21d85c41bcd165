"""Which published versions are kept, and which version answered on a day.

A version that was replaced stays for `keep_days` (a setting of the tenant, `keep_versions_days`), the newest three stay
at any age, and one that a close names stays for ever. Of versions that are no longer served only the base and health files are
kept; scope files are derived again when somebody asks. Versions with the same data share one base file by hard link.
`published/<tenant>/removed.json` names what was removed, so that a day whose version is gone is never answered by another.
"""

import itertools
import re
import shutil
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from foundation import formats
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.kept_files import KeptFile
from serving.model import Version
from serving.versions.closes import close_of, closes, month_of, pinned_versions
from serving.versions.store import BUILDING, VersionFiles, current_version, files_of, tenant_folder, versions_in

KEEP_DAYS = 31
VERSIONS_KEPT = 3
# A version that was replaced this long ago is no longer open on any page; Streamlit sessions reopen on every run.
GRACE = timedelta(hours=1)
REMOVED = "removed.json"
SHOWN = 12
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_CLOSE = re.compile(r"close:(\d{4}-\d{2})(?:/(\d+))?")


def kept_versions(home: Home, tenant_id: str) -> tuple[Version, ...]:
    """The versions that can be asked, the oldest first, the served one last."""
    served, place = current_version(home, tenant_id), tenant_folder(home, tenant_id)
    if served is None:
        return ()
    gone = _removed(place)
    versions = [
        version for version in versions_in(place) if version.order <= served.order and version.version not in gone
    ]
    return tuple(sorted(versions, key=lambda version: version.order))


def next_number(home: Home, tenant_id: str) -> int:
    """The number of the tenant's next version: greater than the number of every existing version, even if the clock is wrong."""
    return 1 + max((version.number for version in versions_in(tenant_folder(home, tenant_id))), default=0)


def remove_old(home: Home, tenant_id: str, *, keep_days: int = KEEP_DAYS) -> None:
    """Removes what killed runs left, versions that need not be kept, and scope files of versions that are not served.

    The caller holds the tenant's publish lock. Versions after the served one were never served (the run was killed between the
    rename and the switch) and go as well. What a close pins never goes.
    """
    place, served = tenant_folder(home, tenant_id), current_version(home, tenant_id)
    for left in (*place.glob(f"{BUILDING}*"), *(place / name for name in _removed(place))):
        if left.exists():
            shutil.rmtree(left)
    if served is None:
        return
    pinned = pinned_versions(home, tenant_id)
    for version in versions_in(place):
        if version.order > served.order and version.version not in pinned:
            shutil.rmtree(place / version.version)
    versions, now = kept_versions(home, tenant_id), datetime.now(UTC)
    gone: list[Version] = []
    for position, (version, successor) in enumerate(itertools.pairwise(versions)):
        age = now - successor.published_at
        if age <= GRACE:
            continue
        newest = position >= len(versions) - VERSIONS_KEPT
        if version.version in pinned or newest or age <= timedelta(days=keep_days):
            _remove_scopes(files_of(home, tenant_id, version.version), now)
        else:
            gone.append(version)
    if gone:
        # Noted first: were the run killed in between, a day is refused that could have been answered, and no day wrongly.
        _note_removed(place, gone)
    for version in gone:
        shutil.rmtree(place / version.version)


def _remove_scopes(files: VersionFiles, now: datetime) -> None:
    """Scope files of a version that is not served; one that somebody has just asked for stays for now."""
    for path in files.scopes.glob("*.duckdb"):
        with suppress(FileNotFoundError):
            if now - datetime.fromtimestamp(path.stat().st_mtime, UTC) > GRACE:
                path.unlink()


class _RemovedFile(KeptFile):
    """`removed.json`: version to when it was published, of those that were removed."""

    FORMAT = formats.REMOVED
    removed: dict[str, datetime]

    @classmethod
    def older(cls, content: dict[str, Any], number: int) -> dict[str, Any]:  # noqa: ARG003
        return {"removed": content}


def _removed(place: Path) -> dict[str, datetime]:
    """Version to when it was published, of those that were removed."""
    noted = _RemovedFile.read(place / REMOVED)
    return {} if noted is None else noted.removed


def _note_removed(place: Path, gone: list[Version]) -> None:
    noted = _removed(place) | {version.version: version.published_at for version in gone}
    _RemovedFile(removed=noted).write(place / REMOVED)


def version_as_of(home: Home, tenant_id: str, as_of: str, *, time_zone: str) -> Version:
    """The version that `as_of` names: a version's name, a day (the version served at its end, in the tenant's zone), `close:2026-09`
    (the last close of the month) or `close:2026-09/1` (its close 1). Raises ConfigurationError, with the list of existing
    versions, if that version was removed or never existed."""
    close = _CLOSE.fullmatch(as_of)
    if close is not None:
        close_found = close_of(home, tenant_id, month_of(close[1]), None if close[2] is None else int(close[2]))
        return _kept(home, tenant_id, close_found.version, as_of)
    if _DAY.fullmatch(as_of) is None:
        return _kept(home, tenant_id, as_of, as_of)
    try:
        day = date.fromisoformat(as_of)
    except ValueError:
        raise ConfigurationError(f"--as-of {as_of!r} is not a day") from None
    end = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(time_zone)).astimezone(UTC)
    name = _served_before(home, tenant_id, end)
    if name is None:
        raise ConfigurationError(f"nothing was published by the end of {as_of}; {_there(home, tenant_id)}")
    return _kept(home, tenant_id, name, as_of)


def version_served_at(home: Home, tenant_id: str, moment: datetime) -> Version | None:
    """The version that a tenant's people saw at a moment (UTC); None where there was none, or it is no longer kept."""
    name = _served_before(home, tenant_id, moment + timedelta(microseconds=1))
    there = {version.version: version for version in kept_versions(home, tenant_id)}
    version = there.get(name or "")
    return version if version is not None and files_of(home, tenant_id, version.version).base.exists() else None


def _served_before(home: Home, tenant_id: str, end: datetime) -> str | None:
    """The name of the last version that was published before a moment, kept or removed; None where nothing was."""
    kept = {version.version: (version.published_at, version.number) for version in kept_versions(home, tenant_id)}
    gone = {name: (at, 0) for name, at in _removed(tenant_folder(home, tenant_id)).items()}
    served = [(at, number, name) for name, (at, number) in {**gone, **kept}.items() if at < end]
    return max(served)[2] if served else None


def _kept(home: Home, tenant_id: str, name: str, asked: str) -> Version:
    for version in kept_versions(home, tenant_id):
        if version.version == name and files_of(home, tenant_id, name).base.exists():
            return version
    gone = name in _removed(tenant_folder(home, tenant_id))
    what = f"the version {name} was removed" if gone else f"no version is named {name!r}"
    raise ConfigurationError(f"--as-of {asked}: {what}; {_there(home, tenant_id)}")


def _there(home: Home, tenant_id: str) -> str:
    """The versions that can be asked for, in one line: closes and the newest versions."""
    names = [version.version for version in kept_versions(home, tenant_id)]
    named = [f"close:{close.name}/{close.number}" for close in closes(home, tenant_id)]
    more = f" and {len(names) - SHOWN} older" if len(names) > SHOWN else ""
    return f"there are {', '.join([*named, *names[-SHOWN:]]) or 'none'}{more}"
