"""Marts of which each run builds only touched tenants equal those of a full build, for any rows in any order."""

import json
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from data_contracts.generate import OPERATIONAL
from tests.marts.building import Compiled, create_raw, run_dbt
from tests.marts.histories import (
    CHANGES,
    RENDERED,
    TENANTS,
    Change,
    Run,
    Warehouse,
    change,
    fill_pool,
    introduce,
    read_models,
)

pytestmark = pytest.mark.slow

KINDS = ("arrive", "arrive", "arrive", "delete", "vanish", *CHANGES)
CHANGE = st.builds(Change, st.sampled_from(TENANTS), st.sampled_from(KINDS), st.integers(1, 99))
RUN = st.builds(
    Run,
    st.lists(CHANGE, min_size=1, max_size=4).map(tuple),
    st.sampled_from((1.0, 1.0, 1.0, 0.4, 0.8)),
    st.sampled_from((True, True, True, False)),
)
BEGINNING = Run(tuple(Change(tenant, "arrive", number) for number, tenant in enumerate(TENANTS)))


class Built:
    """What dbt built for everybody and then for one touched tenant, and the statements that it rendered for both."""

    def __init__(self, folder: Path, home: Path, project: Compiled) -> None:
        self.file = folder / "warehouse.duckdb"
        with duckdb.connect(str(self.file)) as connection:
            create_raw(connection)
            fill_pool(home, connection)
            introduce(connection)
            for number, tenant in enumerate(TENANTS):
                change(connection, Change(tenant, "arrive", number))
        wanted = "+config.materialized:by_tenant"
        models = (f"{wanted},resource_type:model", f"{wanted},resource_type:seed")
        # The project's unit tests run here: their models stand.
        run_dbt(folder, "build", *models, "test_type:unit", parsed=project.target)
        full = (folder / "target").rename(folder / "full")
        with duckdb.connect(str(self.file)) as connection:
            self.before = rows_by_tenant(connection)
            for kind in ("arrive", "delete", "corrected", "reversed", "merged"):
                change(connection, Change(RENDERED, kind, 7))
            # Was loaded, and is not to be seen before its tenant is touched.
            change(connection, Change("amber", "arrive", 50))
            connection.execute("create table raw.touched_tenant as select ? as tenant_id", [RENDERED])
        wanted_tests = (*SINGULAR, "fct_claims,test_type:generic")
        self.target = run_dbt(folder, "build", *models, *wanted_tests, parsed=full)
        self.models = read_models(full, self.target)
        self.manifest = json.loads((self.target / "manifest.json").read_text("utf-8"))

    def failures_after(self, *statements: str) -> dict[str, int]:
        """Test to the number of rows it finds wrong once these statements ran on what dbt built, which stays as it is."""
        ran = self.target / "run" / "clinicmart"
        texts = {path.stem: path for path in (*ran.glob("tests/*.sql"), *ran.glob("models/**/*.yml/*.sql"))}
        found = {}
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("begin")
            for statement in statements:
                connection.execute(statement)
            for name, path in texts.items():
                row = connection.execute(path.read_text("utf-8")).fetchone()
                assert row is not None
                found[name] = int(row[0] or 0)
            connection.execute("rollback")
        return found


def rows_by_tenant(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], tuple[int, int]]:
    """(mart, tenant) to the number of its rows and their hash."""
    found = {}
    tables = connection.execute(
        "select table_name from duckdb_columns() where schema_name = 'marts' and column_name = 'tenant_id'"
    ).fetchall()
    for (table,) in tables:
        query = f"select tenant_id, count(*), bit_xor(hash(t)) from marts.{table} t group by all"
        for tenant, *values in connection.execute(query).fetchall():
            found[table, tenant] = (values[0], values[1])
    return found


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, demo_home: Path, project: Compiled) -> Built:
    return Built(tmp_path_factory.mktemp("incremental"), demo_home, project)


# Tests that dbt ran on what it built for the touched tenant.
SINGULAR = ("assert_bed_day_shares_add_up_to_the_stay", "assert_receivables_agree_with_lines")


def test_dbt_replaces_the_rows_of_touched_tenants_by_those_of_a_full_build_and_leaves_the_others(built: Built) -> None:
    full = Warehouse(built.file, built.models, arrived=True)
    full.run(Run(()))
    expected = rows_by_tenant(full.connection)
    with duckdb.connect(str(built.file), read_only=True) as connection:
        found = rows_by_tenant(connection)

    def of(rows: dict[tuple[str, str], tuple[int, int]], *tenants: str) -> dict[tuple[str, str], tuple[int, int]]:
        return {key: value for key, value in rows.items() if key[1] in tenants}

    assert len({mart for mart, _ in found}) > 20
    assert of(found, RENDERED) == of(expected, RENDERED)
    assert of(found, RENDERED) != of(built.before, RENDERED)
    assert of(found, "amber", "cedar") == of(built.before, "amber", "cedar")
    assert of(expected, "amber") != of(built.before, "amber")


