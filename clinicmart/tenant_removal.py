"""Takes a tenant out of a home for ever, and shows that it is gone.

    removed = remove_tenant(home, "mesa", reason="contract ended", actor="operator: ann")
    write_certificate(folder, home, removed)

First the keys are destroyed: from then on nobody reads the tenant's files, wherever copies of them are. Every key that is left is then
tried on files of the tenant. After that the files go, and the rows in databases. The audit log keeps its rows, because they form a
chain and must be kept for years: they name people who signed in, and patients by tokens alone. Who is killed runs the same again.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb

from clinicmart.proof.report import canonical, public_key, signing_key
from clinicmart.tenant_rotation import rotate_tenant
from foundation import duck, key_files, run_lock
from foundation.backup.place import Place
from foundation.backup.restore import tenant_of
from foundation.config import load_config
from foundation.control_database import has_people
from foundation.errors import ConfigurationError, DamagedFileError
from foundation.home import Home
from foundation.kept_files import read_configuration_record
from foundation.key_masters import GRANTS, expand, local_masters
from foundation.keys import ROTATING, Keys
from foundation.removed_tenants import Removal, RemovedTenants, note_removal
from ingest.accounts.removed_tenant import remove_from_ledger
from serving.people.principal import PLATFORM
from serving.people.removed_tenant import kept_audit_rows, remove_people
from serving.people.store import AccessStore
from serving.postgres.removed_tenant import remove_rows

CERTIFICATE = "removal-{}.json"
# What belongs to one tenant, below the home. The warehouse holds all tenants and is built again without it.
_OF_TENANT = (
    "landing/{}",
    "quarantine/{}",
    "index/{}",
    "inbox/{}",
    "published/{}",
    "closes/{}",
    "dagster/landed/{}",
    "vault/{}.duckdb",
    "messages/{}.sqlite",
    "payments/{}.sqlite",
    "live/{}.sealed",
    "messages/{}.lock",
    "payments/{}.lock",
    "step-{}.lock",
    "keys/.{}.lock",
)
_OF_ALL = ("warehouse", "dbt/target", "dbt/stamps", "upgrade-backup", "checkpoints")
# Files of each kind on which keys are tried.
_TRIED_OF_EACH = 5
_SAMPLES = (
    "landing/{}/*/*.parquet",
    "quarantine/{}/*.parquet",
    "index/{}/*/*/*.parquet",
    "vault/{}.duckdb",
    "published/{}/*/*.duckdb",
    "closes/{}/*.duckdb",
)
_HOME_PURPOSES = ("warehouse", "session", "audit", "backup", "proof", "upgrade-backup")
_LASTING = ("token", "inbox", "messages", "payments", "scopes")


@dataclass(frozen=True, kw_only=True)
class RemovedTenant:
    """What was removed. `files` has numbers and bytes by folder; `rows` numbers by table. Of the removal, `destroyed_keys` are fingerprints
    of key files, and `tried` says how many keys were tried on how many files, and which files one of them opened. What an earlier attempt
    that was killed had removed is not in `files` and `rows`."""

    tenant_id: str
    removal: Removal
    files: Mapping[str, Mapping[str, int]]
    rows: Mapping[str, int]
    backups: Mapping[str, int]
    kept_audit_rows: int
    notes: tuple[str, ...] = field(default=())

    @property
    def is_proven(self) -> bool:
        """Whether keys were tried, and none opened anything."""
        return bool(self.removal.tried["files"]) and not self.removal.tried["opened"]


def remove_tenant(
    home: Home,
    tenant_id: str,
    *,
    reason: str,
    actor: str,
    places: Sequence[str] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> RemovedTenant:
    """Removes a tenant. `places` are the addresses of backups from which it is taken too.

    Raises ConfigurationError where the tenant is not there or the configuration still names it, where this process may not use both
    grants, and where a place is not this home's; ClinicmartError where a run is under way.
    """
    keys = Keys.whole(home)
    earlier = RemovedTenants.of(home).tenants.get(tenant_id)
    _refuse(home, tenant_id, is_begun=earlier is not None)
    opened = [Place.existing(url, home_key=keys.derive("backup")) for url in places]
    had_earlier_keys = earlier is None and any(
        keys.of_tenant(grant, tenant_id).follows_from_earlier_master for grant in GRANTS
    )
    if had_earlier_keys:
        progress("its keys follow from the master key of an earlier release: they are rotated first")
        rotate_tenant(home, tenant_id, progress)
    # The backup first: a backup holds its lock while it waits for landings to pause.
    with run_lock.backup(home, waits=True), run_lock.alone(home), run_lock.step(home), run_lock.landing_paused(home):
        begun = Removal(reason=reason, removed_by=actor, begun_at=datetime.now(UTC), had_earlier_keys=had_earlier_keys)
        removal = note_removal(home, tenant_id, earlier or begun)
        store = AccessStore.open(home)
        store.audit(PLATFORM, actor, "tenant removal begun", detail={"tenant": tenant_id, "reason": removal.reason})
        rows = {f"access.{name}": count for name, count in remove_people(home, tenant_id).items()}
        progress("sessions ended, people and rights removed")
        rows |= _remove_from_server(home, store, tenant_id, actor)
        with key_files.locked(home):
            destroyed = tuple(dict.fromkeys((*removal.destroyed_keys, *_fingerprints(keys, tenant_id))))
            removal = note_removal(home, tenant_id, removal.model_copy(update={"destroyed_keys": destroyed}))
            _destroy_keys(home, tenant_id)
        progress("keys destroyed")
        if not removal.tried:
            tried = _try_every_key(home, keys, tenant_id)
            removal = note_removal(home, tenant_id, removal.model_copy(update={"tried": tried}))
        files = _remove_files(home, tenant_id)
        progress("files removed")
        rows |= {f"ledger.{name}": count for name, count in remove_from_ledger(home, tenant_id).items()}
        backups = {
            place.storage.url: place.remove_tenant(tenant_id, lambda file: tenant_of(file.path) == tenant_id)
            for place in opened
        }
        removal = note_removal(home, tenant_id, removal.model_copy(update={"ended_at": datetime.now(UTC)}))
        detail = {"tenant": tenant_id, "keys": list(destroyed), "files": sum(item["files"] for item in files.values())}
        store.audit(PLATFORM, actor, "tenant removed", detail=detail)
    return RemovedTenant(
        tenant_id=tenant_id,
        removal=removal,
        files=files,
        rows=rows,
        backups=backups,
        kept_audit_rows=kept_audit_rows(home, tenant_id),
        notes=_notes(opened, _replays(store, tenant_id), had_earlier_keys=removal.had_earlier_keys),
    )


def forget_tenant(home: Home, tenant_id: str) -> None:
    """Takes the rows of a tenant out of a home that was restored from a backup from which its files and keys were taken."""
    note_removal(
        home, tenant_id, Removal(reason="removed before the restore", removed_by="", begun_at=datetime.now(UTC))
    )
    if has_people(home):
        remove_people(home, tenant_id)
    remove_from_ledger(home, tenant_id)
    # A home of an earlier form was upgraded before, and then has keys of every tenant that its ledger names.
    _destroy_keys(home, tenant_id)


def write_certificate(folder: Path, home: Home, removed: RemovedTenant) -> Path:
    """Writes what was removed, signed as reports of the proof of access are: `clinicmart audit verify-report` checks it."""
    report = {
        "format": 1,
        "kind": "removal of a tenant",
        "release": version("clinicmart"),
        **facts(removed),
        "kept": {"audit rows": removed.kept_audit_rows},
    }
    key = signing_key(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / CERTIFICATE.format(removed.tenant_id)
    signed = {"report": report, "public_key": public_key(key), "signature": key.sign(canonical(report)).hex()}
    path.write_text(json.dumps(signed, indent=1), encoding="utf-8")
    return path


def _refuse(home: Home, tenant_id: str, *, is_begun: bool) -> None:
    tenants = {*home.tenants, *dict(AccessStore.open(home).tenants())}
    if tenant_id not in tenants and not is_begun:
        raise ConfigurationError(f"there is no tenant {tenant_id!r}; tenants: {', '.join(sorted(tenants)) or 'none'}")
    file = read_configuration_record(home.path).file
    if file and Path(file).exists() and tenant_id in {item.tenant_id for item in load_config(file).tenants}:
        raise ConfigurationError(
            f"{file} still names the tenant {tenant_id}; take it out first, so that no run reads its feeds again"
        )


def _remove_from_server(home: Home, store: AccessStore, tenant_id: str, actor: str) -> dict[str, int]:
    """What was removed from the PostgreSQL server, where there is one."""
    # Imported here: a restore needs none of it, and it takes seconds.
    from dagster_project.postgres_target import has_server, warehouse_server
    from dagster_project.workspace import Workspace

    file = read_configuration_record(home.path).file
    if not file or not Path(file).exists():
        return {}
    workspace = Workspace.of_home(home)
    if not has_server(workspace):
        return {}
    with warehouse_server(workspace) as server:
        removed = remove_rows(server, store, tenant_id, actor=actor)
    return {f"postgres.{name}": count for name, count in removed.items()}


def _fingerprints(keys: Keys, tenant_id: str) -> list[str]:
    """Grant and fingerprint of the tenant's key files."""
    held = {
        grant: key_files.read(key_files.path_of(keys.home, grant, tenant_id), keys.masters[grant]) for grant in GRANTS
    }
    return [f"{grant}:{item.fingerprint}" for grant, item in held.items() if item is not None]


