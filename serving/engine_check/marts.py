"""Whether the published marts of two engines are the same: row by row, to the last digit.

Both sides are read in the order of the mart's key, in chunks, and merged. Decimals and whole numbers are compared by value
with all their digits, fractions that an engine holds as binary to 1e-9, times in UTC, everything else as it is. What is
reported are keys and names of columns, never values.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

import adbc_driver_manager
import duckdb
import polars as pl
import pyarrow as pa
from adbc_driver_postgresql import dbapi

from foundation import duck
from foundation.errors import ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from serving.metrics.manifests import published_tables, read_manifests
from serving.metrics.registry import HEALTH

SCHEMA = "marts"
CHUNK = 50_000
KEYS_SHOWN = 5
_KEY, _OTHER = "compared_key", "_other"
# Binary fractions are summed in another order by each engine.
_ABSOLUTE, _RELATIVE = 1e-9, 1e-12

_EXACT = ("decimal", "numeric", "bigint", "integer", "smallint", "tinyint", "hugeint", "ubigint", "uinteger")
_FLOAT = ("double", "float", "real")


@dataclass(frozen=True, kw_only=True)
class MartComparison:
    """One mart on both engines. `columns` are those whose values differ, `one_sided` those that one engine lacks; `keys` are
    the first keys of rows that differ or that one engine lacks."""

    mart: str
    rows_duckdb: int
    rows_postgres: int
    rows_differing: int
    columns: tuple[str, ...] = ()
    one_sided: tuple[str, ...] = ()
    keys: tuple[Mapping[str, str | None], ...] = field(default=())

    @property
    def equal(self) -> bool:
        """Whether both hold the same columns and rows."""
        return not self.rows_differing and not self.one_sided


def compare_marts(home: Home, keys: Keys, dbt_target: Path, conninfo: str) -> tuple[MartComparison, ...]:
    """Compares every published mart of the home's warehouse with the table of that name in a PostgreSQL database.

    `dbt_target` holds the manifests that name the marts and their keys. Raises ClinicmartError where a mart is absent on a
    side or has no key. The warehouse is opened read-only.
    """
    manifest, semantic, _ = read_manifests(dbt_target)
    marts = [table.name for table in published_tables(manifest, semantic) if table.schema != HEALTH]
    key_of = mart_keys(manifest)
    try:
        with duck.session(home) as warehouse, dbapi.connect(conninfo, autocommit=True) as postgres:
            duck.attach(warehouse, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"), read_only=True)
            with postgres.cursor() as cursor:
                cursor.execute("set datestyle = 'ISO, YMD'")
            return tuple(_compare(warehouse, postgres, mart, key_of.get(mart, ())) for mart in marts)
    except adbc_driver_manager.Error as error:
        # Not its message: PostgreSQL may quote a row.
        raise ClinicmartError(f"PostgreSQL could not be read ({error.sqlstate or 'no connection'})") from None


def mart_keys(manifest: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Mart to the columns that its tests say are unique together; with `tenant_id`, and the fewest, where there are several."""
    keys_by_mart: dict[str, list[tuple[str, ...]]] = {}
    for node in manifest["nodes"].values():
        test = node.get("test_metadata") or {}
        model = manifest["nodes"].get(node.get("attached_node") or "")
        if model is None or test.get("name") != "rows_hold":
            continue
        keys = test["kwargs"].get("unique") or ()
        keys_by_mart.setdefault(model.get("alias") or model["name"], []).extend(map(tuple, keys))
    return {
        mart: min(choices, key=lambda names: ("tenant_id" not in names, len(names), names))
        for mart, choices in keys_by_mart.items()
        if choices
    }


@dataclass(frozen=True, kw_only=True)
class _Column:
    """One column on both sides: its type for the comparison, and its SQL for each engine."""

    name: str
    kind: str
    duckdb: str
    postgres: str


def _kind(data_type: str) -> str:
    name = data_type.lower()
    if name.startswith(_EXACT):
        return "exact"
    if name.startswith(_FLOAT):
        return "float"
    return name.split(" ")[0] if name.startswith(("date", "timestamp", "boolean")) else "text"


