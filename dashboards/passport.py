"""What stands in a figure's passport: value, parts, interval, other readings, feeds. Reads through `Source`, draws nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards import chance, figures, filters, targets
from dashboards import format as fmt
from dashboards import view as states
from dashboards.data import Source
from dashboards.figures import Figure
from dashboards.filters import Chip
from dashboards.targets import FigureTarget
from dashboards.view import View
from serving.lineage.metric import FeedState
from serving.model import MetricDefinition, RowsAround

# What the mark of a chart may change in a view; any other name in `at` is refused.
MARK_NAMES = frozenset({"place", "provider", "payer", "month", "period", *states.FILTERS})


@dataclass(frozen=True)
class Reading:
    """Another definition of the same thing, with its figure in the same view. `problem` says why it has none."""

    metric: MetricDefinition
    value: Any
    counted: str
    problem: str = ""


@dataclass(frozen=True)
class Passport:
    """A figure and what there is to know of it. `view` is the page's view narrowed to the mark, `mark` what the mark changes in the
    page's view, as `encode` writes it.

    `interval` is the 95 % interval of a share of counted things, `usual` the control limits of its settled months; None where
    there is none. `target` is that of the place, None where there is none or the mark is narrower than a place. `feeds` are those that
    it rests on; None for a version that was published without lineage.
    """

    view: View
    mark: str
    figure: Figure
    place: str
    chips: tuple[Chip, ...]
    interval: tuple[float, float] | None
    usual: tuple[float, float] | None
    feeds: tuple[FeedState, ...] | None
    target: FigureTarget | None = None

    @property
    def metric(self) -> MetricDefinition:
        return self.figure.metric


def strange_names(at: str) -> list[str]:
    """Names in a mark's changes that no mark has."""
    return filters.plain_names(name for name, _ in states.pairs_of(at) if name not in MARK_NAMES)


def of(source: Source, view: View, name: str, mark: str) -> Passport:
    """The passport of a metric that the person may see, in a view that was checked (`filters.checked`)."""
    figure = figures.load(source, view, [name])[name]
    lineage = source.lineage(name)
    path = source.path(view.place)
    return Passport(
        view=view,
        mark=mark,
        figure=figure,
        place=path[-1].name if path else source.scope_label or source.tenant_name,
        chips=tuple(filters.chips(source, view)),
        interval=_interval(figure),
        usual=chance.usual_range([float(value) for value in figure.settled]),
        feeds=None if lineage is None else lineage.feeds,
        target=None if view.filters else targets.of(source, view, figure),
    )


def _interval(figure: Figure) -> tuple[float, float] | None:
    base = figure.base
    if figure.metric.unit != "percent" or base is None or base.metric.unit != "count" or not base.now:
        return None
    return None if figure.value is None else chance.wilson(float(figure.value), float(base.now))


def rows_around(source: Source, view: View, metric: MetricDefinition) -> tuple[RowsAround, ...]:
    """How many rows count in a figure and how many are left out, by reason. Empty where the rows do not have a filter of the view."""
    where = figures.filters(view, metric)
    if where is None:
        return ()
    return source.rows_around(metric.name, where, view.period.start, view.period.end)


def readings_of(source: Source, metric: MetricDefinition) -> list[str]:
    """Names of the other definitions of the same thing that the person may see, the main one first."""
    main = source.metrics.get(metric.variant_of or "")
    family = [*([main.name] if main else []), *(main.variants if main else ()), *metric.variants]
    return [name for name in dict.fromkeys(family) if name != metric.name and name in source.metrics]


def readings(source: Source, view: View, metric: MetricDefinition) -> tuple[Reading, ...]:
    """The other definitions with their figures in the same view."""
    names: Sequence[str] = readings_of(source, metric)
    loaded = figures.values(source, view, names)
    return tuple(
        Reading(
            metric=source.metrics[name],
            value=loaded[name][0] if name in loaded else None,
            counted=figures.counted(source.metrics[name], *loaded[name]) if name in loaded else "",
            problem="" if name in loaded else filters.missing(view, source.metrics[name]),
        )
        for name in names
    )


def target_words(passport: Passport) -> str:
    """`target 6.0 %, worse than target of Imaging`; empty without a target."""
    if passport.target is None:
        return ""
    value = fmt.short(passport.target.value, passport.metric.unit)
    return f"target {value}, {passport.target.words}" if passport.target.words else f"target {value}"


def interval_words(passport: Passport) -> str:
    """`95 % interval 14.7 % to 20.6 %; usual month 6.0 % to 9.1 %`; empty where neither is known."""
    unit, parts = passport.metric.unit, []
    if passport.interval:
        parts.append(
            f"95 % interval {fmt.short(passport.interval[0], unit)} to {fmt.short(passport.interval[1], unit)}"
        )
    if passport.usual:
        low = max(passport.usual[0], 0.0) if all(value >= 0 for value in passport.figure.settled) else passport.usual[0]
        high = min(passport.usual[1], 1.0) if unit == "percent" else passport.usual[1]
        parts.append(f"usual month {fmt.short(low, unit)} to {fmt.short(high, unit)}")
    return "; ".join(parts)
