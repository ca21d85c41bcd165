"""Figures of units by period, and what a metric's definition is, as asked of the registry. Loads no numbers library: pages use it."""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from hashlib import sha256

from foundation.home import Home
from serving.forecasts.measures import METRICS, WEEK
from serving.metrics.answers import TIME, Metrics
from serving.metrics.registry import Registry
from serving.model import MetricQuery, Version
from serving.people.targets import WHOLE
from serving.publish.model_sql import metric_digests, read_definitions
from serving.versions.store import files_of

WEEK_DAYS = timedelta(days=7)

Figures = Mapping[tuple[str, date], Decimal | None]


def figures(metrics: Metrics, metric: str, grain: str, first: date, last: date) -> Figures:
    """The figure of each unit in scope, WHOLE for all of it, by the first day of a period. Only periods that end by `last`. None for a
    figure that is hidden because it counts few people; without an entry there was nothing to count."""
    if first > last:
        return {}
    depth_of = dict(metrics.data.units.select("service_unit_id", "depth").iter_rows())
    answers: dict[tuple[str, date], Decimal | None] = {}
    for depth in (None, *sorted(set(depth_of.values()))):
        name = f"level_{depth}"
        if depth is not None and metrics.index.find(metric, name) is None:
            continue
        query = MetricQuery(
            metrics=[metric],
            by=[] if depth is None else [name],
            grain=grain,
            date_from=first,
            date_to=last,
            restated=True,
        )
        for row in metrics.query(query).iter_rows(named=True):
            unit = WHOLE if depth is None else row[name]
            # A unit above a level stands there too, with its own rows alone.
            if depth is not None and depth_of.get(unit) != depth:
                continue
            if period_end(row[TIME], grain) <= last:
                value = row[metric]
                answers[unit, row[TIME]] = None if value is None else Decimal(str(value))
    return answers


def period_end(first_day: date, grain: str) -> date:
    """The last day of a period (day or week) that begins on a day."""
    return first_day + WEEK_DAYS - timedelta(days=1) if grain == WEEK else first_day


def definitions(home: Home, version: Version, registry: Registry) -> dict[str, str]:
    """Metric to a digest of its definition and of the models that it counts: with another one, earlier forecasts are of another figure.
    Only metrics that are forecast."""
    files = files_of(home, version.tenant_id, version.version)
    digests = metric_digests(json.loads(files.semantic_manifest.read_bytes()))
    models = read_definitions(files.definitions)
    return {
        metric: sha256(
            json.dumps(
                [digests[metric], [models.get(table) for table in sorted(registry.metrics[metric].tables)]]
            ).encode()
        ).hexdigest()[:32]
        for metric in METRICS
        if metric in digests and metric in registry.metrics
    }
