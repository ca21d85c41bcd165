"""Brings a home that an earlier release wrote to the form of this one (`foundation.formats`).

    for change in changes(home): print(change.sentence)
    upgrade(home)

Every change is made as a whole or not at all, is found again by looking at the home, and changes nothing when it is made twice: who is
killed runs the same command again. What changes is copied first into `upgrade-backup/<from-format>`, sealed, because names of files
in an old ledger are not encrypted. The number of the home is written last.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from foundation import earlier_keys, formats, key_files
from foundation.config import TENANT_ID
from foundation.errors import ClinicmartError
from foundation.faults import naming
from foundation.home import CONTROL_FILE, FORMAT_FILE, Home
from foundation.key_masters import INGEST
from foundation.keys import Keys
from foundation.migrations import Prepare, Store
from foundation.run_lock import alone, is_held
from ingest.inbox.inbox import Inbox
from ingest.inbox.mllp_journal import JOURNAL
from ingest.landing.payment_memory import PAYMENTS
from ingest.ledger import LEDGER
from ingest.sealed_names import register
from ingest.sources.hl7v2.seen_messages import MESSAGES
from serving.people import control_server
from serving.people.store import AccessStore
from serving.people.tables import ACCESS

BACKUP = "upgrade-backup"
# Pattern in the home, the kind of database, and what its new form is about.
_STORES: tuple[tuple[str, Store, str], ...] = (
    ("ledger.sqlite", LEDGER, "names of feed files are encrypted"),
    ("access.sqlite", ACCESS, "sign-ins, rights and audit keep what this release records"),
    ("messages/*.sqlite", MESSAGES, "the database gets a number"),
    ("payments/*.sqlite", PAYMENTS, "the database gets a number"),
    ("inbox/*/*/messages.sqlite", JOURNAL, "the database gets a number"),
)


@dataclass(frozen=True)
class Change:
    """One change: `sentence` says it, `path` is the file that it changes, and `make` makes it."""

    sentence: str
    path: Path
    make: Callable[[], object]


def changes(home: Home) -> tuple[Change, ...]:
    """What `upgrade` would change, in its order; nothing for a home of this release. Reads only.

    Raises ConfigurationError where the home, or one of its databases, is of a later release.
    """
    needed = [*_keys(home), *_databases(home), *_people_on_server(home), *_scope_files(home), *_earlier_key_files(home)]
    if home.format < formats.HOME:
        sentence = f"the home gets format {formats.HOME} (it has {home.format}); earlier releases then refuse it"
        needed.append(Change(sentence, home.path / FORMAT_FILE, lambda: _finish(home)))
    return tuple(needed)


def _finish(home: Home) -> None:
    if home.access.exists():
        AccessStore.open(home).begin_anchor()
    home.note_format()


def upgrade(home: Home, progress: Callable[[str], None] = lambda _: None) -> int:
    """Makes every change, after a copy of what it changes; returns how many.

    `progress` is called with each change's sentence before it is made. Raises ClinicmartError where something works in the home,
    and what `changes` raises.
    """
    if is_held(home):
        raise ClinicmartError(f"{home.path}: a run is under way in this home; wait for it to end, then upgrade")
    with alone(home):
        # A home that cannot be upgraded is refused before anything is written.
        changes(home)
        with_keys = tuple(_keys(home))
        for change in with_keys:
            # Key files only add to the home, and what is copied below is sealed with their keys.
            progress(change.sentence)
            change.make()
        to_make = changes(home)
        _back_up(home, [change.path for change in to_make])
        for change in to_make:
            progress(change.sentence)
            with naming(change.path):
                change.make()
    return len(with_keys) + len(to_make)


def backup_folder(home: Home) -> Path:
    """Where the files of a home lie as they were before they were brought to the form of this release."""
    return home.path / BACKUP / f"{formats.HOME - 1}"


def _keys(home: Home) -> Iterator[Change]:
    """Key files, in a home that has none because every key followed from its master key."""
    if home.format >= formats.HOME or earlier_keys.has_key_files(home):
        return
    tenants = _tenants(home)
    sentence = f"the home and {len(tenants)} tenants get key files; the keys that they have stay valid"
    yield Change(
        sentence, key_files.path_of(home, INGEST), lambda: earlier_keys.carry_over(home, _scopes(home, tenants))
    )


def _earlier_key_files(home: Home) -> Iterator[Change]:
    for path in earlier_keys.left_over(home):
        sentence = f"{path.relative_to(home.path)} is removed: the key files say what it said"
        yield Change(sentence, path, path.unlink)


def _tenants(home: Home) -> list[str]:
    """Every tenant that anything in a home belongs to."""
    folders = {
        path.name for name in ("index", "quarantine", "closes") for path in home.path.glob(f"{name}/*") if path.is_dir()
    }
    files = {path.stem for name in ("vault", "messages", "payments") for path in home.path.glob(f"{name}/*.*")}
    names = {*home.tenants, *folders, *files, *_asked(home.ledger, "select distinct tenant_id from unit")}
    return sorted(name for name in names if TENANT_ID.fullmatch(name) and name != "compiled")


def _scopes(home: Home, tenants: list[str]) -> dict[str, set[str]]:
    """Tenant to the hashes of scopes in its audit rows."""
    scopes: dict[str, set[str]] = {tenant_id: set() for tenant_id in tenants}
    for name in _asked(home.access, "select distinct tenant_id || '/' || scope_hash from audit where scope_hash <> ''"):
        tenant_id, _, scope_hash = name.partition("/")
        if tenant_id in scopes:
            scopes[tenant_id].add(scope_hash)
    return scopes


def _asked(path: Path, query: str) -> set[str]:
    """The first column of a query; nothing where the database is absent or has no such table."""
    if not path.exists():
        return set()
    with naming(path), closing(sqlite3.connect(path)) as connection:
        try:
            return {str(row[0]) for row in connection.execute(query)}
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return set()
            raise


def _databases(home: Home) -> Iterator[Change]:
    for pattern, store, meaning in _STORES:
        for path in sorted(home.path.glob(pattern)):
            with naming(path):
                form = store.form(path)
            store.check(path, form)
            if form is not None and form != store.newest:
                name = path.relative_to(home.path)
                sentence = f"{name} is brought from form {int(form)} to form {int(store.newest)}: {meaning}"
                yield Change(sentence, path, _steps(home, store, path))


def _people_on_server(home: Home) -> Iterator[Change]:
    """The database of people on a PostgreSQL server. Its steps are one transaction of the server, and no copy is made: the server's own
    backup, or `clinicmart backup`, is one."""
    form = control_server.older_form(home)
    if form is not None:
        sentence = f"{control_server.NAME} is brought from form {int(form)} to form {int(ACCESS.newest)}"
        yield Change(sentence, home.path / CONTROL_FILE, lambda: control_server.bring_up_to_date(home))


def _scope_files(home: Home) -> Iterator[Change]:
    """Scope files under an earlier name of their folder, which nobody opens any more; they can be made again."""
    for path in sorted(home.path.glob("published/*/*/scopes")):
        name = path.relative_to(home.path)
        sentence = f"{name} is removed: scope files are made again in another folder"
        yield Change(sentence, path, lambda path=path: shutil.rmtree(path))  # type: ignore[misc]


def _steps(home: Home, store: Store, path: Path) -> Callable[[], object]:
    def make() -> None:
        prepare: Prepare | None = register(Keys.of(home)) if store is LEDGER else None
        store.bring_up_to_date(path, prepare)

    return make


def _back_up(home: Home, paths: list[Path]) -> None:
    """Copies files, sealed, below `backup_folder`. A copy that is there is from an upgrade that was killed: it is the older one and
    stays."""
    there = [path for path in paths if path.is_file()]
    if not there:
        return
    folder = backup_folder(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    backup = Inbox(folder, Keys.of(home).derive("upgrade-backup"))
    for path in there:
        name = str(path.relative_to(home.path))
        if not backup.path(name).exists():
            with backup.write(name) as writer:
                writer.write(_content(path))


def restored(home: Home, name: str) -> bytes:
    """The content of a file as it was before the upgrade, by its path in the home. Raises BrokenSeal, OSError."""
    backup = Inbox(backup_folder(home), Keys.of(home).derive("upgrade-backup"))
    return b"".join(backup.read(backup.path(name)))


def _content(path: Path) -> bytes:
    """The bytes of a file; of a database with the content of its write-ahead log."""
    if path.suffix != ".sqlite":
        return path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        return connection.serialize()
