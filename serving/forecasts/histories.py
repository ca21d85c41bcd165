"""The history of a metric by service unit, as asked of the registry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from serving.forecasts.measures import DAY, HISTORY_DAYS
from serving.forecasts.paths import Numbers
from serving.metrics.answers import TIME, Metrics
from serving.model import MetricQuery
from serving.people.targets import WHOLE


@dataclass(frozen=True, kw_only=True)
class History:
    """The rows of a metric by the unit that they name: a row of `values` a unit, a column a day from `first_day` on. A unit's own rows do
    not hold those of the units below it. The unit of rows without one is WHOLE."""

    first_day: date
    units: tuple[str, ...]
    values: Numbers


def history(metrics: Metrics, metric: str, last_day: date) -> History:
    """The history of a metric up to a day, told with the service units of today. Empty where there is none."""
    first = last_day - timedelta(days=HISTORY_DAYS - 1)
    frame = metrics.query(
        MetricQuery(metrics=[metric], by=["service_unit"], grain=DAY, date_from=first, date_to=last_day, restated=True)
    )
    frame = frame.filter(pl.col(metric).is_not_null() & (pl.col(metric) != 0))
    if not frame.height:
        return History(first_day=last_day, units=(), values=np.zeros((0, 1)))
    days: list[date] = frame[TIME].to_list()
    names = [unit or WHOLE for unit in frame["service_unit"]]
    first, units = min(days), tuple(sorted(set(names)))
    values = np.zeros((len(units), (last_day - first).days + 1))
    place = {unit: row for row, unit in enumerate(units)}
    for day, unit, value in zip(days, names, frame[metric], strict=True):
        values[place[unit], (day - first).days] += float(value)
    return History(first_day=first, units=units, values=values)


def members(metrics: Metrics, units: Sequence[str]) -> dict[str, list[int]]:
    """Service unit to the places, in `units`, of those that it is or that lie below it; WHOLE for all of them. In the order of the tree."""
    paths = dict(zip(metrics.data.units["service_unit_id"], metrics.data.units["path"], strict=True))
    below: dict[str, list[int]] = {WHOLE: list(range(len(units)))}
    for unit in paths:
        below[unit] = [place for place, other in enumerate(units) if f"/{unit}/" in paths.get(other, "")]
    return {unit: places for unit, places in below.items() if places}
