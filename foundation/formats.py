"""Every kind of file that a home keeps, and the number of its form in this release: the one list of them.

A number is raised only when an earlier release could no longer read what this one writes. Fields, columns and tables may be added
without that: readers ignore what they do not know, and fill in what an older file lacks. A file with a higher number than ours is
refused with a sentence. Files from before there were numbers count as number 0.

To change a form: raise its number here, teach its reader the older form, and where the files themselves must change add a step to
`clinicmart.upgrade` and raise HOME. docs/upgrade.md says what an operator sees of it.
"""

from dataclasses import dataclass
from pathlib import PurePosixPath

from foundation.errors import ConfigurationError

# The form of a home as a whole, in its file `format`. Raised where `clinicmart upgrade` has something to do.
HOME = 3

# SQLite databases: the number of the last Alembic step.
ACCESS, LEDGER, MESSAGES, PAYMENTS, JOURNAL = 26, 4, 1, 1, 1
# JSON: the field `format`.
CONFIGURATION = CONTROL = KEYS = VERSION = REGISTRY = LINEAGE = DEFINITIONS = CLOSES = REMOVED = LAST_RUN = REPLAY = 1
DERIVED = 1
# Encrypted DuckDB databases: the table `main.clinicmart_format`.
PUBLISHED = FIGURES = RESTATED = VAULT = WAREHOUSE = 1
# Encrypted Parquet: the key `clinicmart_format` of the file's own metadata.
LANDED = INDEXED = 1
# Sealed files of the inbox, and the live state of a tenant: their first line.
SEALED = LIVE = 1


@dataclass(frozen=True)
class Format:
    """`pattern` is a path in the home (`*` stands for one name, `**` for any). `kind` says where the number is: json, sqlite, duckdb,
    parquet, sealed; home for plain files whose form is that of the home; other for what another program writes and can make
    again; none for files without content that is kept (locks, logs)."""

    pattern: str
    kind: str
    number: int = 0


FORMATS = (
    Format("format", "home", HOME),
    Format("keys/master.key", "home", HOME),
    Format("keys/master.key.*", "home", HOME),
    Format("keys/provider.json", "json", KEYS),
    Format("keys/removed.json", "json", KEYS),
    Format("keys/*/home.key", "json", KEYS),
    Format("keys/*/tenants/*.key", "json", KEYS),
    Format("audit-heads.log", "home", HOME),
    Format("config.json", "json", CONFIGURATION),
    Format("replay.json", "json", REPLAY),
    Format("access.sqlite", "sqlite", ACCESS),
    Format("control.json", "json", CONTROL),
    Format("ledger.sqlite", "sqlite", LEDGER),
    Format("messages/*.sqlite", "sqlite", MESSAGES),
    Format("payments/*.sqlite", "sqlite", PAYMENTS),
    Format("inbox/*/*/messages.sqlite", "sqlite", JOURNAL),
    Format("inbox/*/*/**/*.sealed", "sealed", SEALED),
    Format("live/*.sealed", "sealed", LIVE),
    Format("landing/*/*/*.parquet", "parquet", LANDED),
    Format("quarantine/*/*.parquet", "parquet", LANDED),
    Format("index/*/*/*/*.parquet", "parquet", INDEXED),
    Format("vault/*.duckdb", "duckdb", VAULT),
    Format("warehouse/warehouse.duckdb", "duckdb", WAREHOUSE),
    Format("published/*/current.json", "json", VERSION),
    Format("published/*/last_run.json", "json", LAST_RUN),
    Format("published/*/removed.json", "json", REMOVED),
    Format("published/*/*/version.json", "json", VERSION),
    Format("published/*/*/registry.json", "json", REGISTRY),
    Format("published/*/*/lineage.json", "json", LINEAGE),
    Format("published/*/*/definitions.json", "json", DEFINITIONS),
    Format("published/*/*/checked.json", "json", DERIVED),
    # Written by dbt, which notes its number in it; kept versions answer without it (`serving.metrics.plain_sql`).
    Format("published/*/*/semantic_manifest.json", "other"),
    Format("published/*/*/*.duckdb", "duckdb", PUBLISHED),
    Format("published/*/*/by_scope/*.duckdb", "duckdb", PUBLISHED),
    Format("published/*/*/damaged", "none"),
    Format("closes/*/closes.json", "json", CLOSES),
    Format("closes/*/checked.json", "json", DERIVED),
    Format("closes/compiled/*.json", "json", DERIVED),
    Format("closes/*/*.restated.duckdb", "duckdb", RESTATED),
    Format("closes/*/*.duckdb", "duckdb", FIGURES),
    Format("checkpoints/checkpoints.json", "json", DERIVED),
    # Great Expectations' own files: what it found, and the pages that show it.
    Format("checkpoints/gx/**", "other"),
    Format("dbt/stamps/*.json", "json", DERIVED),
    Format("dbt/target/parsed.json", "json", DERIVED),
    Format("dbt/target/lineage.json", "json", DERIVED),
    Format("dbt/target/**", "other"),
    Format("dbt/accounts/**", "other"),
    Format("dbt/command/**", "other"),
    Format("dagster/landed/*/*.json", "json", DERIVED),
    Format("dagster/**", "other"),
    Format("postgres/**", "other"),
    Format("extensions/**", "other"),
    Format("upgrade-backup/**/*.sealed", "sealed", SEALED),
    Format("logs/**", "none"),
    Format("tmp/**", "none"),
)


def check_not_later(name: object, number: int, newest: int) -> None:
    """Raises ConfigurationError where a file or home `name` has a higher number than the one this release knows."""
    if number > newest:
        raise ConfigurationError(
            f"{name} was written by a later release of Clinicmart (format {number}, this one knows {newest}); install that release"
        )


_EMPTY_SUFFIXES = (".lock", ".sqlite-wal", ".sqlite-shm", ".wal", ".part")


def format_of(path: str) -> Format | None:
    """The form of a file, by its path in the home; None where none is listed. Locks and SQLite's own files beside a database count as
    files without content."""
    if path.endswith(_EMPTY_SUFFIXES):
        return Format(path, "none")
    parts = PurePosixPath(path).parts
    return next((item for item in FORMATS if _fits(parts, PurePosixPath(item.pattern).parts)), None)


def _fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    """Whether a path fits a pattern, part by part."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return (
            any(_fits(path[skipped:], pattern[1:]) for skipped in range(len(path) + 1)) if pattern[1:] else bool(path)
        )
    return bool(path) and PurePosixPath(path[0]).match(pattern[0]) and _fits(path[1:], pattern[1:])
