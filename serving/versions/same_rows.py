"""Whether two published versions hold the same rows, mart by mart and to the last digit: also versions of two homes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import duckdb

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from serving.model import Version
from serving.versions.store import files_of

_MARTS = "marts"


@dataclass(frozen=True, kw_only=True)
class SameRows:
    """`marts` were compared, over the columns that both versions have. `rows_differing` has the marts that differ, with the number of rows
    that only one side has. `one_sided` are marts and columns (`mart.column`) that one side lacks: another release wrote it."""

    marts: int
    rows_differing: dict[str, int]
    one_sided: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether no row differs."""
        return not self.rows_differing


def compare_versions(home: Home, version: Version, other_home: Home, other: Version) -> SameRows:
    """Compares the base files of two versions of one tenant. Rows are compared as they are: decimals with all digits, fractions bit by
    bit, the order of rows aside. Opens both read-only."""
    with duck.session(home) as connection:
        for alias, place, item in (("ours", home, version), ("theirs", other_home, other)):
            key = Keys.of(place).derive_all_hex("published", item.tenant_id)
            path = files_of(place, item.tenant_id, item.version).base
            duck.attach(connection, path, alias=alias, key=key, read_only=True)
        ours, theirs = _columns(connection, "ours"), _columns(connection, "theirs")
        one_sided = sorted(set(ours) ^ set(theirs))
        both = [mart for mart in ours if mart in theirs]
        differing: dict[str, int] = {}
        for mart in both:
            columns = [column for column in ours[mart] if column in theirs[mart]]
            one_sided += [f"{mart}.{name}" for name, _ in sorted(set(ours[mart]) ^ set(theirs[mart]))]
            rows = [_rows(alias, mart, columns) for alias in ("ours", "theirs")]
            if _digest(connection, rows[0]) != _digest(connection, rows[1]):
                differing[mart] = _rows_apart(connection, rows[0], rows[1])
    return SameRows(marts=len(both), rows_differing=differing, one_sided=tuple(dict.fromkeys(one_sided)))


def _rows(alias: str, mart: str, columns: Sequence[tuple[str, str]]) -> str:
    """SQL: the rows of a mart with some of its columns."""
    names = ", ".join(f'"{name}"' for name, _ in columns)
    return f'select {names} from {alias}.{_MARTS}."{mart}"'


def _columns(connection: duckdb.DuckDBPyConnection, alias: str) -> dict[str, list[tuple[str, str]]]:
    """Mart to its columns with their types."""
    rows = connection.execute(
        "select table_name, column_name, data_type from duckdb_columns() where database_name = ? and schema_name = ? "
        "order by table_name, column_name",
        [alias, _MARTS],
    ).fetchall()
    columns: dict[str, list[tuple[str, str]]] = {}
    for mart, name, data_type in rows:
        columns.setdefault(mart, []).append((name, data_type))
    return columns


def _digest(connection: duckdb.DuckDBPyConnection, rows: str) -> Any:
    """The number of rows and the sum of their hashes, which is the same in any order of rows."""
    return connection.execute(f"select count(*), sum(hash(t)::hugeint) from ({rows}) t").fetchone()


def _rows_apart(connection: duckdb.DuckDBPyConnection, ours: str, theirs: str) -> int:
    row = connection.execute(
        f"select count(*) from (({ours} except all {theirs}) union all ({theirs} except all {ours}))"
    ).fetchone()
    return 0 if row is None else int(row[0])
