"""What became of earlier months since last Monday: rates that have settled, figures that were restated. Reads through `Source`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dashboards import data, figures
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import Source
from dashboards.figures import Base
from dashboards.view import View
from foundation.errors import ClinicmartError
from serving.model import MetricDefinition

# Rates that settle long after their period.
SETTLING = (
    "denial_rate",
    "first_pass_resolution_rate",
    "net_collection_rate",
    "denial_overturn_rate",
    "underpayment_rate",
)
# Figures of past months that are held against what they were.
HELD = ("completed_appointments", "no_shows", "encounters", "billed_amount", "payer_paid_amount", "denied_claims")
MONTHS_HELD = 3


@dataclass(frozen=True, kw_only=True)
class Settled:
    """A rate whose month has reached the age at which its definition calls it final."""

    metric: MetricDefinition
    month: date
    value: Any
    base: Base | None


def settled(source: Source, view: View, since: date) -> list[Settled]:
    """Rates of months that became final after `since` and by the last day of the data."""
    items = []
    for name in SETTLING:
        metric = source.metrics.get(name)
        if metric is None or metric.matures_after_days is None or figures.filters(view, metric) is None:
            continue
        for month in months_settled(metric.matures_after_days, since, source.as_of):
            value, base = figures.values(source, view.in_month(month), [name])[name]
            if value is not None:
                items.append(Settled(metric=metric, month=month, value=value, base=base))
    return items


def months_settled(after_days: int, since: date, as_of: date) -> list[date]:
    """First days of the months whose end is `after_days` old after `since` and by `as_of`."""
    low, high = since - timedelta(days=after_days), as_of - timedelta(days=after_days)
    return [month for month in periods.months_of(low, high) if low < periods.month_end(month) <= high]


@dataclass(frozen=True, kw_only=True)
class Restated:
    """A figure of a month that is another now than in an earlier version."""

    metric: MetricDefinition
    month: date
    was: Any
    now: Any


def earlier(source: Source, before: date) -> Source | None:
    """The data as they were published last before a day (in the tenant's zone); None where no such version is kept."""
    zone = ZoneInfo(source.time_zone)
    there = [v for v in source.reader.versions() if v.published_at.astimezone(zone).date() < before]
    if not there or there[-1].version == source.reader.version.version:
        return None
    try:
        return data.source_of(source.principal, as_of=there[-1].version)
    except ClinicmartError:
        return None


def restated(source: Source, was: Source, view: View) -> list[Restated]:
    """Figures of the last months before both versions' last day that differ; what one of them does not have is left out."""
    end = periods.last_full_month_end(min(source.as_of, was.as_of))
    first = periods.add_months(periods.month_start(end), 1 - MONTHS_HELD)
    names = [name for name in HELD if name in source.metrics and name in was.metrics]
    held = replace(view, month=None, chosen=None)
    now_by, was_by = (figures.monthly(side, held, names, first, end) for side in (source, was))
    return [
        Restated(metric=source.metrics[name], month=month, was=old, now=new)
        for name in names
        for (month, new), (_, old) in zip(now_by.get(name, ()), was_by.get(name, ()), strict=False)
        if new != old
    ]


def words(items: Sequence[Restated]) -> list[tuple[str, str]]:
    """(what changed, from and to) of each."""
    return [
        (
            f"{item.metric.label}, {fmt.month(item.month)}",
            f"{fmt.exact(item.was, item.metric.unit)} became {fmt.exact(item.now, item.metric.unit)}",
        )
        for item in items
    ]
