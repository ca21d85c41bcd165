"""Runs compiled intermediate models on tables that a test fills, in a separate DuckDB."""

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

Row = Mapping[str, Any]


class Models:
    """Models by name in the order in which they are built, and the columns of the tables they read ("schema.name")."""

    def __init__(self, sql: Mapping[str, str], tables: Mapping[str, str]) -> None:
        self._sql, self._tables = sql, tables
        self._connection = duckdb.connect()
        self._connection.execute("attach ':memory:' as warehouse")
        for schema in ("staging", "intermediate", "marts", "seeds"):
            self._connection.execute(f"create schema warehouse.{schema}")
        for name, columns in tables.items():
            self._connection.execute(f"create table warehouse.{name} ({columns})")

    def build(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Builds the models on these rows and no others."""
        for name in self._tables:
            self._connection.execute(f"delete from warehouse.{name}")
        for name, entries in rows.items():
            for row in entries:
                marks = ", ".join("?" for _ in row)
                self._connection.execute(
                    f"insert into warehouse.{name} ({', '.join(row)}) values ({marks})", list(row.values())
                )
        for name, sql in self._sql.items():
            self._connection.execute(f"create or replace table warehouse.intermediate.{name} as {sql}")

    def rows(self, name: str, *columns: str) -> list[tuple[Any, ...]]:
        """Rows of a model, sorted."""
        found = self._connection.execute(f"select {', '.join(columns)} from warehouse.intermediate.{name}").fetchall()
        return sorted(found, key=lambda row: [(value is None, str(value)) for value in row])
