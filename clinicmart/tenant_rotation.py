"""New keys for one tenant: everything of it is written again under them, step by step, while runs and readers work.

The tenant's key files get a newer generation first. From then on everything new is written under it, and files are opened with the
generation that fits. Then each file is written again. The earlier generation is destroyed when no file needs it. Who is killed runs the
same again: files that are under the newest keys are left alone.

Not written again is what lasts (`foundation.keys.ROTATING`): tokens in the rows, hashes of messages and payments, the inbox, surrogates.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from foundation import duck, formats, key_files, run_lock
from foundation.errors import ClinicmartError, ConfigurationError, DamagedFileError
from foundation.home import Home, write_atomically
from foundation.key_masters import GRANTS
from foundation.keys import Keys
from serving.scope_files.derive import remove_scope_files
from serving.versions.integrity import BEING_REPLACED, digest_of

# Below the home: the pattern of encrypted Parquet files of a tenant, and the number of their form.
_PARQUET = (
    ("landing/{}/*/*.parquet", formats.LANDED),
    ("quarantine/{}/*.parquet", formats.LANDED),
    ("index/{}/*/*/*.parquet", formats.INDEXED),
)
# Files that are written again under one lock: a run that waits for it waits for seconds.
_AT_ONCE = 25


@dataclass(frozen=True, kw_only=True)
class TenantRotated:
    """What was done: files that were written again, and numbers of the generations that were destroyed."""

    files: int
    destroyed: tuple[int, ...]


@dataclass
class _Rotation:
    home: Home
    tenant_id: str
    keys: Keys
    progress: Callable[[str], None]
    files: int = 0
    # (device, inode) of a file of several versions to what it became.
    linked: dict[tuple[int, int], Path] = field(default_factory=dict)


def rotate_tenant(home: Home, tenant_id: str, progress: Callable[[str], None] = lambda _: None) -> TenantRotated:
    """Gives a tenant new keys, writes everything of it again, and destroys the earlier keys.

    `progress` gets sentences. Raises ConfigurationError for a tenant without data and for a process that may not use both grants,
    ClinicmartError where another rotation of the tenant is under way.
    """
    keys = Keys.whole(home)
    if tenant_id not in home.tenants:
        raise ConfigurationError(
            f"{home.path} has no tenant {tenant_id!r}; tenants: {', '.join(home.tenants) or 'none'}"
        )
    with _alone(home, tenant_id):
        work = _Rotation(home, tenant_id, keys, progress)
        _begin(work)
        _write_parquet_again(work)
        _write_vault_again(work)
        _write_published_again(work)
        _write_closes_again(work)
        return TenantRotated(files=work.files, destroyed=_end(work))


@contextmanager
def _alone(home: Home, tenant_id: str) -> Iterator[None]:
    try:
        with FileLock(home.keys / f".{tenant_id}.lock", timeout=0):
            yield
    except Timeout:
        raise ClinicmartError(
            f"{tenant_id}: another rotation of this tenant's keys is under way; wait for it to end"
        ) from None


def _begin(work: _Rotation) -> None:
    """Adds a generation to both files, or to neither where an earlier rotation did."""
    with _everything_held(work):
        for grant in GRANTS:
            with key_files.locked(work.home):
                held = work.keys.of_tenant(grant, work.tenant_id)
                if len(held.generations) == 1:
                    path = key_files.path_of(work.home, grant, work.tenant_id)
                    key_files.replace_keys(path, work.keys.masters[grant], held.with_new_generation())


def _end(work: _Rotation) -> tuple[int, ...]:
    """Destroys the earlier generations once everything opens with the newest."""
    destroyed: set[int] = set()
    with _waiting_for_backup(work.home), _everything_held(work):
        left = [path for path, opens in _all_files(work) if not opens]
        if left:
            raise ClinicmartError(
                f"{work.tenant_id}: {len(left)} files are still under an earlier key, or are damaged, such as {left[0]}; run "
                "clinicmart doctor, then this command again. The earlier keys stay valid"
            )
        remove_scope_files(work.home, work.tenant_id)
        for grant in GRANTS:
            with key_files.locked(work.home):
                held = work.keys.of_tenant(grant, work.tenant_id)
                destroyed |= {item.number for item in held.generations[1:]}
                path = key_files.path_of(work.home, grant, work.tenant_id)
                key_files.replace_keys(path, work.keys.masters[grant], held.with_newest_only())
    return tuple(sorted(destroyed))


@contextmanager
def _everything_held(work: _Rotation) -> Iterator[None]:
    """While nothing lands, loads, publishes or closes for the tenant."""
    with ExitStack() as held:
        held.enter_context(run_lock.step(work.home))
        held.enter_context(run_lock.landing_paused(work.home))
        for lock in _locks(work):
            held.enter_context(lock)
        yield


@contextmanager
def _waiting_for_backup(home: Home) -> Iterator[None]:
    """A backup has the key files of its end and the files of its beginning: it is waited for."""
    with run_lock.backup(home, waits=True):
        yield


def _locks(work: _Rotation) -> list[FileLock]:
    """The locks of those who publish and close."""
    names = (("published", ".publish.lock"), ("closes", ".lock"))
    folders = [(work.home.path / name / work.tenant_id, lock) for name, lock in names]
    return [FileLock(folder / lock) for folder, lock in folders if folder.is_dir()]


def _write_parquet_again(work: _Rotation) -> None:
    pending = [
        (path, number)
        for pattern, number in _PARQUET
        for path in sorted(work.home.path.glob(pattern.format(work.tenant_id)))
    ]
    for start in range(0, len(pending), _AT_ONCE):
        with run_lock.step(work.home, work.tenant_id), duck.session(work.home) as connection:
            name_of = duck.add_parquet_keys(connection, work.keys.derive_all("landing", work.tenant_id))
            for path, number in pending[start : start + _AT_ONCE]:
                if path.exists() and name_of(path) != duck.PARQUET_KEY:
                    new = _beside(path)
                    connection.execute(
                        f"copy (select * from {duck.parquet_of(path, name_of(path))}) to {duck.quoted(str(new))} "
                        f"({duck.parquet_options(number)})"
                    )
                    _put(work, new, path)
        work.progress(f"landed rows: {min(start + _AT_ONCE, len(pending)):,} of {len(pending):,} files")


def _write_vault_again(work: _Rotation) -> None:
    with run_lock.step(work.home, work.tenant_id):
        _write_database_again(work, work.home.vault(work.tenant_id), "vault")


def _write_closes_again(work: _Rotation) -> None:
    for path in sorted(work.home.path.glob(f"closes/{work.tenant_id}/*.duckdb")):
        with FileLock(path.parent / ".lock"):
            _write_database_again(work, path, "closes")


def _write_published_again(work: _Rotation) -> None:
    """Every kept version, and the digests that are noted of its files."""
    folder = work.home.path / "published" / work.tenant_id
    versions = sorted(path for path in folder.glob("*") if path.is_dir() and not path.name.startswith("."))
    for number, version in enumerate(versions, start=1):
        with FileLock(folder / ".publish.lock"):
            notes = [
                path for path in (version / "version.json", folder / "current.json") if _is_note_of(path, version.name)
            ]
            files = sorted(version.glob("*.duckdb"))
            to_write = [path for path in files if not _opens(work, path, "published")]
            # Also those that a killed rotation wrote without coming to note their digests.
            to_note = [path for path in files if path in to_write or _is_being_replaced(notes, path.name)]
            _note_digests(notes, {path.name: BEING_REPLACED for path in to_write})
            for path in to_write:
                _write_database_again(work, path, "published")
            _note_digests(notes, {path.name: digest_of(path) for path in to_note})
        work.progress(f"published versions: {number} of {len(versions)}")


def _is_note_of(path: Path, version: str) -> bool:
    return path.exists() and json.loads(path.read_bytes()).get("version") == version


def _is_being_replaced(notes: Sequence[Path], name: str) -> bool:
    return any(json.loads(path.read_bytes()).get("digests", {}).get(name) == BEING_REPLACED for path in notes)


def _note_digests(notes: Sequence[Path], digests: Mapping[str, str]) -> None:
    """Sets the digests of files in the notes of a version."""
    for path in notes if digests else ():
        content = json.loads(path.read_bytes())
        content["digests"] = content.get("digests", {}) | dict(digests)
        write_atomically(path, json.dumps(content, indent=1).encode())


def _write_database_again(work: _Rotation, path: Path, purpose: str) -> None:
    """Copies a database under the newest key and puts the copy in its place; one that has it, or is absent, stays."""
    if not path.exists() or _opens(work, path, purpose):
        return
    status = path.stat()
    same = (status.st_dev, status.st_ino)
    new = _beside(path)
    if status.st_nlink > 1 and same in work.linked:
        os.link(work.linked[same], new)
    else:
        with duck.session(work.home) as connection:
            keys = work.keys.derive_all_hex(purpose, work.tenant_id)
            duck.attach(connection, path, alias="earlier", key=keys, read_only=True)
            duck.attach(connection, new, alias="newer", key=keys[0])
            connection.execute("copy from database earlier to newer")
            connection.execute("checkpoint newer")
            connection.execute("detach newer")
    _put(work, new, path)
    work.linked[same] = path


def _all_files(work: _Rotation) -> Iterator[tuple[Path, bool]]:
    """Every file of the tenant, and whether the newest key opens it."""
    for pattern, _ in _PARQUET:
        for path in work.home.path.glob(pattern.format(work.tenant_id)):
            yield path, _opens_parquet(work, path)
    with duck.session(work.home) as connection:
        for pattern, purpose in (
            ("vault/{}.duckdb", "vault"),
            ("published/{}/*/*.duckdb", "published"),
            ("closes/{}/*.duckdb", "closes"),
        ):
            for path in work.home.path.glob(pattern.format(work.tenant_id)):
                yield path, _opens_in(connection, work, path, purpose)


def _opens(work: _Rotation, path: Path, purpose: str) -> bool:
    """Whether the newest key opens a database."""
    with duck.session(work.home) as connection:
        return _opens_in(connection, work, path, purpose)


def _opens_in(connection: duckdb.DuckDBPyConnection, work: _Rotation, path: Path, purpose: str) -> bool:
    try:
        duck.attach(connection, path, alias="probe", key=work.keys.derive_hex(purpose, work.tenant_id), read_only=True)
    except duckdb.Error:
        return False
    connection.execute("detach probe")
    return True


def _opens_parquet(work: _Rotation, path: Path) -> bool:
    try:
        duck.parquet_number(path, work.keys.derive("landing", work.tenant_id))
    except DamagedFileError:
        return False
    return True


def _beside(path: Path) -> Path:
    """A name for a new file that nobody takes for one of the home's."""
    return path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}")


def _put(work: _Rotation, new: Path, path: Path) -> None:
    new.chmod(0o600)
    # On disk before the key of the earlier file goes.
    key_files.sync(new)
    os.replace(new, path)
    key_files.sync(path.parent)
    work.files += 1
