"""Marts that were built on PostgreSQL, brought into the home's warehouse, from which they are published.

fetch_marts(home, keys, server, tables)         # rows that came back
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo

from foundation import duck
from foundation.errors import ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from ingest.load.postgres import BUILDING, count_in, told

if TYPE_CHECKING:
    from adbc_driver_postgresql import dbapi


def fetch_marts(
    home: Home, keys: Keys, server: Mapping[str, str], tables: Iterable[tuple[str, str]], *, suffix: str = BUILDING
) -> int:
    """Replaces marts in the home's warehouse by the marts that were built on PostgreSQL; returns the number of rows.

    `tables` are (schema, name) as the home has them; on the server the schema ends in `suffix`. Decimals come as text, digit by
    digit. All in one transaction: a fetch that is killed leaves the home as it was. Raises ClinicmartError for a column whose
    type has no counterpart, and if fewer rows arrive than the server has.
    """
    # Imported late, with pandas behind it: a run that builds in DuckDB needs neither.
    from adbc_driver_postgresql import dbapi

    fetched = 0
    with (
        duck.session(home) as warehouse,
        told("give the marts back"),
        dbapi.connect(make_conninfo(**server), autocommit=True) as postgres,
        postgres.cursor() as cursor,
    ):
        duck.attach(warehouse, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"))
        warehouse.execute("begin")
        for schema, name in tables:
            warehouse.execute(f'create schema if not exists warehouse."{schema}"')
            there, here = f'"{schema}{suffix}"."{name}"', f'warehouse."{schema}"."{name}"'
            kinds = _kinds(cursor, schema + suffix, name)
            asked = ", ".join(
                f'"{n}"::text as "{n}"' if k.startswith("decimal") else f'"{n}"' for n, k in kinds.items()
            )
            taken = ", ".join(f'cast("{column}" as {kind}) as "{column}"' for column, kind in kinds.items())
            cursor.execute(f"select {asked} from {there}")
            warehouse.register("incoming", cursor.fetch_record_batch())
            warehouse.execute(f"drop table if exists {here}")
            warehouse.execute(f"create table {here} as select {taken} from incoming")
            warehouse.unregister("incoming")
            cursor.execute(f"select count(*) from {there}")
            held, came = (
                count_in(cursor.fetchone()),
                count_in(warehouse.execute(f"select count(*) from {here}").fetchone()),
            )
            if held != came:
                raise ClinicmartError(f"{schema}.{name}: {held} rows are in PostgreSQL, {came} came back")
            fetched += came
        warehouse.execute("commit")
    return fetched


# What PostgreSQL calls a type, and DuckDB; numeric keeps its precision.
_BACK = {
    "text": "varchar",
    "character varying": "varchar",
    "boolean": "boolean",
    "smallint": "smallint",
    "integer": "integer",
    "bigint": "bigint",
    "double precision": "double",
    "date": "date",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "interval": "interval",
    # Minutes and similar results of a division: DuckDB stores them as DOUBLE.
    "numeric": "double",
}
_MONEY = re.compile(r"_(amount|balance|cost)$")
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
# Text columns of seeds have a length on PostgreSQL; in DuckDB text has none.
_LENGTH = re.compile(r"(?<=^character varying)\(\d+\)$")


def _kinds(cursor: "dbapi.Cursor", schema: str, name: str) -> dict[str, str]:
    """Column name to DuckDB type of a table on PostgreSQL."""
    cursor.execute(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute "
        f"""where attrelid = to_regclass('"{schema}"."{name}"') and attnum > 0 and not attisdropped order by attnum"""
    )
    rows = cursor.fetchall()
    if not rows:
        raise ClinicmartError(f"{schema}.{name} was not built on PostgreSQL")
    kinds = {}
    for column, kind in rows:
        number = _NUMERIC.fullmatch(kind)
        column_type = f"decimal({number[1]}, {number[2]})" if number else _BACK.get(_LENGTH.sub("", kind))
        if kind == "numeric" and _MONEY.search(column):
            raise ClinicmartError(
                f"{schema}.{name}: {column} is money without a scale: cast it in the model with money()"
            )
        if column_type is None:
            raise ClinicmartError(
                f"{schema}.{name}: the column {column} is {kind}, which has no counterpart in the home"
            )
        kinds[column] = column_type
    return kinds
