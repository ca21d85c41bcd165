"""Whether a tenant's rows and money agree from source to published file: what stops its publication, and the bridge that is shown.

    open_differences(connection)            tenant to sentences, of the warehouse's checks that do not hold
    check_published(source, files, ...)     counts what a published file holds, asks it the questions that the marts answered,
                                            and adds the answers to the file of health tables
    bridge(steps, checks)                   a published version's bridge, a line for each measure that reaches the marts
    summary(checks)                         how many measures were compared, and how many do not agree

The steps and checks are those of the dbt models `health.reconciliation` and `health.reconciliation_check`; `published` comes from
here. Counts and sums of money are not PHI: everybody who may read Data health may see them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from serving.metrics.registry import HEALTH, PublishedTable
from serving.model import LastRun

STEPS, CHECKS = "reconciliation", "reconciliation_check"
ROWS = "rows"
# Check -> what it compares, in the order in which rows pass it.
STATIONS: Mapping[str, tuple[str, str]] = {
    "source": ("what the source says it sent", "what its reader gave"),
    "gate": ("what was read and not quarantined", "what landed"),
    "landing": ("what the ledger says landed", "what lies in the landed files"),
    "load": ("the landed files", "the raw tables"),
    "build": ("the raw tables at the load", "the raw tables at the build"),
    "marts": ("the raw tables", "the marts"),
    "published": ("the marts", "the published file"),
}
SENTENCES_TOLD = 5
RECONCILE = "do not reconcile"
_LINE = ("read", "quarantined", "left", "merged", "left_out", "marts", "published")


class Unreconciled(Exception):
    """The published file of a tenant differs from the warehouse; `reasons` are sentences."""

    def __init__(self, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = tuple(reasons)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A check that does not hold. `entity` is a contract's or, in a published file, a table's name; `feed` may be empty."""

    tenant_id: str
    entity: str
    measure: str
    check: str
    feed: str
    expected: Decimal
    actual: Decimal

    def sentence(self) -> str:
        """`harbor: rows of charge in feed pm do not reconcile: 12 in the landed files, 11 in the raw tables, 1 short`."""
        before, after = STATIONS[self.check]
        by = self.actual - self.expected
        feed = f" in feed {self.feed}" if self.feed else ""
        what = self.measure.replace("_", " ")
        return (
            f"{self.tenant_id}: {what} of {self.entity}{feed} {RECONCILE}: {self._told(self.expected)} in {before}, "
            f"{self._told(self.actual)} in {after}, {self._told(abs(by))} {'short' if by < 0 else 'too many'}"
        )

    def _told(self, number: Decimal) -> str:
        return f"{number:,.0f}" if self.measure == ROWS else f"{number:,.2f}"


