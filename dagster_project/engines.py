"""The same dbt project on a second engine, and whether both give the same marts and the same figures."""

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from dagster_project.audit import read_audit
from dagster_project.postgres_target import POSTGRES, dbt_variables, quiet_server
from dagster_project.workspace import Workspace
from foundation.errors import ClinicmartError
from ingest.landing.land_feed import progress
from ingest.load.postgres import RAW, copy_raw, create_database, planner_options, prepare_database, server_of
from serving.engine_check.marts import MartComparison, compare_marts
from serving.engine_check.metrics import MetricsComparison, compare_metrics
from serving.metrics.manifests import read_manifests


@contextmanager
def embedded_server() -> Iterator[dict[str, str]]:
    """A PostgreSQL server of our own on a socket in a temporary folder, both gone at the end; yields its libpq parameters."""
    with tempfile.TemporaryDirectory(prefix="clinicmart-postgres-") as folder, quiet_server(Path(folder)) as server:
        try:
            yield create_database(server_of(server.get_uri()), "warehouse")
        finally:
            server.cleanup()


@dataclass(frozen=True, kw_only=True)
class EngineComparison:
    """Every mart row by row, and every metric as it is asked."""

    marts: tuple[MartComparison, ...]
    metrics: MetricsComparison

    @property
    def equal(self) -> bool:
        """Whether both engines hold the same marts and answer alike."""
        return self.metrics.equal and all(mart.equal for mart in self.marts)


def compare_engines(
    workspace: Workspace, url: str | None = None, *, metrics: Sequence[str] | None = None, every: int = 1
) -> EngineComparison:
    """Builds the marts on PostgreSQL from the raw tables of the home, and compares them and the metrics with the home's.

    `url` names a database of a running server; its schemas stay for inspection. Without it a server of our own comes and goes.
    `metrics` are the names of those to ask: all for None, none for an empty sequence; `every` as in compare_metrics. No other step
    works in the home meanwhile, else the two would be built from different rows. Raises ClinicmartError where the home's marts are
    not of today's raw tables and dbt project, or where the build on PostgreSQL fails.
    """
    if url is None:
        with embedded_server() as server:
            return _build_and_compare(workspace, server, metrics, every)
    return _build_and_compare(workspace, server_of(url), metrics, every)


def _build_and_compare(
    workspace: Workspace, server: Mapping[str, str], metrics: Sequence[str] | None, every: int
) -> EngineComparison:
    with workspace.step():
        if not workspace.marts_are_current():
            raise ClinicmartError(
                f"{workspace.home.path}: the marts are not built from what the raw tables, the configuration and the dbt "
                "project are now; start with clinicmart run"
            )
        build_on_postgres(workspace, server)
        return compare_built(workspace, server, metrics=metrics, every=every)


def compare_built(
    workspace: Workspace, server: Mapping[str, str], *, metrics: Sequence[str] | None = None, every: int = 1
) -> EngineComparison:
    """Compares the home's marts with those of a PostgreSQL database; `metrics`, `every` as in compare_engines.

    The caller holds the home's step, and must ensure that both were built from the same rows.
    """
    home, keys, target, conninfo = workspace.home, workspace.keys, workspace.dbt_target, make_conninfo(**server)
    progress.info("comparing: every published mart, row by row")
    marts = compare_marts(home, keys, target, conninfo)
    if metrics is not None and not metrics:
        return EngineComparison(marts=marts, metrics=MetricsComparison())
    progress.info("comparing: %s", "the metrics named" if metrics else "every metric")
    metric_differences = compare_metrics(home, keys, target, conninfo, metrics or (), every=every)
    return EngineComparison(marts=marts, metrics=metric_differences)


def build_on_postgres(workspace: Workspace, server: Mapping[str, str]) -> None:
    """Copies the raw tables into a PostgreSQL database, and builds and tests the dbt project there.

    The caller holds the home's step. Raises ClinicmartError naming the models and tests that failed.
    """
    manifest, _, _ = read_manifests(workspace.dbt_target)
    schemas = {n["schema"] for n in manifest["nodes"].values() if n["resource_type"] in ("model", "seed", "snapshot")}
    prepare_database(server, sorted(schemas - {RAW}))
    copied = copy_raw(workspace.home, workspace.keys, server)
    progress.info("postgres: %s rows of the raw tables copied", f"{copied:,}")
    variables = dbt_variables(server)
    variables |= {"PGOPTIONS": planner_options(), "CLINICMART_TEST_SEVERITY": "error"}
    # What dbt says and leaves goes to a separate folder: the home keeps the manifest of its engine.
    with tempfile.TemporaryDirectory(prefix="clinicmart-dbt-") as folder:
        target = Path(folder) / "target"
        with (
            workspace.dbt_environment({**variables, "DBT_LOG_PATH": folder}),
            (Path(folder) / "printed.log").open("w", encoding="utf-8") as log,
            redirect_stdout(log),
        ):
            built = (
                workspace.dbt(POSTGRES)
                .cli(["--quiet", "build", "--full-refresh"], target_path=target, raise_on_error=False)
                .wait()
            )
        audit = read_audit(target)
    if audit.failures or not built.is_successful():
        reasons = "; ".join(audit.failures or ("dbt stopped before its end",))
        raise ClinicmartError(f"the dbt project does not build on PostgreSQL: {reasons}")
    progress.info("postgres: %d models built, %d tests passed", audit.models_built, audit.tests_passed)
