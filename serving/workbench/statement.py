"""Checks that a text is one SELECT on known tables. Statements, tables and functions that give rows are refused where they are not known
to be harmless; functions that give a value are refused where they tell of the server. Nothing runs before.

DuckDB parses the text (`extract_statements`, `json_serialize_sql`): what is checked is what would run. The database is also read-only,
cut off from the file system and locked (`serving.workbench.rows_file`). This check comes first and gives the plain message.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import duckdb

from foundation.errors import AccessError, ConfigurationError

LONGEST = 20_000
SCHEMAS = ("marts", "metrics", "dictionary")
# Functions that give rows without reading anything.
_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series", "repeat"})
# Functions that tell of the server or its sessions, or that do something besides giving a value.
_REFUSED_FUNCTIONS = frozenset(
    {
        *("getenv", "current_setting", "getvariable", "write_log", "parse_duckdb_log_message", "nextval", "currval"),
        *("current_query", "current_query_id", "current_connection_id", "current_transaction_id", "txid_current"),
        *("sleep_ms", "setseed", "stats", "version", "has_database_privilege", "has_schema_privilege"),
        *("create_sort_key", "json_execute_serialized_sql", "query", "query_table"),
    }
)
_REFUSED_PREFIXES = ("pg_", "read_", "duckdb_", "pragma_", "parquet_", "http", "glob", "icu_")
_WORD = re.compile(r"[A-Za-z_]+")
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_ ]*")
_ONLY_SELECT = (
    "Only a SELECT can be run here; {what} is not allowed. The rows are read-only, and there is no way to other data."
)


class RefusedStatementError(AccessError):
    """A statement that leads out of the person's rows. The message says what was refused."""


@dataclass(frozen=True, kw_only=True)
class Checked:
    """A statement that may run, and the tables that it names, such as `marts.fct_visits`."""

    sql: str
    tables: frozenset[str]


def checked(sql: str, tables: Collection[str]) -> Checked:
    """The statement, if it is one SELECT on `tables` (`schema.name`).

    Raises RefusedStatementError for everything that could lead out, ConfigurationError for a text that is empty, too long or no SQL.
    """
    text = sql.strip().rstrip(";").strip()
    if not text:
        raise ConfigurationError("there is no SQL to run; write a SELECT")
    if len(text) > LONGEST:
        raise ConfigurationError(f"the SQL has more than {LONGEST:,} characters; write a shorter one")
    tree = _tree(text)
    return Checked(sql=text, tables=_tables(tree, tables))


def _tree(sql: str) -> Any:
    """DuckDB's syntax tree of a single SELECT. Raises as `checked`."""
    first = next(iter(_WORD.findall(sql)), "this").upper()
    # Parsing alone may open files (IMPORT DATABASE), so that the parser is cut off too.
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        try:
            statements = connection.extract_statements(sql)
        except duckdb.PermissionException:
            raise RefusedStatementError(_ONLY_SELECT.format(what=first)) from None
        except duckdb.Error as error:
            raise ConfigurationError(plain(str(error))) from None
        if any(statement.type != duckdb.StatementType.SELECT for statement in statements):
            raise RefusedStatementError(_ONLY_SELECT.format(what=first))
        if len(statements) != 1:
            raise RefusedStatementError("Run one statement at a time: write one SELECT, without a semicolon inside")
        row = connection.execute("select json_serialize_sql(?)", [sql]).fetchone()
    try:
        tree = json.loads(row[0]) if row else {"error": True}
    except RecursionError:
        raise ConfigurationError("the SQL is nested too deeply; write it in parts with WITH") from None
    if tree["error"]:
        # PRAGMA and CALL look like a SELECT to the parser.
        raise RefusedStatementError(_ONLY_SELECT.format(what=first))
    return tree["statements"]


def _tables(tree: Any, allowed: Collection[str]) -> frozenset[str]:
    nodes = list(_nodes(tree))
    names_of_parts = _names_of_parts(nodes)
    bare = {name.removeprefix("marts."): name for name in allowed if name.startswith("marts.")}
    used = set()
    for node in nodes:
        kind = node.get("type")
        if kind == "BASE_TABLE":
            used.add(_table(node, allowed, bare, names_of_parts))
        elif kind == "SHOW_REF" and node.get("query") is None:
            name = str(node.get("table_name", "")).strip('"')
            used.add(_table({**node, "table_name": name}, allowed, bare, names_of_parts))
        elif kind == "TABLE_FUNCTION":
            _check_function(str(node["function"]["function_name"]), is_table=True)
        elif "function_name" in node:
            _check_function(str(node["function_name"]), is_table=False)
    return frozenset(used - {""})


def _nodes(tree: Any) -> Iterator[Mapping[str, Any]]:
    """Every object of the tree."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Mapping):
            yield item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _names_of_parts(nodes: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """The names that WITH gives, in lower case. One that DuckDB has itself is refused: outside its part it would mean DuckDB's table."""
    names = {str(item["key"]).lower() for node in nodes for item in (node.get("cte_map") or {}).get("map") or ()}
    for name in names:
        if name in _own_tables() or not _PLAIN_NAME.fullmatch(name):
            raise RefusedStatementError(f"the name {name} is not allowed after WITH; choose another one")
    return frozenset(names)


@cache
def _own_tables() -> frozenset[str]:
    """Names of DuckDB's own tables and views."""
    with duckdb.connect(config={"enable_external_access": False}) as connection:
        rows = connection.execute(
            "select view_name from duckdb_views() union all select table_name from duckdb_tables()"
        ).fetchall()
    return frozenset(str(name).lower() for (name,) in rows) | {"sqlite_master", "sqlite_schema"}


def _table(node: Mapping[str, Any], allowed: Collection[str], bare: Mapping[str, str], parts: Collection[str]) -> str:
    """The table that a node names; empty for a part of the statement itself (WITH).

    A part with the name of a table counts as that table: outside its part, and within its own text, the name means the table.
    """
    catalog, schema, table = (str(node.get(name) or "") for name in ("catalog_name", "schema_name", "table_name"))
    if not catalog and not schema and table.lower() in parts:
        return bare.get(table.lower(), "")
    name = f"{schema}.{table}".lower() if schema else bare.get(table.lower(), table)
    if catalog or name not in allowed:
        shown = ".".join(part for part in (catalog, schema, table) if part)
        raise RefusedStatementError(f"{shown} is not one of your tables; the list shows those that you can read")
    return name


def _check_function(name: str, *, is_table: bool) -> None:
    bare = name.lower()
    is_refused = bare in _REFUSED_FUNCTIONS or bare.startswith(_REFUSED_PREFIXES)
    if is_refused or (is_table and bare not in _TABLE_FUNCTIONS):
        raise RefusedStatementError(
            f"the function {name} is not allowed here: it leads to something other than your rows"
        )


def plain(words: str) -> str:
    """What DuckDB says of a statement, without the kind of the error."""
    text = words.strip()
    kind, colon, message = text.partition(": ")
    return message if colon and kind.endswith("Error") else text
