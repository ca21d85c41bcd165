"""Whose rows a failed dbt test found: its compiled SQL is asked again for the tenants.

    failing_tenants(home, keys, {"assert_money_...": "select ..."}) -> {"assert_money_...": frozenset({"harbor"})}

A test that names no tenant, or finds a row without one, concerns everybody: None.
"""

from collections.abc import Mapping

import duckdb

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys


def failing_tenants(home: Home, keys: Keys, queries: Mapping[str, str]) -> dict[str, frozenset[str] | None]:
    """Name of each failed test to the tenants whose rows it finds in the home's warehouse, None where it cannot tell.

    A test that reads intermediate models may find rows of tenants that this build left alone: they are no finding, as dbt's own
    count knows (`raw.touched_tenant`).
    """
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"), read_only=True)
        touched = _tenants(connection, "select tenant_id from warehouse.raw.touched_tenant") or frozenset()
        found = {name: _tenants(connection, query) for name, query in queries.items()}
    return {name: tenants & touched or tenants if tenants is not None else None for name, tenants in found.items()}


def _tenants(connection: duckdb.DuckDBPyConnection, query: str) -> frozenset[str] | None:
    try:
        rows = connection.execute(f"select distinct tenant_id from (\n{query}\n) as found").fetchall()
    except duckdb.Error:
        return None
    tenants = frozenset(row[0] for row in rows)
    return None if None in tenants or not tenants else tenants