def _reads_accounts_alone(models: dict[str, Any], key: str) -> bool:
    """Whether a model reads only sources and seeds."""
    return not any(name.startswith("model.") for name in models[key]["depends_on"]["nodes"])


def test_what_reads_rows_of_touched_tenants_only_is_itself_built_by_tenant(built: Built) -> None:
    nodes = built.manifest["nodes"]
    models = {key: node for key, node in nodes.items() if node["resource_type"] == "model"}
    lower = {key for key, node in models.items() if node["schema"] in ("staging", "intermediate")}
    # A view is read as what reads it. One over accounts of the ledger alone is not of touched tenants.
    views = {
        key
        for key in set(models) - lower
        if models[key]["config"]["materialized"] == "view" and not _reads_accounts_alone(models, key)
    }
    by_tenant = {key for key in models if models[key]["config"]["materialized"] == "by_tenant"}
    whole = set(models) - lower - views - by_tenant
    assert not [key for key in whole if lower & set(models[key]["depends_on"]["nodes"])]
    assert {key for key in models if views & set(models[key]["depends_on"]["nodes"])} <= views | by_tenant
    # Nor may it read what can change for tenants that are not touched.
    # The first two are in a tenant's state; what the third keeps comes with batches, which are in it too.
    known = {"tenant", "system_of_record", "structure_observation", "issuer_spelling", "feed_issuer"}
    operational = {f"source.clinicmart.raw.{name}" for name in OPERATIONAL if name not in known}
    assert len(by_tenant) > 20
    assert not [key for key in lower | by_tenant if operational & set(models[key]["depends_on"]["nodes"])]
    shared = {key for key in whole if models[key]["schema"] == "health"}
    assert not [key for key in lower | by_tenant if shared & set(models[key]["depends_on"]["nodes"])]
    assert not [
        key for key in lower if models[key]["schema"] == "staging" and "where_touched()" not in models[key]["raw_code"]
    ]


LINES, STAYS, DOUBLED, UNKNOWN, RULE = (
    "update marts.fct_charge_lines set open_balance = open_balance + 1 where tenant_id = '{}'",
    "update marts.fct_encounters set length_of_stay_days = length_of_stay_days + 1 where tenant_id = '{}'",
    "insert into marts.fct_claims select * from marts.fct_claims where tenant_id = '{}' limit 1",
    "update marts.fct_claims set payer_id = 'nobody' where tenant_id = '{}'",
    "update marts.fct_claims set is_denied = false, is_overturned = true where tenant_id = '{}'",
)


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize(
    ("wrong", "tests"),
    [((LINES, STAYS), SINGULAR), *(((change,), ("rows_hold_fct_claims",)) for change in (DOUBLED, UNKNOWN, RULE))],
)
def test_tests_find_what_is_wrong_with_a_touched_tenant(
    built: Built, tenant: str, wrong: tuple[str, ...], tests: tuple[str, ...]
) -> None:
    found = built.failures_after(*(statement.format(tenant) for statement in wrong))
    assert found.keys() >= set(tests)
    failed = {name for name, failures in found.items() if failures}
    assert failed >= set(tests) if tenant == RENDERED else not failed


# Enough that a mistake in any of the rules is met, few enough for a test run: each builds a warehouse three to five times.
@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(later=st.lists(RUN, min_size=1, max_size=3))
def test_whatever_arrives_in_whatever_order_the_marts_are_those_of_a_full_build(built: Built, later: list[Run]) -> None:
    warehouse = Warehouse(built.file, built.models)
    for run in (BEGINNING, *later, Run(())):
        warehouse.run(run)
    assert warehouse.different() == {}


def test_killed_and_failed_builds_are_made_good_by_the_next_that_passes_and_a_tenant_without_rows_is_gone(
    built: Built,
) -> None:
    warehouse = Warehouse(built.file, built.models)
    warehouse.run(BEGINNING)
    warehouse.run(Run((Change("amber", "arrive", 41), Change("amber", "corrected", 3)), built=0.7))
    warehouse.run(Run((Change("cedar", "vanish", 5),), passed=False))
    assert warehouse.pending == {"amber", "cedar"}
    warehouse.run(Run((Change("amber", "unmerged", 1),)))
    assert warehouse.pending == set()
    query = "select tenant_id, count(*) from marts.fct_encounters group by all order by all"
    assert [tenant for tenant, _ in warehouse.connection.execute(query).fetchall()] == ["amber", "birch"]
    assert warehouse.scattered() == []
    assert warehouse.different() == {}