def _destroy_keys(home: Home, tenant_id: str) -> None:
    for grant in GRANTS:
        key_files.destroy(key_files.path_of(home, grant, tenant_id))


def _try_every_key(home: Home, keys: Keys, tenant_id: str) -> dict[str, object]:
    """Tries every key that is left on files of the tenant that are still there."""
    files = [
        path for pattern in _SAMPLES for path in sorted(home.path.glob(pattern.format(tenant_id)))[:_TRIED_OF_EACH]
    ]
    left = tuple(dict.fromkeys(keys_left(keys, tenant_id)))
    opened = [str(path.relative_to(home.path)) for path in files if any_opens(home, path, left)]
    return {"keys": len(left), "files": len(files), "opened": opened}


def keys_left(keys: Keys, tenant_id: str) -> Iterator[bytes]:
    """Every key that a process with all rights to the home can derive, and those that follow from the master key in the ways of this and of
    earlier releases."""
    for purpose in _HOME_PURPOSES:
        yield keys.derive(purpose)
    for path in key_files.paths(keys.home, GRANTS[0]):
        if path.parent.name == "tenants":
            for purpose in (*ROTATING, *_LASTING):
                yield from keys.derive_all(purpose, path.stem)
    if keys.master:
        secrets = [keys.master, *(expand(keys.master, f"{grant}/") for grant in local_masters(keys.master))]
        for secret in secrets:
            yield secret
            for purpose in (*ROTATING, *_LASTING):
                yield expand(secret, f"{purpose}/{tenant_id}")
                yield expand(secret, purpose)


