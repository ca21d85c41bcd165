"""The states in which service units and payers of sources without a history were read: `raw.structure_observation`.

A raw table holds the newest state of a record. If a source keeps no history of its tree or of its payers' classes, a unit that
moved today would move in the past too. So every landed state is kept, with the time of the change, and dbt makes spans of them.
Dates from the source (`service_unit_placement`, a payer's `effective_from`) have priority over observed states.

Columns: tenant_id, source_system, entity (service_unit or payer), identifier, parent_service_unit_id, billing_profile,
payer_class, observed_at (UTC: when the source last changed the record, else when it was read).
"""

import duckdb

TABLE = "structure_observation"
# Entity to the SELECT of its states out of landed rows.
STATES = {
    "service_unit": "select distinct tenant_id, source_system, 'service_unit', service_unit_id, parent_service_unit_id, "
    "billing_profile, null, source_updated_at from {rows}",
    # 1900-01-01 is the contract's value for a source without history. A source without payer classes is left out.
    "payer": "select distinct tenant_id, source_system, 'payer', payer_id, null, null, payer_class, source_updated_at "
    "from {rows} where effective_from = date '1900-01-01' and payer_class <> 'unmapped'",
}


def prepare(connection: duckdb.DuckDBPyConnection) -> None:
    """Makes the table where absent."""
    connection.execute(
        f"create table if not exists warehouse.raw.{TABLE} (tenant_id varchar, source_system varchar, entity varchar, "
        "identifier varchar, parent_service_unit_id varchar, billing_profile varchar, payer_class varchar, "
        "observed_at timestamp)"
    )


def observe(connection: duckdb.DuckDBPyConnection, entity: str, rows: str) -> None:
    """Keeps the states in a table of landed rows of an entity of STATES; those it has already stay as they are."""
    connection.execute(
        f"insert into warehouse.raw.{TABLE} {STATES[entity].format(rows=rows)} except select * from warehouse.raw.{TABLE}"
    )
