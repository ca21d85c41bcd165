"""A report that a person builds: which metrics, by what, filtered how, of which period. Names alone, never a figure. Pure.

    ReportDefinition(metrics=("no_show_rate",), by=("month",), period="last_12_months", shown_as="chart")
    problems(definition, metrics_of_the_reader)    why this person cannot be shown it; empty where nothing is wrong

Which metrics and dimensions there are is the registry's (`MetricDefinition.dimensions`), as the reader of a person has it.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from foundation.near_names import near
from serving.model import MetricDefinition

# The page on which reports are built.
BUILDER: Final = "report_builder"
MOST_METRICS, MOST_BREAKDOWNS = 6, 2
# The breakdown by calendar month; every other one is a dimension of the registry.
MONTH = "month"
SERVICE_UNIT, CHILDREN = "service_unit", "service_unit_children"
# Periods by name, relative to the day that the data reach: those of the pages' bar (`dashboards.period.PRESETS`).
PERIODS = ("last_month", "last_quarter", "last_3_months", "last_12_months", "year_to_date")
TABLE: Final = "table"
CHART: Final = "chart"
_RANGE = re.compile(r"\d{4}-\d{2}-\d{2}_\d{4}-\d{2}-\d{2}")
_Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,60}$")]
_Value = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]


class ReportDefinition(BaseModel):
    """What a report asks. `metrics` are names of the registry; `by` are dimensions, or MONTH; `filters` maps a dimension to the values of
    which a row has one; `period` is one of PERIODS or two days, `2026-01-01_2026-03-31`.

    Raises ValidationError (pydantic) for other content.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    metrics: tuple[_Name, ...] = Field(min_length=1, max_length=MOST_METRICS)
    by: tuple[_Name, ...] = Field(default=(), max_length=MOST_BREAKDOWNS)
    filters: Mapping[_Name, Annotated[tuple[_Value, ...], Field(min_length=1, max_length=200)]] = {}
    period: str = "last_quarter"
    shown_as: Literal["table", "chart"] = TABLE

    @model_validator(mode="after")
    def _check(self) -> Self:
        for what, names in (("metric", self.metrics), ("breakdown", self.by)):
            if len(set(names)) < len(names):
                raise ValueError(f"a {what} is named twice")
        if {SERVICE_UNIT, CHILDREN} <= set(self.by):
            raise ValueError("a report is broken down by units once")
        if self.period not in PERIODS and not _RANGE.fullmatch(self.period):
            raise ValueError(f"period {self.period!r} is not one of {', '.join(PERIODS)}, nor two days")
        return self

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The breakdowns that are dimensions."""
        return tuple(name for name in self.by if name != MONTH)

    def as_content(self) -> dict[str, object]:
        """Plain values in a fixed order; filters and their values are sorted."""
        return {
            "metrics": list(self.metrics),
            "by": list(self.by),
            "filters": {name: sorted(self.filters[name]) for name in sorted(self.filters)},
            "period": self.period,
            "shown_as": self.shown_as,
        }


def knows(metric: MetricDefinition, dimension: str) -> bool:
    """Whether a metric can be broken down and filtered by a dimension."""
    return dimension == MONTH or dimension.removesuffix("_children") in metric.dimensions


def offered(metrics: Sequence[MetricDefinition]) -> tuple[str, ...]:
    """The breakdowns that all of these metrics have: MONTH, then dimensions in the order of the first metric. Empty without metrics."""
    if not metrics:
        return ()
    names = [name for name in metrics[0].dimensions if all(knows(metric, name) for metric in metrics)]
    return (MONTH, *names)


def problems(definition: ReportDefinition, metrics: Mapping[str, MetricDefinition]) -> tuple[str, ...]:
    """Why a report cannot be shown to a person whose metrics by name are `metrics`; a sentence without full stop each."""
    return tuple(sentence for _, sentence in located_problems(definition, metrics))


def located_problems(
    definition: ReportDefinition, metrics: Mapping[str, MetricDefinition]
) -> tuple[tuple[tuple[str | int, ...], str], ...]:
    """As `problems`, each with its place in the definition, such as ("metrics", 0)."""
    located: list[tuple[tuple[str | int, ...], str]] = [
        (
            ("metrics", index),
            f"the figure {name} is not there for you: it was removed, or your role or your organization's plan does not have it",
        )
        for index, name in enumerate(definition.metrics)
        if name not in metrics
    ]
    for metric in (metrics[name] for name in definition.metrics if name in metrics):
        located += [
            (("by", index), f"{metric.label} cannot be broken down by {name}{near(name, metric.dimensions)}")
            for index, name in enumerate(definition.by)
            if not knows(metric, name)
        ]
        located += [
            (("filters", name), f"{metric.label} cannot be filtered by {name}{near(name, metric.dimensions)}")
            for name in definition.filters
            if not knows(metric, name)
        ]
    return tuple(located)
