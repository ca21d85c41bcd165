"""Dates that are probably wrong: notices of rows with dates outside the plausible range of their contract.

A contract gives a column `plausibleFrom` (a day) and `plausibleDaysAhead` (days after the feed is judged), and two columns an order
of severity `warning`. Such a row lands as it is: the date may be right, and only the source can correct a mistyped year. The
notice has the number of rows and the position of the first.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl

from data_contracts import Column, Contract
from foundation.config import Feed

DATE, ORDER = "date_not_plausible", "order_not_plausible"


def implausible_dates(contract: Contract, rows: pl.DataFrame, feed: Feed, read_at: datetime) -> list[dict[str, Any]]:
    """Rows for the ledger's table `notice`, one for each unit and rule that has such dates.

    `rows` has the contract's types, and its `source_position` begins with `unit N: `. `read_at` is the UTC moment of the read.
    """
    if rows.height == 0:
        return []
    notices: list[dict[str, Any]] = []
    for column in contract.reader_columns:
        earliest, latest = _range(column, feed.judged_at(read_at))
        if earliest is None and latest is None:
            continue
        # Asked of two values first: hardly any batch has such dates.
        if not (_is_before(rows[column.name].min(), earliest) or _is_before(latest, rows[column.name].max())):
            continue
        value = pl.col(column.name)
        bounds = [value < earliest] if earliest is not None else []
        bounds += [value > latest] if latest is not None else []
        detail = f"{contract.name}.{column.name} is {_words(column)}, which is not likely; the rows landed as sent"
        notices += _notices(rows.filter(pl.any_horizontal(bounds)), DATE, detail)
    for rule in contract.plausible_orders:
        later, earlier = (_local_day(contract.by_name[name], feed) for name in (rule.later, rule.earlier))
        notices += _notices(
            rows.filter(later < earlier), ORDER, f"expected, but not true: {rule.description} The rows landed as sent"
        )
    return notices


def _notices(rows: pl.DataFrame, reason: str, detail: str) -> list[dict[str, Any]]:
    """A notice for each unit that some rows are of."""
    place = pl.col("source_position").str.extract_groups(r"^unit (?<unit_id>\d+): (?<position>.*)$").alias("place")
    counted = (
        rows.select(place)
        .unnest("place")
        .group_by("unit_id", maintain_order=True)
        .agg(pl.len().alias("records"), pl.first("position"))
    )
    return [
        {
            "unit_id": int(row["unit_id"]),
            "position": row["position"],
            "reason": reason,
            "detail": detail,
            "records": row["records"],
        }
        for row in counted.iter_rows(named=True)
    ]


def _local_day(column: Column, feed: Feed) -> pl.Expr:
    """The day of a column's dates in the zone of the feed."""
    value = pl.col(column.name)
    return value if column.logical_type == "date" else value.dt.convert_time_zone(feed.time_zone).dt.date()


def _range(column: Column, judged_at: datetime) -> tuple[Any, Any]:
    """The first and the last plausible value of a column, of the column's type; None where the contract sets no such bound."""
    earliest = column.plausible_from
    latest = None
    if column.plausible_days_ahead is not None:
        latest = judged_at.date() + timedelta(days=column.plausible_days_ahead)
    if column.logical_type == "date":
        return earliest, latest
    return _utc(earliest, time.min), _utc(latest, time.max)


def _utc(day: date | None, moment: time) -> datetime | None:
    return None if day is None else datetime.combine(day, moment, UTC)


def _is_before(first: Any, other: Any) -> bool:
    return first is not None and other is not None and first < other


def _words(column: Column) -> str:
    """The range that a column's dates are outside of, in words."""
    bounds = []
    if column.plausible_from is not None:
        bounds.append(f"before {column.plausible_from}")
    if column.plausible_days_ahead is not None:
        bounds.append(f"more than {column.plausible_days_ahead} days ahead")
    return " or ".join(bounds)
