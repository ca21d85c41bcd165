"""Where published versions lie, which one is served, and how the last run ended.

published/<tenant>/current.json          names the served version: replaced atomically, so it is old or new, never half
published/<tenant>/last_run.json         how the last run ended for the tenant
published/<tenant>/<version>/base.duckdb, health.duckdb, semantic_manifest.json, registry.json, definitions.json, version.json
published/<tenant>/<version>/by_scope/<hash>.duckdb      made on first use
published/<tenant>/.building-<version>   being built; left behind only by a run that was killed
"""

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from foundation import formats
from foundation.config import TENANT_ID
from foundation.errors import AccessError, DamagedFileError
from foundation.home import Home, write_atomically
from foundation.kept_files import KeptFile
from serving.model import LastRun, Version

CURRENT = "current.json"
LAST_RUN = "last_run.json"
BUILDING = ".building-"
OUTCOMES = ("published", "unchanged", "stopped", "failed")


@dataclass(frozen=True)
class VersionFiles:
    """The files of one version."""

    folder: Path

    @property
    def base(self) -> Path:
        return self.folder / "base.duckdb"

    @property
    def health(self) -> Path:
        return self.folder / "health.duckdb"

    @property
    def semantic_manifest(self) -> Path:
        return self.folder / "semantic_manifest.json"

    @property
    def registry(self) -> Path:
        return self.folder / "registry.json"

    @property
    def definitions(self) -> Path:
        """File of the SQL of each model (`serving.publish.model_sql`); absent in versions that an early release published."""
        return self.folder / "definitions.json"

    @property
    def lineage(self) -> Path:
        """File with the origin of the columns of marts (`serving.lineage.columns`); absent in versions that an early release
        published."""
        return self.folder / "lineage.json"

    @property
    def version(self) -> Path:
        return self.folder / "version.json"

    @property
    def scopes(self) -> Path:
        return self.folder / "by_scope"


def tenant_folder(home: Home, tenant_id: str) -> Path:
    """The tenant's folder below `published`. Raises AccessError for an invalid tenant id, before it is used as a path."""
    if not TENANT_ID.fullmatch(tenant_id):
        raise AccessError("there is no such tenant")
    return home.published(tenant_id)


def files_of(home: Home, tenant_id: str, version: str) -> VersionFiles:
    """The files of one version of a tenant."""
    return VersionFiles(tenant_folder(home, tenant_id) / version)


class _VersionFile(KeptFile):
    """`version.json` and `current.json`."""

    FORMAT = formats.VERSION
    tenant_id: str
    version: str
    published_at: datetime
    run_id: str
    rows: int
    data_as_of: date | None
    fingerprints: dict[str, str]
    number: int = 0
    digests: dict[str, str] = {}
    metricflow: str = ""


class _LastRunFile(KeptFile):
    """`last_run.json`."""

    FORMAT = formats.LAST_RUN
    run_id: str
    at: datetime
    outcome: str
    reason: str


def version_to_json(version: Version) -> bytes:
    """The content of `version.json` and `current.json`."""
    names = ("tenant_id", "version", "published_at", "run_id", "rows", "data_as_of", "number", "metricflow")
    values = {name: getattr(version, name) for name in names}
    return _VersionFile(**values, fingerprints=dict(version.fingerprints), digests=dict(version.digests)).to_bytes()


def version_of_json(content: bytes, path: Path | None = None) -> Version:
    """Reads the content that `version_to_json` of this or an earlier release wrote. Raises ValueError for other content,
    ConfigurationError if a later release wrote it."""
    return Version(**dict(_VersionFile.parse(content, path)))


def current_version(home: Home, tenant_id: str) -> Version | None:
    """The version that is served, None where nothing was published yet."""
    place = tenant_folder(home, tenant_id)
    try:
        return version_of_json((place / CURRENT).read_bytes(), place / CURRENT)
    except FileNotFoundError:
        return None
    except ValueError:
        # It names one of the whole versions that lie beside it: the newest.
        return max(versions_in(place), key=lambda version: version.order, default=None)


def versions_in(place: Path) -> list[Version]:
    """Every complete version in the folder of a tenant, served or not."""
    versions = []
    for path in place.iterdir():
        if not path.name.startswith("."):
            with suppress(FileNotFoundError, NotADirectoryError, ValueError):
                versions.append(version_of_json((path / "version.json").read_bytes(), path / "version.json"))
    return versions


def switch(home: Home, version: Version) -> None:
    """Makes a complete version the one that is served."""
    write_atomically(tenant_folder(home, version.tenant_id) / CURRENT, version_to_json(version))


def record_outcome(home: Home, tenant_id: str, *, run_id: str, outcome: str, reason: str = "") -> None:
    """Notes how a run ended for a tenant: published, unchanged, stopped (by an audit) or failed, and why."""
    if outcome not in OUTCOMES:
        raise ValueError(f"{outcome!r} is not an outcome; known are {', '.join(OUTCOMES)}")
    noted = _LastRunFile(run_id=run_id, at=datetime.now(UTC), outcome=outcome, reason=reason)
    noted.write(tenant_folder(home, tenant_id) / LAST_RUN)


def outcome(home: Home, tenant_id: str) -> LastRun | None:
    """How the last run ended for a tenant; None before the first run, and if its record is damaged."""
    try:
        noted = _LastRunFile.read(tenant_folder(home, tenant_id) / LAST_RUN)
    except DamagedFileError:
        return None
    return None if noted is None else LastRun(**dict(noted))
