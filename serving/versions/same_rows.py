"""Whether two published versions hold the same rows, mart by mart and to the last digit: also versions of two homes."""

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
    """`marts` were compared. `rows_differing` has the marts that differ, with the number of rows that only one side has; a mart, or a
    column of it, that one side lacks is in `one_sided`."""

    marts: int
    rows_differing: dict[str, int]
    one_sided: tuple[str, ...]

    @property
    def equal(self) -> bool:
        return not self.rows_differing and not self.one_sided


def compare_versions(home: Home, version: Version, other_home: Home, other: Version) -> SameRows:
    """Compares the base files of two versions of one tenant. Rows are compared as they are: decimals with all digits, fractions bit by
    bit, the order of rows aside. Opens both read-only."""
    with duck.session(home) as connection:
        for alias, place, item in (("ours", home, version), ("theirs", other_home, other)):
            key = Keys.of(place).derive_all_hex("published", item.tenant_id)
            path = files_of(place, item.tenant_id, item.version).base
            duck.attach(connection, path, alias=alias, key=key, read_only=True)
        ours, theirs = _columns(connection, "ours"), _columns(connection, "theirs")
        both = [mart for mart in ours if mart in theirs]
        one_sided = [*sorted(set(ours) ^ set(theirs)), *(mart for mart in both if ours[mart] != theirs[mart])]
        differing = {}
        for mart in (mart for mart in both if mart not in one_sided):
            if _digest(connection, "ours", mart) != _digest(connection, "theirs", mart):
                differing[mart] = _rows_apart(connection, mart)
    return SameRows(marts=len(both), rows_differing=differing, one_sided=tuple(one_sided))


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


def _digest(connection: duckdb.DuckDBPyConnection, alias: str, mart: str) -> Any:
    """The number of rows and the sum of their hashes, which is the same in any order of rows."""
    return connection.execute(f'select count(*), sum(hash(t)::hugeint) from {alias}.{_MARTS}."{mart}" t').fetchone()


def _rows_apart(connection: duckdb.DuckDBPyConnection, mart: str) -> int:
    one, other = (f'from {alias}.{_MARTS}."{mart}"' for alias in ("ours", "theirs"))
    row = connection.execute(
        f"select count(*) from (({one} except all {other}) union all ({other} except all {one}))"
    ).fetchone()
    return 0 if row is None else int(row[0])
