"""Both engines give the same marts, and a difference on either side is found and named."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from dagster_project.engines import compare_engines, embedded_server
from dagster_project.run import run_pipeline
from dagster_project.workspace import Workspace, load_checked_config
from foundation import duck
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from ingest.sample import write_sample
from ingest.warehouse_postgres import MARK, prepare_database, server_of
from serving.compare import compare_marts
from tests.support import Ran, clinicmart

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Three tenants of 250 appointments each, published."""
    folder = tmp_path_factory.mktemp("engines")
    report = write_sample(folder / "sample", tenants=3, appointments=750)
    home = Home.at(folder / "home")
    assert run_pipeline(home, load_checked_config(report.config)).outcome == "published"
    return home


@pytest.fixture(scope="module")
def server() -> Iterator[dict[str, str]]:
    with embedded_server() as parameters:
        yield parameters


def url_of(server: dict[str, str]) -> str:
    return f"postgresql://{server['user']}@/{server['dbname']}?host={server['host']}"


def contents(home: Home) -> dict[str, str]:
    files = (path for path in home.path.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def compared(home: Home, server: dict[str, str]) -> Ran:
    """The command on a server by URL; the home is the same before and after, to the byte."""
    before = contents(home)
    ran = clinicmart("compare-engines", "--home", home.path, "--postgres", url_of(server), "--json")
    assert contents(home) == before
    return ran


def test_every_published_mart_is_the_same_on_both_engines(compared: Ran, home: Home) -> None:
    assert compared.code == 0, compared.out + compared.err
    found = json.loads(compared.out)
    assert found["equal"] is True
    manifest = json.loads((home.path / "dbt" / "target" / "manifest.json").read_text("utf-8"))
    published = {
        node["name"]
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["schema"] == "marts" and node["config"]["meta"].get("publish")
    }
    marts = {mart["mart"]: mart for mart in found["marts"]}
    assert set(marts) == published
    assert [name for name, mart in marts.items() if not mart["rows_duckdb"]] == []
    assert [name for name, mart in marts.items() if mart["rows_duckdb"] != mart["rows_postgres"]] == []
    assert [name for name, mart in marts.items() if not mart["equal"]] == []


def test_differences_planted_in_postgres_are_found_by_key(compared: Ran, home: Home, server: dict[str, str]) -> None:
    assert compared.code == 0
    one = "(select {0} from marts.{1} where tenant_id = 'mesa' order by {0} limit 1)"
    with psycopg.connect(make_conninfo(**server)) as connection:
        cent = connection.execute(
            "update marts.fct_charge_lines set billed_amount = billed_amount + 0.01 where tenant_id = 'mesa' "
            f"and charge_line_id = {one.format('charge_line_id', 'fct_charge_lines')} returning charge_line_id"
        ).fetchone()
        gone = connection.execute(
            "delete from marts.fct_claims where tenant_id = 'mesa' "
            f"and claim_id = {one.format('claim_id', 'fct_claims')} returning claim_id"
        ).fetchone()
        connection.execute(
            "create temp table another as select * from marts.dim_payers where tenant_id = 'mesa' limit 1"
        )
        connection.execute("update another set payer_id = 'only here', payer_key = 'mesa|only here'")
        connection.execute("insert into marts.dim_payers select * from another")
        connection.execute("alter table marts.dim_tenants add column made_up text")
    marts = {
        mart.mart: mart
        for mart in compare_marts(home, Keys.of(home), home.path / "dbt" / "target", make_conninfo(**server))
    }
    assert cent is not None
    assert gone is not None
    different = {name for name, mart in marts.items() if not mart.equal}
    assert different == {"fct_charge_lines", "fct_claims", "dim_payers", "dim_tenants"}
    line = marts["fct_charge_lines"]
    assert (line.rows_differing, line.columns) == (1, ("billed_amount",))
    assert line.keys == ({"tenant_id": "mesa", "charge_line_id": cent[0]},)
    claim = marts["fct_claims"]
    assert (claim.rows_duckdb - claim.rows_postgres, claim.rows_differing, claim.columns) == (1, 1, ())
    assert claim.keys == ({"tenant_id": "mesa", "claim_id": gone[0]},)
    assert marts["dim_payers"].keys == ({"tenant_id": "mesa", "payer_id": "only here"},)
    assert marts["dim_tenants"].one_sided == ("made_up",)


def test_a_difference_planted_in_duckdb_is_shown_and_the_server_of_our_own_is_gone(home: Home, tmp_path: Path) -> None:
    copy = Home.at(shutil.copytree(home.path, tmp_path / "copy"))
    with duck.session(copy) as connection:
        duck.attach(connection, copy.warehouse, alias="warehouse", key=Keys.of(copy).derive_hex("warehouse"))
        row = connection.execute(
            "update warehouse.marts.fct_appointments set visit_type_id = 'planted' where tenant_id = 'harbor' and "
            "appointment_id = (select min(appointment_id) from warehouse.marts.fct_appointments where tenant_id = 'harbor') "
            "returning appointment_id"
        ).fetchone()
    assert row is not None
    with tempfile.TemporaryDirectory(prefix="engines-") as temporary:
        ran = clinicmart("compare-engines", "--home", copy.path, env={"TMPDIR": temporary})
        left = [path.name for path in Path(temporary).glob("clinicmart-*")]
    assert ran.code == 1, ran.out + ran.err
    assert "fct_appointments: differs in visit_type_id" in ran.out
    assert f"tenant_id=harbor, appointment_id={row[0]}" in ran.out
    assert "planted" not in ran.out
    assert re.search(r"^1 of \d+ marts differ\.$", ran.out, re.MULTILINE)
    assert left == []


def test_marts_that_are_not_of_todays_raw_tables_are_not_compared(home: Home, tmp_path: Path) -> None:
    copy = Home.at(shutil.copytree(home.path, tmp_path / "copy"))
    workspace = Workspace.of_home(copy)
    workspace.note_loaded("something else")
    with pytest.raises(ClinicmartError, match="start with clinicmart run"):
        compare_engines(workspace, "postgresql://nobody@127.0.0.1:1/none")


def test_a_schema_of_somebody_else_is_refused_and_kept(server: dict[str, str]) -> None:
    with psycopg.connect(make_conninfo(**server), autocommit=True) as connection:
        connection.execute("create database theirs template template0 locale_provider builtin builtin_locale 'C.UTF-8'")
    theirs = {**server, "dbname": "theirs"}
    with psycopg.connect(make_conninfo(**theirs)) as connection:
        connection.execute("create schema marts")
        connection.execute("create table marts.theirs as select 1 as one")
    with pytest.raises(ConfigurationError, match="did not make: marts"):
        prepare_database(theirs, ["marts", "staging"])
    with psycopg.connect(make_conninfo(**theirs)) as connection:
        assert connection.execute("select one from marts.theirs").fetchall() == [(1,)]
        assert connection.execute("select 1 from pg_namespace where nspname = 'staging'").fetchall() == []
        connection.execute(f"comment on schema marts is '{MARK}'")
    prepare_database(theirs, ["marts", "staging"])
    with psycopg.connect(make_conninfo(**theirs)) as connection:
        assert connection.execute("select 1 from pg_tables where schemaname = 'marts'").fetchall() == []


def test_a_database_that_sorts_or_folds_otherwise_is_refused(server: dict[str, str]) -> None:
    with psycopg.connect(make_conninfo(**server), autocommit=True) as connection:
        connection.execute(
            "create database plain template template0 locale_provider builtin builtin_locale 'C' locale 'C'"
        )
    with pytest.raises(ConfigurationError, match="sort text by code point"):
        prepare_database({**server, "dbname": "plain"}, ["marts"])


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://someone:hunter2@127.0.0.1:1/none?sslrootcert=x", "sslrootcert cannot be given"),
        ("postgresql://someone:hunter2@127.0.0.1:1", "names no dbname"),
        ("postgresql:/someone:hunter2@", "no PostgreSQL URL"),
    ],
)
def test_a_wrong_url_is_refused_without_its_password(url: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as refused:
        server_of(url)
    assert "hunter2" not in str(refused.value)