def any_opens(home: Home, path: Path, keys: Sequence[bytes]) -> bool:
    """Whether one of some keys opens an encrypted file."""
    if path.suffix == ".parquet":
        return any(_opens_parquet(path, key) for key in keys)
    with duck.session(home) as connection:
        return any(_opens_database(connection, path, key) for key in keys)


def _opens_parquet(path: Path, key: bytes) -> bool:
    try:
        duck.parquet_number(path, key)
    except DamagedFileError:
        return False
    return True


def _opens_database(connection: duckdb.DuckDBPyConnection, path: Path, key: bytes) -> bool:
    try:
        duck.attach(connection, path, alias="tried", key=key.hex(), read_only=True)
    except duckdb.Error:
        return False
    connection.execute("detach tried")
    return True


def _remove_files(home: Home, tenant_id: str) -> dict[str, dict[str, int]]:
    """Number and bytes of the removed files by folder of the home."""
    removed: dict[str, dict[str, int]] = {}
    for pattern in _OF_TENANT:
        path = home.path / pattern.format(tenant_id)
        files = [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]
        for file in files if path.suffix != ".lock" else ():
            of_folder = removed.setdefault(pattern.split("/")[0], {"files": 0, "bytes": 0})
            of_folder["files"] += 1
            of_folder["bytes"] += file.stat().st_size
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name in _OF_ALL:
        shutil.rmtree(home.path / name, ignore_errors=True)
    return removed


def _replays(store: AccessStore, tenant_id: str) -> tuple[str, ...]:
    """Folders of the homes that were rebuilt from this one with the tenant (`clinicmart replay`). They have other keys."""
    folders = set()
    for row in store.audit_between(PLATFORM, action="replay"):
        tenants = row.detail.get("tenants")
        if isinstance(tenants, list) and tenant_id in tenants:
            folders.add(str(row.detail["to"]))
    return tuple(sorted(folders))


def _notes(places: Sequence[Place], replays: Sequence[str], *, had_earlier_keys: bool) -> tuple[str, ...]:
    notes = [
        "The audit log keeps the rows of the tenant: they name people who signed in, and patients by tokens whose key is destroyed.",
        "The warehouse, which held the rows of all tenants, was removed as a whole; the next run builds it without this tenant.",
    ]
    if places:
        notes.append(
            "In the backups named here, the tenant's files and keys are gone; their copies of ledger.sqlite and access.sqlite still hold "
            "names of its people, and counts, until these backups are removed. A restore takes them out."
        )
    notes.append(
        "Every other backup holds the tenant's files together with their keys, and opens with its recovery key, until it is removed."
    )
    if replays:
        notes.append(
            "Homes that clinicmart replay made hold the tenant under other keys; remove these folders and their copies, where they are "
            f"still there: {', '.join(replays)}."
        )
    if had_earlier_keys:
        notes.append(
            "Copies made before this removal were written under keys that follow from the master key of an earlier release: rotate the "
            "master key (clinicmart keys rotate, then --finish) and destroy every copy of the earlier one."
        )
    return tuple(notes)


def facts(removed: RemovedTenant) -> dict[str, Any]:
    """What was removed, for JSON; the certificate holds the same."""
    removal = removed.removal
    return {
        "tenant_id": removed.tenant_id,
        "reason": removal.reason,
        "removed_by": removal.removed_by,
        "begun_at": removal.begun_at.isoformat(timespec="seconds"),
        "ended_at": removal.ended_at.isoformat(timespec="seconds") if removal.ended_at else None,
        "destroyed_keys": list(removal.destroyed_keys),
        "tried": removal.tried,
        "is_proven": removed.is_proven,
        "files": removed.files,
        "rows": removed.rows,
        "backups": removed.backups,
        "notes": list(removed.notes),
    }
