"""The tenants whose rows a failed dbt test found, and the rules that they break: its compiled SQL is run again.

    failing_tenants(home, keys, {"rows_hold_fct_claims": "select ..."})
        -> {"rows_hold_fct_claims": {"harbor": ("is_denied where is_overturned: 2 rows break it",)}}

A test without tenants, or with a row without a tenant, concerns all tenants: None. One that has a single rule (no column
`rule`) gives none.
"""

from collections.abc import Mapping

import duckdb

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys

# Tenant to the rules that its rows break, each with how many do.
Found = Mapping[str, tuple[str, ...]]


def failing_tenants(home: Home, keys: Keys, queries: Mapping[str, str]) -> dict[str, Found | None]:
    """Name of each failed test to the tenants whose rows it finds in the home's warehouse, with the rules they break; None if
    the tenants are not known. A test that reads intermediate models may find rows of tenants that this build did not touch:
    they do not count, as in dbt's count (`raw.touched_tenant`).
    """
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"), read_only=True)
        touched = _found(connection, "select tenant_id from warehouse.raw.touched_tenant") or {}
        tenants_by_test = {name: _found(connection, query) for name, query in queries.items()}
    return {name: _among(tenants, touched) for name, tenants in tenants_by_test.items()}


def _among(tenants: Found | None, touched: Found) -> Found | None:
    if tenants is None:
        return None
    return {tenant: rules for tenant, rules in tenants.items() if tenant in touched} or tenants


def _found(connection: duckdb.DuckDBPyConnection, query: str) -> Found | None:
    try:
        relation = connection.sql(query)
        rule = "rule, sum(row_count)" if "rule" in relation.columns else "null, count(*)"
        rows = relation.aggregate(f"tenant_id, {rule}").fetchall()
    except duckdb.Error:
        return None
    if not rows or any(tenant is None for tenant, *_ in rows):
        return None
    rows_by_tenant: dict[str, list[str]] = {tenant: [] for tenant, *_ in sorted(rows)}
    for tenant, rule, count in sorted(rows, key=lambda row: -row[2]):
        if rule is not None:
            rows_by_tenant[tenant].append(f"{rule}: {told_rows(count)}")
    return {tenant: tuple(rules) for tenant, rules in rows_by_tenant.items()}


def told_rows(count: int) -> str:
    """How many rows break a test, in words."""
    return f"{count:,} {'row breaks' if count == 1 else 'rows break'} it"
