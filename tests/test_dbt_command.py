"""`clinicmart dbt`: dbt on a home's warehouse, as an analytics engineer types it."""

import json
import subprocess
from pathlib import Path

import pytest

from dagster_project.dbt_command import run_dbt
from dagster_project.workspace import Workspace
from foundation import duck
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from foundation.run_lock import alone
from tests.small_site import copy_site
from tests.support import CLINICMART, Ran, clinicmart, clinicmart_here

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(small_site: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A published home; one of its tenants has a claim."""
    return copy_site(small_site, tmp_path_factory.mktemp("dbt") / "site").home


def dbt(home: Home, *arguments: str) -> Ran:
    return clinicmart("dbt", *arguments, "--home", home.path)


def dbt_here(home: Home, *arguments: str) -> Ran:
    return clinicmart_here("dbt", *arguments, "--home", home.path)


def key_of(home: Home) -> str:
    return Keys.of(home).derive_hex("warehouse")


def test_docs_are_generated_with_the_columns_of_the_warehouse_and_the_key_is_nowhere(home: Home) -> None:
    ran = dbt(home, "docs", "generate")
    assert ran.code == 0, ran.out + ran.err
    catalog = json.loads((home.path / "dbt" / "command" / "catalog.json").read_text("utf-8"))
    assert "billed_amount" in catalog["nodes"]["model.clinicmart.fct_claims"]["columns"]
    manifest = json.loads((home.path / "dbt" / "command" / "manifest.json").read_text("utf-8"))
    published = {key: node for key, node in manifest["nodes"].items() if node["config"].get("meta", {}).get("publish")}
    described = {(key, column["name"]) for key, node in published.items() for column in node["columns"].values()}
    held = {(key, column) for key in published for column in catalog["nodes"][key]["columns"]}
    assert len(published) > 50
    assert held == described
    shown = dbt(home, "debug")
    assert shown.code == 0, shown.out + shown.err
    files = [path for folder in ("dbt", "logs") for path in (home.path / folder).rglob("*") if path.is_file()]
    assert files
    key = key_of(home)
    assert key not in ran.out + ran.err + shown.out + shown.err
    assert [path for path in files if key.encode() in path.read_bytes()] == []


def test_during_a_run_dbt_lists_models_and_opens_no_warehouse(home: Home) -> None:
    with alone(home):
        listed = dbt(home, "ls", "--select", "fct_claims", "--resource-type", "model")
        refused = dbt_here(home, "test")
    assert (listed.code, listed.out.split()[-1]) == (0, "clinicmart.marts.revenue_cycle.fct_claims")
    assert refused.code == 1
    assert "a pipeline run is under way in this home" in refused.err
    assert "Traceback" not in refused.err


def test_a_failed_test_is_the_exit_code_and_what_a_person_builds_is_built_again_by_the_next_run(home: Home) -> None:
    asked = ("--select", "fct_claims", "--exclude", "source:*")
    assert dbt(home, "test", *asked).code == 0
    assert Workspace.of_home(home).is_current()
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="warehouse", key=key_of(home))
        connection.execute("update warehouse.marts.fct_claims set billed_amount = null")
    failed = dbt(home, "test", *asked)
    assert failed.code == 1
    assert "rows_hold_fct_claims" in failed.out
    built = dbt(home, "build", "--full-refresh", *asked)
    assert built.code == 0, built.out
    assert not Workspace.of_home(home).is_current()
    assert Workspace.of_home(home).built_tenants() == {}


def test_a_shell_knows_dbt_and_not_the_key(home: Home) -> None:
    typed = "pwd\nenv\ndbt ls --quiet --select dim_dates --resource-type model\n"
    command = [str(CLINICMART), "dbt", "shell", "--home", str(home.path)]
    ran = subprocess.run(command, input=typed, capture_output=True, text=True, check=False)
    lines = ran.stdout.splitlines()
    assert Path(lines[0]).name == "dbt"
    assert lines[-1] == "clinicmart.marts.core.dim_dates"
    assert key_of(home) not in ran.stdout


def test_wrong_use_is_said_in_a_sentence(home: Home) -> None:
    for arguments, said in (
        ((), "which dbt command?"),
        (("--select", "fct_claims", "build"), "Write the command first"),
        (("frobnicate",), "No such command 'frobnicate'"),
    ):
        # What dbt itself refuses is printed by its process.
        run = dbt if said.startswith("No such") else dbt_here
        ran = run(home, *arguments)
        assert (ran.code, said in ran.err, "Traceback" in ran.err) == (2, True, False), ran.err


def test_marts_on_a_server_are_not_built_by_hand(home: Home, tmp_path: Path) -> None:
    other = Home.at(tmp_path)
    noted = json.loads((home.path / "config.json").read_text("utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(noted | {"target": "postgres"}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="dbt build is not for a home whose marts are on PostgreSQL"):
        run_dbt(other, ["build"])
