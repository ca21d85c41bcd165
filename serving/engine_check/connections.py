"""One tenant's marts on either engine, for asking both the same: what a scope file is to people's questions.

Both hold copies of the tenant's rows in the schema that PostgreSQL keeps temporary tables in, and DuckDB one in memory of the same
name: one SQL text names them on both, and they end with the connection. Messages tell SQLSTATEs and names, never a value.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from typing import Any, ClassVar

import duckdb
import polars as pl
import psycopg
from psycopg import sql

from foundation import duck
from foundation.errors import ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from serving.metrics.compiler import DUCKDB, POSTGRES
from serving.metrics.mart_data import MartData
from serving.metrics.registry import PublishedTable

SCHEMA, COPIES = "marts", "pg_temp"
_PARAMETER = re.compile(r"\$([a-z]\w*)")
# PostgreSQL's words for faults of a statement (class 42) name columns and functions; those for faults of data quote the data.
_FAULT_OF_STATEMENT = "42"
_DIGITS = 38
_POLARS: Mapping[str, Any] = {
    "bool": pl.Boolean,
    "int2": pl.Int64,
    "int4": pl.Int64,
    "int8": pl.Int64,
    "float4": pl.Float64,
    "float8": pl.Float64,
    "date": pl.Date,
    "timestamp": pl.Datetime("us"),
    "timestamptz": pl.Datetime("us", "UTC"),
    "text": pl.String,
    "varchar": pl.String,
}


class DuckdbMarts(MartData):
    """A tenant's rows of the home's warehouse. Use as a context manager."""

    engine: ClassVar[str] = DUCKDB

    def __init__(self, home: Home, keys: Keys, tables: Iterable[PublishedTable], tenant_id: str) -> None:
        super().__init__()
        self._connection = duck.connect(home)
        try:
            duck.attach(
                self._connection, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"), read_only=True
            )
            self._connection.execute(f"create schema {COPIES}")
            for table in tables:
                mine = "" if table.shared else f"where tenant_id = {duck.quoted(tenant_id)}"
                self._connection.execute(
                    f'create table {COPIES}."{table.name}" as select * from warehouse.{SCHEMA}."{table.name}" {mine}'
                )
            self._connection.execute("detach warehouse")
        except duckdb.Error as error:
            self._connection.close()
            raise ClinicmartError(f"DuckDB could not read the marts ({type(error).__name__})") from None

    def __enter__(self) -> "DuckdbMarts":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def table(self, name: str) -> str:
        """A mart, as SQL names it."""
        return f'{COPIES}."{name}"'

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """As in MartData. Raises ClinicmartError where DuckDB refuses."""
        used = {name: value for name, value in (parameters or {}).items() if f"${name}" in sql}
        try:
            return self._connection.execute(sql, used or None).pl()
        except duckdb.Error as error:
            raise ClinicmartError(f"DuckDB refuses the question ({type(error).__name__})") from None


class PostgresMarts(MartData):
    """A tenant's rows of the marts in a PostgreSQL database. Use as a context manager."""

    engine: ClassVar[str] = POSTGRES

    def __init__(self, conninfo: str, tables: Iterable[PublishedTable], tenant_id: str) -> None:
        super().__init__()
        with _told("could not be reached"):
            self._connection = psycopg.connect(conninfo, autocommit=True)
        try:
            with _told("could not read the marts"):
                self._copy(tables, tenant_id)
        except ClinicmartError:
            self._connection.close()
            raise

    def _copy(self, tables: Iterable[PublishedTable], tenant_id: str) -> None:
        # Days become instants where they are truncated: of which zone must not be left to the server.
        self._connection.execute("set timezone = 'UTC'")
        self._connection.execute("set temp_buffers = '64MB'")
        for table in tables:
            copy = sql.SQL("create temporary table {} as select * from {}").format(
                sql.Identifier(table.name), sql.Identifier(SCHEMA, table.name)
            )
            if not table.shared:
                copy += sql.SQL(" where tenant_id = {}").format(sql.Literal(tenant_id))
            self._connection.execute(copy)
            self._connection.execute(sql.SQL("analyze {}").format(sql.Identifier(table.name)))

    def __enter__(self) -> "PostgresMarts":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def table(self, name: str) -> str:
        """A mart, as SQL names it."""
        return f'{COPIES}."{name}"'

    def frame(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pl.DataFrame:
        """As in MartData; numbers of any precision come as Decimal. Raises ClinicmartError where PostgreSQL refuses."""
        with _told("refuses the question"):
            return self._frame(sql, parameters or {})

    def _frame(self, sql: str, parameters: Mapping[str, Any]) -> pl.DataFrame:
        query = _PARAMETER.sub(
            lambda match: _placeholder(match[1], parameters[match[1]]) if match[1] in parameters else match[0],
            sql.replace("%", "%%"),
        )
        with self._connection.cursor() as cursor:
            # A mapping even where it is empty: without one, %% would stay as it is.
            cursor.execute(query.encode(), dict(parameters))
            rows, columns = cursor.fetchall(), cursor.description or []
        types = self._connection.adapters.types
        named = [(column.name, getattr(types.get(column.type_code), "name", "text")) for column in columns]
        return pl.DataFrame(
            [_series(name, kind, [row[position] for row in rows]) for position, (name, kind) in enumerate(named)]
        )


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turns an error of the driver into one that names the attempted action, with the words of PostgreSQL if they hold no value."""
    try:
        yield
    except psycopg.Error as error:
        state = error.sqlstate or "no connection"
        words = f": {error.diag.message_primary}" if state.startswith(_FAULT_OF_STATEMENT) else ""
        raise ClinicmartError(f"PostgreSQL {what} ({state}{words})") from None


def _placeholder(name: str, value: Any) -> str:
    """psycopg's placeholder of a value, with its type: an empty list would have none."""
    sample = next(iter(value), None) if isinstance(value, list | tuple) else value
    kind = "timestamp" if isinstance(sample, datetime) else "date" if isinstance(sample, date) else "text"
    return f"%({name})s::{kind}{'[]' if isinstance(value, list | tuple) else ''}"


def _series(name: str, kind: str, values: Sequence[Any]) -> pl.Series:
    if kind != "numeric":
        polars_type = _POLARS.get(kind)
        return pl.Series(
            name, values if polars_type is not None else [None if v is None else str(v) for v in values], polars_type
        )
    numbers = [value for value in values if isinstance(value, Decimal)]
    if any(not value.is_finite() for value in numbers):
        return pl.Series(name, [None if value is None else float(value) for value in values], pl.Float64)
    scale = max((-int(value.as_tuple().exponent) for value in numbers), default=0)
    whole = max((value.adjusted() + 1 for value in numbers), default=0)
    if scale + max(whole, 0) > _DIGITS:
        return pl.Series(name, [None if value is None else float(value) for value in values], pl.Float64)
    return pl.Series(name, values, pl.Decimal(_DIGITS, max(scale, 0)))
