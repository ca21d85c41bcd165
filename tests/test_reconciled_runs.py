"""A tenant whose rows or money do not agree, or whose rows a test found, is not published; the others are."""

import json
import shutil
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

import dagster_project.workspace as workspace_module
from dagster_project.run import run_pipeline
from dagster_project.workspace import DBT_PROJECT, Workspace
from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from serving.publish import publish as publishing
from serving.publish.publish import current_version, outcome, publish
from serving.publish.reconciliation import bridge, summary
from serving.versions.health import published_health
from tests.ingest.test_landing import remittance
from tests.small_site import REMITTANCES as TENANTS
from tests.small_site import copy_site
from tests.support import clinicmart_here

pytestmark = pytest.mark.slow

WRONG = "assert_iris_is_wrong"
WRONG_SQL = "select tenant_id from {{ ref('dim_tenants') }} where tenant_id = 'iris'"
MODELS = ("reconciliation_mart", "reconciliation", "reconciliation_check")


@pytest.fixture(scope="module")
def built(small_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A home that was run once: everything agrees and every tenant is published."""
    return copy_site(small_site, tmp_path_factory.mktemp("reconciled") / "site")


@pytest.fixture
def workspace(small_site: Path, tmp_path: Path) -> Workspace:
    """A copy that a test may change."""
    return copy_site(small_site, tmp_path / "copy")


class Warehouse:
    """The warehouse of a home, open for changes by hand."""

    def __init__(self, home: Home) -> None:
        self.home = home

    def __enter__(self) -> duckdb.DuckDBPyConnection:
        self.connection = duck.connect(self.home)
        key = Keys.of(self.home).derive_hex("warehouse")
        duck.attach(self.connection, self.home.warehouse, alias="warehouse", key=key)
        return self.connection

    def __exit__(self, *_: object) -> None:
        self.connection.close()


def reconciled(workspace: Workspace) -> None:
    """Builds the models of the reconciliation alone, on marts as they are."""
    with workspace.dbt_environment():
        arguments = ["--quiet", "run", "--select", " ".join(MODELS)]
        done = workspace.dbt().cli(arguments, target_path=workspace.home.folder("again"), raise_on_error=False).wait()
    assert done.is_successful()


def test_every_measure_agrees_from_the_file_to_the_published_file(built: Workspace) -> None:
    version = current_version(built.home, "harbor")
    assert version is not None
    health = published_health(built.home, version)
    measures, is_open = summary(health.reconciliation_checks)
    assert measures >= 15
    assert is_open == 0
    lines = {
        (row["entity"], row["measure"]): row
        for row in bridge(health.reconciliation, health.reconciliation_checks).to_dicts()
    }
    paid = lines["remittance_claim", "payer_paid_amount"]
    assert {paid[step] for step in ("read", "marts", "published")} == {Decimal("87.0000")}
    assert lines["remittance_line", "rows"]["published"] == 2
    stations = set(health.reconciliation_checks["check_name"])
    assert stations == {"source", "gate", "landing", "load", "build", "marts", "published"}


def test_a_mart_that_lost_a_row_changed_an_amount_or_gained_a_row_stops_its_tenant_alone(workspace: Workspace) -> None:
    before = {tenant: current_version(workspace.home, tenant) for tenant in TENANTS}
    with Warehouse(workspace.home) as connection:
        connection.execute("delete from warehouse.marts.fct_remittances where tenant_id = 'harbor'")
        connection.execute(
            "update warehouse.marts.fct_remittance_claims set payer_paid_amount = payer_paid_amount - 0.01 "
            "where tenant_id = 'harbor' and claim_id like 'C2%'"
        )
        connection.execute(
            "insert into warehouse.marts.fct_remittance_lines select * replace ('twice' as remittance_line_id) "
            "from warehouse.marts.fct_remittance_lines where tenant_id = 'harbor' limit 1"
        )
    reconciled(workspace)
    report = publish(workspace.home, dbt_target=workspace.dbt_target, run_id="bug")
    assert report.stopped == ("harbor",)
    reasons = next(line.reasons for line in report.tenants if line.tenant_id == "harbor")
    told = "\n".join(reasons)
    assert "harbor: rows of remittance do not reconcile: 1 in the raw tables, 0 in the marts, 1 short" in told
    assert "harbor: rows of remittance_line do not reconcile: 2 in the raw tables, 3 in the marts, 1 too many" in told
    assert "payer paid amount of remittance_claim do not reconcile: 87.00 in the raw tables, 86.99 in the marts" in told
    assert current_version(workspace.home, "harbor") == before["harbor"]
    assert outcome(workspace.home, "mesa").outcome in ("published", "unchanged")


def test_a_published_file_that_is_short_of_a_row_is_never_served(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = current_version(workspace.home, "mesa")
    with Warehouse(workspace.home) as connection:
        connection.execute("update warehouse.marts.dim_tenants set name = 'Renamed' where tenant_id = 'mesa'")
    real = publishing._copy

    def loses_one(source, tenant, path, tables):  # type: ignore[no-untyped-def]
        rows = real(source, tenant, path, tables)
        if path.name == "base.duckdb":
            duck.attach(source.connection, path, alias="lost", key=source.keys.derive_hex("published", tenant))
            source.connection.execute("delete from lost.marts.fct_remittance_claims where claim_id like 'C1%'")
            source.connection.execute("detach lost")
        return rows

    monkeypatch.setattr(publishing, "_copy", loses_one)
    report = publish(workspace.home, dbt_target=workspace.dbt_target, run_id="short", tenants=["mesa"])
    (line,) = report.tenants
    assert line.outcome == "stopped"
    assert (
        "mesa: rows of fct_remittance_claims do not reconcile: 2 in the marts, 1 in the published file, 1 short"
        in line.reasons
    )
    assert any("payer paid amount of remittance_claim" in reason for reason in line.reasons)
    assert current_version(workspace.home, "mesa") == before
    monkeypatch.setattr(publishing, "_copy", real)
    again = publish(workspace.home, dbt_target=workspace.dbt_target, run_id="whole", tenants=["mesa"])
    assert again.published == ("mesa",)


@pytest.fixture
def mend_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """The dbt project with one more test, which finds a row of one tenant, until what this gives is called."""
    project = tmp_path / "dbt"
    shutil.copytree(DBT_PROJECT, project, ignore=shutil.ignore_patterns("target", "logs"))
    (project / "tests" / f"{WRONG}.sql").write_text(WRONG_SQL, encoding="utf-8")
    with monkeypatch.context() as patched:
        patched.setattr(workspace_module, "DBT_PROJECT", project)
        yield patched.undo


def test_a_run_publishes_those_that_pass_and_says_of_the_others_why_not_until_they_are_mended(
    workspace: Workspace, mend_project: Callable[[], None]
) -> None:
    home, folder = workspace.home, workspace.config.file.parent
    before = {tenant: current_version(home, tenant).version for tenant in TENANTS}
    for number, tenant in enumerate(TENANTS, start=11):
        (folder / tenant / "b.835").write_text(remittance(number, [("C3", "10.00", "10.00")]))
    with Warehouse(home) as connection:
        row = "warehouse.raw.remittance_claim where tenant_id = 'harbor' and claim_id = 'C1'"
        connection.execute(f"create table warehouse.raw.kept_for_the_test as select * from {row}")
        connection.execute(f"delete from {row}")

    found = run_pipeline(home, workspace.config)
    assert (found.outcome, found.stopped, found.exit_code) == ("published", ("harbor", "iris"), 1)
    harbor, iris = (next(p for p in found.problems if p.startswith(tenant)) for tenant in ("harbor", "iris"))
    assert (
        "rows of remittance_claim in feed remits do not reconcile: 3 in the landed files, 2 in the raw tables" in harbor
    )
    assert f"test {WRONG}: 1 row breaks it" in iris
    after = {tenant: current_version(home, tenant).version for tenant in TENANTS}
    assert {tenant for tenant in TENANTS if after[tenant] != before[tenant]} == {"mesa"}
    asked = clinicmart_here("status", "--home", home.path, "--json")
    assert asked.code == 0, asked.err
    status = json.loads(asked.out)
    assert status["reconciliation"]["mesa"]["open"] == []
    assert any("remittance_claim" in reason for reason in status["reconciliation"]["harbor"]["open"])
    assert status["published"]["iris"]["last_outcome"] == "stopped"
    assert "Not reconciled: harbor" in clinicmart_here("status", "--home", home.path).out

    mend_project()
    with Warehouse(home) as connection:
        connection.execute("insert into warehouse.raw.remittance_claim select * from warehouse.raw.kept_for_the_test")
        connection.execute("drop table warehouse.raw.kept_for_the_test")
    mended = run_pipeline(home, workspace.config)
    assert (mended.outcome, mended.stopped, mended.problems) == ("published", (), ())
    assert {tenant for tenant in TENANTS if current_version(home, tenant).version == before[tenant]} == set()
    assert run_pipeline(home, workspace.config).outcome == "unchanged"
