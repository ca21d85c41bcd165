"""The home folder: everything the embedded default writes, and where.

keys/master.key            32 random bytes, mode 0600 (absent where the key comes from the environment or a KMS)
keys/<grant>/...           wrapped: keys of the home and of each tenant (`foundation.key_files`)
replay.json                only in a home that `clinicmart replay` made: the day that its marts know (`foundation.replays`)
format                     the format number of the home (`foundation.formats.HOME`)
upgrade-backup/<format>/...                      sealed: files as they were before `clinicmart upgrade` changed them
inbox/<tenant>/<feed>/...                        encrypted: what came over a network, as received
live/<tenant>.sealed                             encrypted: what senders said today, for the page Today
landing/<tenant>/<entity>/<batch>.parquet        encrypted, immutable
index/<tenant>/<feed>/<table>/<unit>.parquet     encrypted: hashes of the rows of tables
quarantine/<tenant>/<batch>.parquet              encrypted
vault/<tenant>.duckdb                            encrypted: patient identifiers
ledger.sqlite                                    what was read, landed, quarantined and refused; no PHI
warehouse/warehouse.duckdb                       encrypted: raw, staging, intermediate, marts
published/<tenant>/<version>/...                 encrypted scope files, `current.json` names the version
postgres/                                        the server of --target postgres where no other is named; not encrypted
closes/<tenant>/...                              encrypted: figures of closed months and their restatements
access.sqlite                                    tenants, users, roles, sessions, audit
control.json                                     instead of access.sqlite: the PostgreSQL database that holds them, without its password
dagster/  dbt/  extensions/  logs/
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import formats
from foundation.errors import ConfigurationError

DEFAULT = Path(".clinicmart")
FORMAT_FILE = "format"
AUDIT_HEADS = "audit-heads.log"
CONTROL_FILE = "control.json"
# Homes from before there was the file.
_FIRST = 1
_SIGNS_OF_KEEPING = ("ledger.sqlite", "access.sqlite", CONTROL_FILE, "keys/master.key", "key-check")
_SIGNS_OF_USE = (
    "config.json",
    "ledger.sqlite",
    "access.sqlite",
    CONTROL_FILE,
    "keys",
    "landing",
    "published",
    "warehouse",
)


@dataclass(frozen=True)
class Home:
    """Paths below one home folder. `Home.at` makes the folder, readable by its owner alone.

    `Home.at` raises ConfigurationError for a home that a later release has worked in, and for one that `clinicmart upgrade` must bring to
    the form of this release first.
    """

    path: Path

    @classmethod
    def at(cls, path: str | Path | None = None) -> "Home":
        """The home in a folder, which is made if it is missing; None takes the default folder. Raises ConfigurationError for a
        home of an earlier release (run `clinicmart upgrade`) and of a later one."""
        home = cls.of_any_format(path)
        home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if home.format < formats.HOME:
            raise ConfigurationError(
                f"{home.path} was written by an earlier release (format {home.format}, this one writes {formats.HOME}); stop what works "
                f"in it and run clinicmart upgrade --home {home.path}"
            )
        return home

    @classmethod
    def of_any_format(cls, path: str | Path | None = None) -> "Home":
        """The same for a home of an earlier release, which only `clinicmart upgrade` may change. Makes no folder."""
        home = cls(Path(path if path is not None else DEFAULT).expanduser().resolve())
        formats.check_not_later(home.path, home.format, formats.HOME)
        return home

    @property
    def is_used(self) -> bool:
        """Whether anything of Clinicmart lies in the folder. A command that only reads must not make a home of another folder."""
        return any((self.path / name).exists() for name in _SIGNS_OF_USE)

    @property
    def format(self) -> int:
        """The number of the home's form (`foundation.formats.HOME`), that of this release for a folder in which nothing is kept yet."""
        try:
            return int((self.path / FORMAT_FILE).read_text("ascii"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return _FIRST if any((self.path / name).exists() for name in _SIGNS_OF_KEEPING) else formats.HOME

    def note_format(self) -> None:
        """Notes that the home has the form of this release."""
        self.make_private()
        if not (self.path / FORMAT_FILE).exists() or self.format != formats.HOME:
            write_atomically(self.path / FORMAT_FILE, f"{formats.HOME}\n".encode())

    def make_private(self) -> None:
        """Takes the rights of others from the home and what lies in it: earlier releases wrote some files for all to read."""
        for path in (self.path, *self.path.iterdir()):
            mode = path.lstat().st_mode
            if mode & 0o077 and not path.is_symlink():
                path.chmod(mode & 0o700)

    def folder(self, *parts: str) -> Path:
        """A folder below the home, made if absent."""
        made = self.path.joinpath(*parts)
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        return made

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.sqlite"

    @property
    def access(self) -> Path:
        return self.path / "access.sqlite"

    @property
    def master_key(self) -> Path:
        return self.path / "keys" / "master.key"

    @property
    def keys(self) -> Path:
        """The folder of key files, existing or not."""
        return self.path / "keys"

    @property
    def warehouse(self) -> Path:
        return self.folder("warehouse") / "warehouse.duckdb"

    @property
    def extensions(self) -> Path:
        return self.folder("extensions")

    @property
    def dagster(self) -> Path:
        return self.folder("dagster")

    @property
    def tenants(self) -> tuple[str, ...]:
        """Tenants that have data in the home, sorted."""
        names = {path.name for kind in ("landing", "published", "inbox") for path in self.path.glob(f"{kind}/*")}
        return tuple(sorted(name for name in names if not name.startswith(".")))

    def landing(self, tenant_id: str, entity: str) -> Path:
        return self.folder("landing", tenant_id, entity)

    def quarantine(self, tenant_id: str) -> Path:
        return self.folder("quarantine", tenant_id)

    def vault(self, tenant_id: str) -> Path:
        return self.folder("vault") / f"{tenant_id}.duckdb"

    def published(self, tenant_id: str) -> Path:
        return self.folder("published", tenant_id)

    def published_tenants(self) -> list[str]:
        """Ids of the tenants that have published versions."""
        return sorted(path.name for path in self.path.glob("published/*") if path.is_dir())


def json_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of another program; empty where the file is absent or does not parse."""
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that is either the old one or the whole new one, also after a crash."""
    # A name of one writer: threads of one process may write the same file at the same time.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except OSError:
        # A full disk: what was written of it gives its space back.
        temporary.unlink(missing_ok=True)
        raise
