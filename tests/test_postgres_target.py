"""`clinicmart run --target postgres`: the same pages from marts that PostgreSQL built, and what a failure leaves."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from clinicmart.sample import write_sample
from dagster_project import workspace as workspaces
from dagster_project.postgres_target import warehouse_server
from dagster_project.run import run_pipeline
from dagster_project.workspace import BUILT, Workspace, load_checked_config
from foundation.home import Home
from foundation.warehouse_server import WarehouseServer
from serving.publish.publish import current_version
from tests.support import clinicmart, clinicmart_here

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built() -> Iterator[tuple[Home, Path]]:
    """Two tenants of 200 appointments each, landed, built on the server of the home and published."""
    # Not below pytest's own folder: where root runs the tests, the server's user may not enter that.
    with tempfile.TemporaryDirectory(prefix="postgres-target-") as folder:
        report = write_sample(Path(folder) / "sample", tenants=2, appointments=400)
        home = Home.at(Path(folder) / "home")
        ran = clinicmart("run", "--config", report.config, "--home", home.path, "--target", "postgres")
        # The sample plants a remittance that cannot be read: the run says so, and publishes.
        assert "Published." in ran.out, ran.out + ran.err
        yield home, Path(report.config)


def query(home: Home, sql: str, login: str | None = None) -> list[tuple]:
    with warehouse_server(Workspace.of_home(home)) as server:
        chosen = server if login is None else {**server, "user": login}
        with psycopg.connect(make_conninfo(**chosen)) as connection:
            return connection.execute(sql).fetchall()


def figures(home: Home, *names: str) -> list[dict]:
    asked = ("metrics", "query", *names, "--home", home.path, "--tenant", "harbor", "--as", "admin@harbor")
    ran = clinicmart_here(*asked, "--by", "payer_class", "--format", "json")
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_pages_read_what_postgres_built_to_the_cent(built: tuple[Home, Path]) -> None:
    home, _ = built
    rows = figures(home, "billed_amount")
    served = query(home, "select sum(billed_amount)::text from marts.fct_charge_lines where tenant_id = 'harbor'")
    assert sum(Decimal(str(row["billed_amount"])) for row in rows) == Decimal(served[0][0])
    assert Decimal(served[0][0]) > 0


def test_lineage_is_read_as_where_the_home_builds(built: tuple[Home, Path]) -> None:
    home, _ = built
    ran = clinicmart_here("lineage", "billed_amount", "--home", home.path, "--tenant", "harbor", "--as", "admin@harbor")
    assert ran.code == 0, ran.err
    assert "charge" in ran.out


def test_every_table_that_is_served_is_protected_and_shown_as_a_view(built: tuple[Home, Path]) -> None:
    home, _ = built
    bare = query(
        home,
        "select c.relname from pg_class c where c.relkind = 'r' and c.relnamespace in ('marts'::regnamespace, "
        "'health'::regnamespace) and not (c.relrowsecurity and c.relforcerowsecurity and exists "
        "(select from pg_policy p where p.polrelid = c.oid and p.polname = 'reader_rows'))",
    )
    assert bare == []
    unindexed = query(
        home,
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id' "
        "where c.relkind = 'r' and c.relnamespace in ('marts'::regnamespace, 'health'::regnamespace) and not exists "
        "(select from pg_index i where i.indrelid = c.oid and i.indkey[0] = a.attnum)",
    )
    assert unindexed == []
    manifest = json.loads((home.path / "dbt" / "target" / "manifest.json").read_text("utf-8"))
    published = {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["meta"].get("publish")
    }
    views = {name for (name,) in query(home, "select viewname from pg_views where schemaname = 'bi'")}
    assert views == published
    undescribed = query(
        home,
        "select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 "
        "where c.relnamespace = 'bi'::regnamespace and (obj_description(c.oid, 'pg_class') is null "
        "or col_description(c.oid, a.attnum) is null)",
    )
    assert undescribed == []
    invokers = query(
        home, "select count(*) from pg_class where relkind = 'v' and 'security_invoker=true' = any (reloptions)"
    )
    assert invokers == [(len(views),)]
    schemas = {
        name for (name,) in query(home, "select nspname from pg_namespace where nspname !~ '^(pg_|information)'")
    }
    assert schemas == {"public", "raw", "access", "marts", "health", "bi"}


def test_no_view_shows_a_column_that_is_marked_as_a_persons(built: tuple[Home, Path]) -> None:
    home, _ = built
    manifest = json.loads((home.path / "dbt" / "target" / "manifest.json").read_text("utf-8"))
    marked = {
        (node["name"], column["name"])
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model"
        for column in node["columns"].values()
        if {**column.get("meta", {}), **column.get("config", {}).get("meta", {})}.get("identity")
        in ("patient", "account", "quasi")
    }
    shown = set(query(home, "select table_name, column_name from information_schema.columns where table_schema = 'bi'"))
    assert len(marked) > 20
    assert marked & shown == set()
    tokens = {
        pair for pair in shown if re.search(r"patient_(id|key)|claim_(id|number)|_token|source_position", pair[1])
    }
    assert tokens == set()


def test_a_login_is_made_listed_and_revoked_by_command_and_reads_its_tenant(built: tuple[Home, Path]) -> None:
    home, _ = built
    made = clinicmart_here("bi-login", "create", "--home", home.path, "--tenant", "harbor", "--label", "finance")
    assert made.code == 0, made.err
    login = made.out.split(":")[0]
    assert query(home, "select distinct tenant_id from bi.fct_charge_lines", login) == [("harbor",)]
    listed = json.loads(clinicmart_here("bi-login", "list", "--home", home.path, "--json").out)
    assert [(item["login"], item["tenants"], item["label"]) for item in listed] == [(login, ["harbor"], "finance")]
    assert clinicmart_here("bi-login", "revoke", login, "--home", home.path, "--tenant", "harbor").code == 0
    assert json.loads(clinicmart_here("bi-login", "list", "--home", home.path, "--json").out) == []


def test_another_server_is_built_and_another_password_builds_nothing(tmp_path: Path) -> None:
    file = tmp_path / "clinicmart.yaml"
    file.write_text(
        "tenants:\n  harbor: {name: Harbor, time_zone: America/Denver, feeds: [{name: remits, kind: x12, path: 835}]}\n"
    )
    config = load_checked_config(file)

    def on(home: Home, server: WarehouseServer) -> Workspace:
        return Workspace(home, replace(config, warehouse=server), target="postgres")

    home, first = Home.at(tmp_path / "home"), WarehouseServer(postgres="postgresql://ann:one@db:5432/marts")
    on(home, first).note_loaded("state")
    on(home, first).note(BUILT)
    assert on(home, first).marts_are_current()
    assert on(home, replace(first, postgres="postgresql://ann:two@db:5432/marts")).marts_are_current()
    for other in (
        WarehouseServer(),
        replace(first, citus=True),
        replace(first, postgres="postgresql://ann:one@other:5432/marts"),
        replace(first, postgres="postgresql://ann:one@db:5432/other"),
    ):
        assert not on(home, other).marts_are_current()


def test_a_run_without_news_builds_nothing_and_one_that_fails_shows_nothing(
    built: tuple[Home, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, file = built
    again = run_pipeline(home, load_checked_config(file), target="postgres")
    assert again.outcome == "unchanged"
    served = query(home, "select oid, relname from pg_class where relnamespace = 'marts'::regnamespace order by 1")
    version = current_version(home, "harbor")
    project = Path(shutil.copytree(workspaces.DBT_PROJECT, tmp_path / "dbt"))
    # dbt stops at its very first statement: nobody waits for a build here.
    settings = project / "dbt_project.yml"
    settings.write_text(settings.read_text("utf-8") + '\non-run-start: ["select 1 / 0"]\n', encoding="utf-8")
    monkeypatch.setattr(workspaces, "DBT_PROJECT", project)
    outcome = run_pipeline(home, load_checked_config(file), target="postgres")
    assert outcome.outcome == "stopped"
    assert "nothing is published" in outcome.problems[-1]
    assert (
        query(home, "select oid, relname from pg_class where relnamespace = 'marts'::regnamespace order by 1") == served
    )
    assert current_version(home, "harbor") == version
