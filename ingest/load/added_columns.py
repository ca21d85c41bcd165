"""Columns that a table of an earlier version lacks, because its contract has gained them since."""

import duckdb

from data_contracts import Contract


def add_columns(connection: duckdb.DuckDBPyConnection, schema: str, of: Contract) -> None:
    """Gives the table of a contract in a schema of the warehouse every column of the contract it does not have; null in rows
    that are there already."""
    there = connection.execute(
        "select column_name from duckdb_columns() where database_name = 'warehouse' and schema_name = ? and table_name = ?",
        [schema, of.name],
    ).fetchall()
    known = {name for (name,) in there}
    for column in of.columns:
        if column.name not in known:
            connection.execute(
                f"alter table warehouse.{schema}.{of.name} add column {column.name} {column.duckdb_type}"
            )
