"""Databases as OpenEMR would leave them, on the tests' own server."""

import re
from collections import defaultdict
from pathlib import Path

import sqlalchemy as sa

from tests.openemr.month import Month
from tests.openemr.server import Server

SCHEMA = Path(__file__).parent / "schema.sql"
# OpenEMR runs without strict mode: days that are none and times beyond a day get in.
LENIENT = "set session sql_mode = ''"
PASSWORD = "reads-only"


def create(server: Server, name: str, collation: str = "utf8mb4_general_ci") -> str:
    """A database with OpenEMR's tables and a user of the same name who may read it and no more; returns the feed's URL."""
    with server.administrator.begin() as connection:
        connection.exec_driver_sql(f"create database {name} character set utf8mb4 collate {collation}")
        connection.exec_driver_sql(f"use {name}")
        for statement in re.sub(r"--[^\n]*", "", SCHEMA.read_text("utf-8")).split(";"):
            if statement.strip():
                connection.exec_driver_sql(statement)
        connection.exec_driver_sql(f"create user {name}@'127.0.0.1' identified by '{PASSWORD}'")
        connection.exec_driver_sql(f"grant select on {name}.* to {name}@'127.0.0.1'")
    return server.url(name, name, PASSWORD)


def fill(server: Server, name: str, month: Month) -> None:
    """Writes a month's rows."""
    with server.administrator.begin() as connection:
        connection.exec_driver_sql(LENIENT)
        connection.exec_driver_sql(f"use {name}")
        for table, rows in month.rows.items():
            alike: dict[tuple[str, ...], list[tuple[object, ...]]] = defaultdict(list)
            for row in rows:
                alike[tuple(row)].append(tuple(row.values()))
            for columns, values in alike.items():
                marks = ", ".join(["%s"] * len(columns))
                connection.exec_driver_sql(f"insert into {table} ({', '.join(columns)}) values ({marks})", values)


def change(server: Server, name: str, *statements: str) -> None:
    """Changes rows as OpenEMR would."""
    with server.administrator.begin() as connection:
        connection.exec_driver_sql(LENIENT)
        connection.exec_driver_sql(f"use {name}")
        for statement in statements:
            connection.execute(sa.text(statement))
