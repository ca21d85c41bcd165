"""What programs and agents may ask of a reader. Nothing here knows a protocol."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import polars as pl

from dashboards import chance
from dashboards.api import models
from dashboards.api.answers import cell, page_of, rows_of, stand_of
from foundation.errors import ConfigurationError
from foundation.near_names import near
from serving.filter_values import checked_filters
from serving.model import MetricDefinition, MetricQuery
from serving.reader import Reader


class UnknownMetric(ConfigurationError):
    """The person may not ask for a metric of that name, or there is none."""


def known_metric(reader: Reader, name: str) -> MetricDefinition:
    """The metric of a name. Raises UnknownMetric, with near names, where the person may not ask for it."""
    definitions = {item.name: item for item in reader.metrics()}
    if name not in definitions:
        raise UnknownMetric(f"no metric is named {name!r}{near(name, definitions)}")
    return definitions[name]


def metric(reader: Reader, name: str) -> models.Metric:
    """One metric in words. Raises UnknownMetric."""
    item = known_metric(reader, name)
    reader.saw("list", {"metric": name})
    return _in_words(item)


def _in_words(item: MetricDefinition) -> models.Metric:
    return models.Metric.model_validate(asdict(item), extra="ignore")


def metrics(reader: Reader, *, module: str = "", search: str = "", limit: int, offset: int = 0) -> models.Metrics:
    """Metrics that the person may ask for, by name: of a module, and with a text in name, label or description."""
    reader.saw("list", {"metrics": module or "all"})
    wanted = search.casefold()
    held = [
        item
        for item in reader.metrics()
        if module in ("", item.module) and wanted in f"{item.name} {item.label} {item.description}".casefold()
    ]
    shown = held[offset : offset + limit]
    return models.Metrics(page=page_of(len(held), offset, len(shown)), metrics=[_in_words(item) for item in shown])


def members(reader: Reader, name: str, *, search: str = "", limit: int, offset: int = 0) -> models.Members:
    """Values of a dimension within the person's scope whose id or name holds a text, by name.

    Raises ConfigurationError for an unknown dimension.
    """
    frame = reader.dimension_values(name)
    reader.saw("list", {"dimension": name})
    if search:
        both = pl.concat_str([pl.col("id").cast(pl.String), pl.col("name")], separator=" ", ignore_nulls=True)
        frame = frame.filter(both.str.to_lowercase().str.contains(search.lower(), literal=True))
    shown = frame[offset : offset + limit]
    return models.Members(
        page=page_of(frame.height, offset, shown.height),
        values=[models.Member.model_validate(row, extra="ignore") for row in rows_of(shown)],
    )


def figures(reader: Reader, question: models.Question) -> tuple[pl.DataFrame, models.Page]:
    """The part of an answer that was asked for, and which part it is. Raises ConfigurationError and AccessError as readers do."""
    query = question.query()
    checked_filters(reader, query.where)
    frame = reader.query(query)
    shown = frame[question.offset : question.offset + question.limit]
    return shown, page_of(frame.height, question.offset, shown.height)


def passport(reader: Reader, question: models.PassportQuestion) -> models.Passport:
    """A figure with its definition, parts, interval, feeds and doubts. Raises UnknownMetric, and as `figures`."""
    item = known_metric(reader, question.metric)
    values = _values(reader, item, question)
    value, base = values[item.name], values.get(item.out_of)
    numerator, interval = share_parts(item.unit, value, base)
    around = reader.rows_around(
        item.name,
        checked_filters(reader, question.where),
        question.date_from,
        question.date_to,
        restated=question.restated,
    )
    lineage = reader.lineage(item.name)
    feeds = lineage.feeds if lineage else ()
    return models.Passport(
        stand=stand_of(reader),
        metric=_in_words(item),
        value=cell(value),
        numerator=numerator,
        denominator=cell(base),
        interval=interval,
        rows_around=[models.RowsAround.model_validate(asdict(rows)) for rows in around],
        feeds=[models.FeedState.model_validate(asdict(feed), extra="ignore") for feed in feeds],
        doubts=[finding.headline() for finding in reader.findings() if item.name in finding.metrics],
    )


def _values(reader: Reader, item: MetricDefinition, question: models.PassportQuestion) -> Mapping[str, Any]:
    """The figure and, where it is a ratio of something the person may see, what stands below the line."""
    held = {other.name for other in reader.metrics()}
    query = MetricQuery(
        metrics=[name for name in (item.name, item.out_of) if name in held],
        where=checked_filters(reader, question.where),
        date_from=question.date_from,
        date_to=question.date_to,
        restated=question.restated,
    )
    return reader.query(query).row(0, named=True)


def share_parts(unit: str, value: Any, base: Any) -> tuple[int | None, tuple[float, float] | None]:
    """The number above the line of a share of counted things, and its 95 % interval (Wilson); None for any other figure."""
    if unit != "percent" or value is None or not isinstance(base, int) or not base:
        return None, None
    return round(float(value) * base), chance.wilson(float(value), float(base))
