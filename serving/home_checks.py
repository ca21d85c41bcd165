"""Checks of published versions, closed months and the audit log, for `clinicmart doctor`."""

import json
from collections.abc import Iterator
from functools import partial

import duckdb

from foundation import duck
from foundation.control_database import people_file
from foundation.errors import ClinicmartError
from foundation.faults import is_damage
from foundation.findings import Finding, finding
from foundation.home import Home
from foundation.keys import Keys
from serving.people.store import AccessStore
from serving.versions.closes import closes, figures_file, restated_file
from serving.versions.integrity import DAMAGED, digest_of, last_sound_version, note_damage
from serving.versions.store import CURRENT, files_of, switch, tenant_folder, version_of_json, versions_in


def versions(home: Home, tenant_id: str) -> Iterator[Finding]:
    """Versions whose files are not those that were published. Every byte is read, whenever it was last checked."""
    place = tenant_folder(home, tenant_id)
    there = versions_in(place)
    for version in there:
        files = files_of(home, tenant_id, version.version)
        bad = [
            path.name
            for path in (files.base, files.health)
            if not path.exists() or ((wanted := version.digests.get(path.name)) and digest_of(path) != wanted)
        ]
        bad += [path.name for path in (files.registry, files.semantic_manifest) if not path.exists()]
        if bad:
            is_marked = (files.folder / DAMAGED).exists()
            yield finding(
                "version_damaged",
                files.folder,
                tenant_id=tenant_id,
                detail=", ".join(bad) + (" (marked)" if is_marked else ""),
                mend=None if is_marked else partial(note_damage, home, version),
            )
    named = {version.version for version in there}
    for folder in place.iterdir():
        if folder.is_dir() and not folder.name.startswith(".") and folder.name not in named:
            yield finding("version_damaged", folder, tenant_id=tenant_id, detail="version.json")
    yield from _current(home, tenant_id, named)


def _current(home: Home, tenant_id: str, there: set[str]) -> Iterator[Finding]:
    path = tenant_folder(home, tenant_id) / CURRENT
    try:
        named = version_of_json(path.read_bytes()).version
    except FileNotFoundError:
        if not there:
            return
        named = ""
    except (ValueError, KeyError, TypeError):
        named = ""
    if named not in there:
        sound = last_sound_version(home, tenant_id)
        mend = None if sound is None or sound.version not in there else partial(switch, home, sound)
        yield finding("current_version_torn", path, tenant_id=tenant_id, mend=mend)


def closed_months(home: Home, tenant_id: str) -> Iterator[Finding]:
    """Closes whose figures or version are gone or damaged."""
    try:
        all_closes = closes(home, tenant_id)
    except (ClinicmartError, KeyError, json.JSONDecodeError) as error:
        yield finding("close_damaged", home.path / "closes" / tenant_id, tenant_id=tenant_id, detail=str(error))
        return
    key = Keys.of(home).derive_all_hex("closes", tenant_id)
    for close in all_closes:
        if not files_of(home, tenant_id, close.version).base.exists():
            what = f"close {close.number} of {close.name} names a version that is gone"
            yield finding(
                "close_damaged", files_of(home, tenant_id, close.version).folder, tenant_id=tenant_id, detail=what
            )
        restated = restated_file(home, close)
        for path in (figures_file(home, close), *([restated] if restated.exists() else [])):
            if not path.exists():
                yield finding("close_damaged", path, tenant_id=tenant_id, detail="it is missing")
            elif not _can_read(home, path, key):
                yield finding("close_damaged", path, tenant_id=tenant_id)


def audit(home: Home) -> Iterator[Finding]:
    """An audit log that is not what was written."""
    check = AccessStore.open(home).verify_audit()
    if not check.is_intact:
        yield finding("audit_altered", people_file(home), detail=check.problem)


def _can_read(home: Home, path: object, key: duck.FileKeys) -> bool:
    """Whether every table of an encrypted database can be read to its end."""
    with duck.session(home) as connection:
        try:
            duck.attach(connection, path, alias="probe", key=key, read_only=True)  # type: ignore[arg-type]
            tables = connection.execute(
                "select table_name from duckdb_tables() where database_name = 'probe'"
            ).fetchall()
            for (name,) in tables:
                connection.execute(f'create or replace temp table read as from probe."{name}"')
        except duckdb.Error as error:
            if not is_damage(str(error)):
                raise
            return False
    return True