def open_differences(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Tenant to what does not reconcile for it in the attached `warehouse`, the first stations first. Empty where all agree, and
    where the warehouse keeps no checks."""
    if not _has(connection, "warehouse", CHECKS):
        return {}
    rows = connection.execute(
        "select tenant_id, entity, measure, check_name, feed, expected, found "
        f"from warehouse.{HEALTH}.{CHECKS} where difference <> 0"
    ).fetchall()
    order = list(STATIONS)
    differences: dict[str, list[Difference]] = {}
    for tenant, entity, measure, check, feed, expected, seen in rows:
        item = Difference(
            tenant_id=tenant, entity=entity, measure=measure, check=check, feed=feed, expected=expected, actual=seen
        )
        differences.setdefault(tenant, []).append(item)
    return {
        tenant: told(sorted(items, key=lambda d: (order.index(d.check), d.measure != ROWS, d.entity, d.feed)))
        for tenant, items in differences.items()
    }


def told(differences: Sequence[Difference]) -> list[str]:
    """The first sentences, and the number of the others."""
    sentences = [item.sentence() for item in differences[:SENTENCES_TOLD]]
    more = len(differences) - len(sentences)
    return [*sentences, f"and {more:,} more that {RECONCILE}"] if more else sentences


def check_published(
    home: Home,
    keys: Keys,
    warehouse: duckdb.DuckDBPyConnection,
    tenant_id: str,
    *,
    base: Path,
    health: Path,
    tables: Sequence[PublishedTable],
) -> None:
    """Opens the written files again and compares them with the warehouse: the rows of every table, and every measure of the bridge.

    The bridge in `health`, where it is published, gains the step `published` and its checks. Raises Unreconciled where anything differs.
    """
    wrong: list[Difference] = []
    key = keys.derive_all_hex("published", tenant_id)
    bridge = _has(warehouse, "warehouse", STEPS) and _has(warehouse, "warehouse", CHECKS)
    with duck.session(home) as connection:
        duck.attach(connection, base, alias="published", key=key, read_only=True)
        connection.execute("use published")
        for table in tables:
            name, mine = f'"{table.schema}"."{table.name}"', "" if table.shared else " where tenant_id = $tenant"
            values = None if table.shared else {"tenant": tenant_id}
            expected = _number(warehouse, f"select count(*) from warehouse.{name}{mine}", values)
            published_rows = _number(connection, f"select count(*) from {name}")
            if published_rows != expected:
                wrong.append(_published(tenant_id, table.name, ROWS, expected, published_rows))
        if bridge:
            duck.attach(connection, health, alias="told", key=key)
            wrong += _answers(connection, warehouse, tenant_id)
            connection.execute("checkpoint told")
    if wrong:
        raise Unreconciled(told(wrong))


def _answers(
    connection: duckdb.DuckDBPyConnection, warehouse: duckdb.DuckDBPyConnection, tenant_id: str
) -> list[Difference]:
    """Runs the questions of the marts on the published file, and writes the answers into the attached database."""
    asked = warehouse.execute(
        f"select entity, measure, total, counted_as from warehouse.{HEALTH}.{STEPS} "
        "where tenant_id = ? and step = 'marts' order by entity, measure",
        [tenant_id],
    ).fetchall()
    told_here = all(_has(connection, "told", table) for table in (STEPS, CHECKS))
    wrong = []
    for entity, measure, expected, question in asked:
        answer = _number(connection, question)
        if answer != expected:
            wrong.append(_published(tenant_id, entity, measure, expected, answer))
        if not told_here:
            continue
        connection.execute(
            f"insert into told.{HEALTH}.{STEPS} (tenant_id, feed, entity, measure, step, reason, total, counted_as) "
            "values (?, '', ?, ?, 'published', '', ?, '')",
            [tenant_id, entity, measure, answer],
        )
        connection.execute(
            f"insert into told.{HEALTH}.{CHECKS} "
            "(tenant_id, entity, measure, check_name, feed, expected, found, difference) "
            "values (?, ?, ?, 'published', '', ?, ?, ?)",
            [tenant_id, entity, measure, expected, answer, answer - expected],
        )
    return wrong


def _published(tenant_id: str, entity: str, measure: str, expected: Decimal, actual: Decimal) -> Difference:
    return Difference(
        tenant_id=tenant_id,
        entity=entity,
        measure=measure,
        check="published",
        feed="",
        expected=expected,
        actual=actual,
    )


def _number(connection: duckdb.DuckDBPyConnection, query: str, values: Mapping[str, object] | None = None) -> Decimal:
    result = connection.execute(query, values).fetchone() if values else connection.execute(query).fetchone()
    return Decimal(str(result[0])) if result and result[0] is not None else Decimal(0)


def _has(connection: duckdb.DuckDBPyConnection, database: str, table: str) -> bool:
    query = "select 1 from duckdb_tables() where database_name = ? and schema_name = ? and table_name = ?"
    return connection.execute(query, [database, HEALTH, table]).fetchone() is not None


def open_of(last: LastRun | None) -> list[str]:
    """The sentences that kept the last run from publishing the tenant, as its outcome keeps them."""
    if last is None or last.outcome != "stopped":
        return []
    return [text for text in last.reason.split("; ") if RECONCILE in text]


def bridge(steps: pl.DataFrame, checks: pl.DataFrame) -> pl.DataFrame:
    """A line for each entity and measure that reaches the marts, over all feeds.

    `read` - `quarantined` - `left` (replaced, deleted, parts of one row) - `merged` (the same from several feeds) - `left_out` (not in
    the mart, for a reason) = `marts` = `published`; `difference` is what does not agree, over all checks. Null is not known: sums
    of what an earlier version landed.
    """
    keys = ["entity", "measure"]
    chain = steps.filter(pl.col("step") == "marts").select(keys)
    line = chain.unique(keys, maintain_order=True)
    for step in _LINE:
        summed = steps.filter(pl.col("step") == step).group_by(keys).agg(pl.col("total").sum().alias(step))
        line = line.join(summed, on=keys, how="left", maintain_order="left")
    off = checks.group_by(keys).agg(pl.col("difference").abs().sum())
    measured = pl.col("quarantined", "left", "merged", "left_out", "difference").fill_null(0)
    return line.join(off, on=keys, how="left", maintain_order="left").with_columns(measured).sort(keys)


def summary(checks: pl.DataFrame) -> tuple[int, int]:
    """Measures (entity and rows or amount) that were compared, and those of them with a difference."""
    measures = checks.group_by("entity", "measure").agg((pl.col("difference") != 0).any().alias("is_open"))
    return measures.height, int(measures["is_open"].sum())