def _column(name: str, duckdb_type: str, postgres_type: str) -> _Column:
    kinds = {_kind(duckdb_type), _kind(postgres_type)}
    kind = kinds.pop() if len(kinds) == 1 else "float" if kinds == {"exact", "float"} else "text"
    quoted = f'"{name}"'
    if kind == "timestamp":
        zoned = [
            f"timezone('UTC', {quoted})" if "with time zone" in t.lower() else quoted
            for t in (duckdb_type, postgres_type)
        ]
        return _Column(name=name, kind=kind, duckdb=f"cast({zoned[0]} as timestamp)", postgres=zoned[1])
    cast = {"exact": ("varchar", "text"), "text": ("varchar", "text"), "float": ("double", "float8")}.get(kind)
    if cast is None:
        return _Column(name=name, kind=kind, duckdb=quoted, postgres=quoted)
    return _Column(name=name, kind=kind, duckdb=f"cast({quoted} as {cast[0]})", postgres=f"cast({quoted} as {cast[1]})")


def _types(run: Callable[[str], list[tuple[Any, ...]]], mart: str, engine: str, catalog: str) -> dict[str, str]:
    """Column name to type of a mart on one engine."""
    rows = run(
        "select column_name, data_type from information_schema.columns "
        f"where {catalog} and table_schema = '{SCHEMA}' and table_name = '{mart}' order by ordinal_position"
    )
    if not rows:
        raise ClinicmartError(f"{SCHEMA}.{mart} is not in {engine}")
    return {str(name): str(kind) for name, kind in rows}


def _query(columns: list[str], key: tuple[str, ...], table: str, *, text: str, collation: str) -> str:
    """Rows in the order of the key as text, by code point: both engines and Polars agree on that order and no other."""
    joined = ", ".join(f'cast("{name}" as {text})' for name in key)
    return (
        f"select {', '.join(columns)}, {_KEY} from (select *, concat_ws(chr(31), {joined}) as {_KEY} from {table}) keyed "
        f"order by {_KEY}{collation}"
    )


def _compare(
    warehouse: duckdb.DuckDBPyConnection, postgres: dbapi.Connection, mart: str, key: tuple[str, ...]
) -> MartComparison:
    if not key:
        raise ClinicmartError(f"{SCHEMA}.{mart} has no test that says which columns are unique together")
    with postgres.cursor() as cursor:

        def ask(query: str) -> list[tuple[Any, ...]]:
            cursor.execute(query)
            return list(cursor.fetchall())

        here = _types(lambda query: warehouse.execute(query).fetchall(), mart, "DuckDB", "table_catalog = 'warehouse'")
        there = _types(ask, mart, "PostgreSQL", "true")
        columns = [_column(name, here[name], there[name]) for name in here if name in there]
        one_sided = tuple(sorted(set(here) ^ set(there)))
        if set(key) & set(one_sided):
            raise ClinicmartError(f"{SCHEMA}.{mart} lacks a column of its key on one engine: {', '.join(one_sided)}")
        cursor.execute(
            _query(
                [f'{c.postgres} as "{c.name}"' for c in columns],
                key,
                f'{SCHEMA}."{mart}"',
                text="text",
                collation=' collate "C"',
            )
        )
        ours = warehouse.execute(
            _query(
                [f'{c.duckdb} as "{c.name}"' for c in columns],
                key,
                f'warehouse.{SCHEMA}."{mart}"',
                text="varchar",
                collation="",
            )
        ).to_arrow_reader(CHUNK)
        sides = (_Stream(ours), _Stream(cursor.fetch_record_batch()))
        return _merge(mart, key, columns, one_sided, sides)


class _Stream:
    """Rows of one side in key order: read a chunk at a time, given out up to a key."""

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self._reader = reader
        self.ended = False
        self.rows = 0
        self.held = self._frame(reader.schema.empty_table())

    @staticmethod
    def _frame(table: Any) -> pl.DataFrame:
        frame = pl.from_arrow(table)
        assert isinstance(frame, pl.DataFrame)
        # Engines differ in the resolution and zone that they send times with; both are UTC by now.
        return frame.with_columns(pl.selectors.datetime().cast(pl.Datetime("us")))

    def fill(self) -> None:
        """Reads one more chunk that has rows, or finds the end."""
        for batch in self._reader:
            if batch.num_rows:
                self.rows += batch.num_rows
                self.held = pl.concat([self.held, self._frame(batch)])
                return
        self.ended = True

    @property
    def last(self) -> str:
        return str(self.held[_KEY][-1])

    def take(self, before: str | None) -> pl.DataFrame:
        """Gives out the rows with a key before this one; all, for None."""
        if before is None:
            taken, self.held = self.held, self.held.clear()
            return taken
        taken = self.held.filter(pl.col(_KEY) < before)
        self.held = self.held.slice(taken.height)
        return taken


