"""The figures that a rule needs, asked through a person's own reader: so that scope, small cells and rights are the person's."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from dashboards import format as fmt
from dashboards import maturity, targets
from dashboards import period as periods
from dashboards.alerts.calendar import Days
from dashboards.alerts.judge import Measure, Point
from dashboards.data import UNKNOWN, Source
from dashboards.held_pages import pages_of
from foundation.errors import AccessError, ConfigurationError
from foundation.near_names import near
from serving.model import MetricDefinition
from serving.modules import PAGES
from serving.modules.overview import PAGE as FIRST_PAGE
from serving.people.alert_rules import Wanted
from serving.people.targets import WHOLE

SERVICE_UNIT = "service_unit"
# One question each.
MOST_UNITS = 200


def definition(source: Source, name: str) -> MetricDefinition:
    """A metric that the person may see. Raises ConfigurationError for another one."""
    if name not in source.metrics:
        raise ConfigurationError(f"no metric is named {name!r}{near(name, source.metrics)}")
    return source.metrics[name]


def measure_of(source: Source, wanted: Wanted) -> Measure:
    """What the judge must know of the alert's metric."""
    metric = definition(source, wanted.metric)
    below = source.metrics.get(wanted.volume_metric)
    is_rate = metric.unit == "percent" and metric.out_of == wanted.volume_metric
    return Measure(
        unit=metric.unit,
        is_rate_of_cases=is_rate and below is not None and below.unit == "count",
        adds_up=targets.is_per_month(metric),
    )


def units_of(source: Source, wanted: Wanted) -> tuple[str, ...]:
    """Ids of the units of an alert in the order of the tree, its own unit first. Raises AccessError for a unit that the person does not
    see, ConfigurationError for more than MOST_UNITS, and for a metric that is not counted by unit."""
    own = wanted.service_unit_id
    if own != WHOLE and (own not in source.places or own == UNKNOWN):
        raise AccessError(f"there is no service unit {own!r} among the data you may see")
    units = [own]
    if wanted.with_units_below:
        # The top of the tree has the figures of the whole.
        top = source.root.id if source.root else None
        below = (place for place in source.places if place not in (own, UNKNOWN))
        units += [
            place
            for place in below
            if (place != top if own == WHOLE else own in {step.id for step in source.path(place)})
        ]
    if units != [WHOLE] and SERVICE_UNIT not in definition(source, wanted.metric).dimensions:
        raise ConfigurationError(f"{wanted.metric} is not counted by service unit; leave the unit out")
    if len(units) > MOST_UNITS:
        raise ConfigurationError(f"{len(units)} units are more than the {MOST_UNITS} of one alert; name a unit below")
    return tuple(units)


def series_of(source: Source, wanted: Wanted, units: Sequence[str], asked: Sequence[Days]) -> dict[str, list[Point]]:
    """The figures of each unit in periods that follow each other, the oldest first. Raises ConfigurationError for a metric that
    the person may not see."""
    metric = definition(source, wanted.metric)
    return {unit: _points(source, wanted, metric, unit, asked) for unit in units}


def _points(source: Source, wanted: Wanted, metric: MetricDefinition, unit: str, asked: Sequence[Days]) -> list[Point]:
    where = {} if unit == WHOLE else {SERVICE_UNIT: unit}
    more = [wanted.volume_metric, *maturity.needed([metric])]
    names = [
        metric.name,
        *(name for name in more if name in source.metrics and set(where) <= set(source.metrics[name].dimensions)),
    ]
    frame = source.query(
        list(dict.fromkeys(names)), grain=wanted.every, where=where, start=asked[0][0], end=asked[-1][1]
    )
    rows = {periods.day_of(row["metric_time"]): row for row in frame.iter_rows(named=True) if row["metric_time"]}
    return [_point(source, wanted, metric, period, rows.get(period[0])) for period in asked]


def _point(
    source: Source, wanted: Wanted, metric: MetricDefinition, period: Days, row: Mapping[str, Any] | None
) -> Point:
    start, end = period
    value = None if row is None else row[metric.name]
    return Point(
        start=start,
        end=end,
        value=_decimal(value),
        volume=_decimal(row.get(wanted.volume_metric)) if row is not None else None,
        is_hidden=row is not None and value is None and source.hides_few,
        waits_for=fmt.lower_first(maturity.unripe(metric, end, source.as_of, row or {})),
    )


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else fmt.decimal(value)


def name_of(source: Source, unit: str) -> str:
    """The name of an alert's unit for the person."""
    if unit == WHOLE:
        return source.scope_label or source.tenant_name
    return source.places[unit].name if unit in source.places else "a unit that you no longer see"


def link_to(source: Source, metric: MetricDefinition, unit: str, period: Days) -> str:
    """The address of a figure, below that of the pages: its passport on a page that shows it, else where it comes from."""
    page = next((key for key in pages_of(source) if metric.name in PAGES[key].figures), None)
    if page is None:
        return f"lineage?{urlencode({'metric': metric.name})}"
    place = {"place": unit} if unit != WHOLE else {}
    path = "" if page == FIRST_PAGE.key else page
    return f"{path}?{urlencode({'period': periods.range_key(*period), **place, 'figure': metric.name})}"
