"""The record: earlier forecasts beside what came. Pure but for the questions to the registry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from serving.forecasts.measures import RECORD_DAYS
from serving.forecasts.series import figures, period_end
from serving.metrics.answers import Metrics
from serving.people.forecast_log import Forecast, ForecastLog, Issue, Point


@dataclass(frozen=True, kw_only=True)
class Scored:
    """A forecast of one period and its outcome, in the metric's unit."""

    issue: Issue
    metric: str
    grain: str
    service_unit_id: str
    point: Point
    outcome: Decimal

    @property
    def is_inside(self) -> bool:
        """Whether the outcome lay in the band."""
        return self.point.low <= self.outcome <= self.point.high

    @property
    def error(self) -> Decimal:
        return abs(self.outcome - self.point.value)

    @property
    def obvious_error(self) -> Decimal:
        return abs(self.outcome - self.point.obvious)


@dataclass(frozen=True, kw_only=True)
class Record:
    """How the forecasts of a metric at a grain did, for one unit or for all. `issues` were made; `outcomes` of their forecasts have come,
    `inside` of them in the band. `error` and `obvious_error` are means, in the metric's unit."""

    metric: str
    grain: str
    issues: int
    outcomes: int
    inside: int
    error: Decimal
    obvious_error: Decimal

    @property
    def held(self) -> Decimal:
        """The share of outcomes in the band."""
        return Decimal(self.inside) / self.outcomes


def score(
    log: ForecastLog, metrics: Metrics, until: date, definitions: Mapping[str, str], first: date | None = None
) -> tuple[Scored, ...]:
    """Every forecast that was shown and whose period ended by `until`, beside its outcome; the oldest issue first. Days of the week on
    which a unit is closed are left out: they say nothing.

    Only metrics and units in scope, and only where the figure is shown there. Forecasts of a metric whose definition has changed have no
    outcome. `first`: only issues whose data reach to this day or later; by default those of the last year.
    """
    units = set(metrics.data.units["service_unit_id"])
    visible = {item.definition.name for item in metrics.visible()}
    shown: dict[tuple[str, str], list[tuple[Issue, Forecast, Point]]] = {}
    for issue, forecast in log.since(first or until - timedelta(days=RECORD_DAYS)):
        is_in_scope = forecast.service_unit_id in units if forecast.service_unit_id else not metrics.scope.is_restricted
        if not is_in_scope or forecast.metric not in visible or forecast.definition != definitions.get(forecast.metric):
            continue
        for point in forecast.points:
            if point.has_band and period_end(point.first_day, forecast.grain) <= until:
                shown.setdefault((forecast.metric, forecast.grain), []).append((issue, forecast, point))
    scored = []
    for (metric, grain), items in shown.items():
        outcomes = figures(metrics, metric, grain, min(point.first_day for _, _, point in items), until)
        for issue, forecast, point in items:
            outcome = outcomes.get((forecast.service_unit_id, point.first_day), Decimal(0))
            if outcome is not None:
                scored.append(
                    Scored(
                        issue=issue,
                        metric=metric,
                        grain=grain,
                        service_unit_id=forecast.service_unit_id,
                        point=point,
                        outcome=outcome,
                    )
                )
    return tuple(scored)


def record_of(scored: Iterable[Scored]) -> tuple[Record, ...]:
    """The record of each metric and grain, in the order in which they come."""
    groups: dict[tuple[str, str], list[Scored]] = {}
    for item in scored:
        groups.setdefault((item.metric, item.grain), []).append(item)
    return tuple(
        Record(
            metric=metric,
            grain=grain,
            issues=len({item.issue.issue_id for item in items}),
            outcomes=len(items),
            inside=sum(item.is_inside for item in items),
            error=sum((item.error for item in items), Decimal(0)) / len(items),
            obvious_error=sum((item.obvious_error for item in items), Decimal(0)) / len(items),
        )
        for (metric, grain), items in groups.items()
    )