def _slices(sides: tuple[_Stream, _Stream]) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
    """Pairs of frames that hold the same range of keys, whole: no key is in two pairs."""
    while True:
        for side in sides:
            if side.held.is_empty() and not side.ended:
                side.fill()
        reading = [side for side in sides if not side.ended]
        # Further rows of a side's last key may still come: up to it, but not with it.
        before = min((side.last for side in reading), default=None)
        pair = (sides[0].take(before), sides[1].take(before))
        if pair[0].height or pair[1].height:
            yield pair
        elif reading:
            for side in reading:
                if side.last == before:
                    side.fill()
        else:
            return


def _merge(
    mart: str, key: tuple[str, ...], columns: list[_Column], one_sided: tuple[str, ...], sides: tuple[_Stream, _Stream]
) -> MartComparison:
    differing = 0
    where: Counter[str] = Counter()
    first: list[Mapping[str, str | None]] = []
    for ours, theirs in _slices(sides):
        wrong = _differences(ours, theirs, columns)
        differing += wrong.height
        both = wrong.filter(pl.col("here") & pl.col(f"here{_OTHER}"))
        for column in columns:
            where[column.name] += both.height - int(both[f"same {column.name}"].sum())
        shown = wrong.head(KEYS_SHOWN - len(first)).select(
            pl.coalesce(name, f"{name}{_OTHER}").cast(pl.String).alias(name) for name in key
        )
        first += shown.to_dicts()
    return MartComparison(
        mart=mart,
        rows_duckdb=sides[0].rows,
        rows_postgres=sides[1].rows,
        rows_differing=differing,
        columns=tuple(name for name, count in where.items() if count),
        one_sided=one_sided,
        keys=tuple(first),
    )


def _differences(ours: pl.DataFrame, theirs: pl.DataFrame, columns: list[_Column]) -> pl.DataFrame:
    """Rows that differ or stand on one side alone, in key order; `same <column>` says which columns agree.

    Should a key come twice on a side, its first row is compared with the other side's first, and so on.
    """
    place = pl.int_range(pl.len()).over(_KEY).alias("place")
    exact = [column.name for column in columns if column.kind == "exact"]
    frames = [
        frame.with_columns(*(_digits(name) for name in exact), place, pl.lit(True).alias("here"))
        for frame in (ours, theirs)
    ]
    joined = frames[0].join(frames[1], on=[_KEY, "place"], how="full", coalesce=True, suffix=_OTHER)
    joined = joined.with_columns(
        pl.col("here").fill_null(False),
        pl.col(f"here{_OTHER}").fill_null(False),
        *(_same(column).alias(f"same {column.name}") for column in columns),
    )
    same = reduce(
        lambda left, right: left & right,
        (pl.col(f"same {column.name}") for column in columns),
        pl.col("here") & pl.col(f"here{_OTHER}"),
    )
    return joined.filter(~same).sort(_KEY, "place")


def _digits(name: str) -> pl.Expr:
    return digits(pl.col(name)).alias(name)


def digits(value: pl.Expr) -> pl.Expr:
    """A number as text without zeros that say nothing: 12.5000 and 12.50 are one value."""
    plain = value.str.strip_chars_end("0").str.strip_chars_end(".")
    return pl.when(value.str.contains(".", literal=True)).then(plain).otherwise(value)


def _same(column: _Column) -> pl.Expr:
    return same(pl.col(column.name), pl.col(f"{column.name}{_OTHER}"), is_float=column.kind == "float")


def same(ours: pl.Expr, theirs: pl.Expr, *, is_float: bool) -> pl.Expr:
    """Whether two values are one, no value being equal to no value; binary fractions within 1e-9, or 1e-12 of large ones."""
    if not is_float:
        return ours.eq_missing(theirs)
    near = (ours - theirs).abs() <= pl.max_horizontal(pl.lit(_ABSOLUTE), ours.abs() * _RELATIVE)
    # Beside what is no finite number every distance would be small.
    return ours.eq_missing(theirs) | (near & ours.is_finite() & theirs.is_finite()).fill_null(False)
