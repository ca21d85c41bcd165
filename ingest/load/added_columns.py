"""Adds columns to tables of an earlier version, if their contract has gained columns since."""

import duckdb

from data_contracts import Contract


def add_columns(connection: duckdb.DuckDBPyConnection, schema: str, entity_contract: Contract) -> None:
    """Gives the table of a contract in a schema of the warehouse every column of the contract it does not have; null in rows
    that are there already."""
    there = connection.execute(
        "select column_name from duckdb_columns() where database_name = 'warehouse' and schema_name = ? and table_name = ?",
        [schema, entity_contract.name],
    ).fetchall()
    existing = {name for (name,) in there}
    for column in entity_contract.columns:
        if column.name not in existing:
            connection.execute(
                f"alter table warehouse.{schema}.{entity_contract.name} add column {column.name} {column.duckdb_type}"
            )
