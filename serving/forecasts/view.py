"""A person's forecasts: which are seen, who has them made, and how earlier ones did.

forecasts = reader.forecasts
forecasts.current()    the newest forecasts of what the person sees, with the reason where there is none
forecasts.scored()     earlier forecasts beside their outcomes
forecasts.make()       makes them from the served version (administrators)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from foundation.errors import AccessError
from foundation.home import Home
from serving.audited import REFUSED, Note, refusals_noted
from serving.forecasts.measures import MEASURES_BY_KEY, MODULE, RECENT_WEEKS
from serving.forecasts.record import Scored, score
from serving.forecasts.series import definitions, figures
from serving.metrics.answers import Metrics
from serving.model import Version
from serving.people.forecast_log import Forecast, ForecastLog, Issue, LogCheck
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.shown import Saw

if TYPE_CHECKING:
    from serving.forecasts.make import Made

TOO_FEW_PEOPLE = "its figures count too few people to be shown to you"
REDEFINED = "the definition of the figure has changed since the forecast was made"


@dataclass(frozen=True, kw_only=True)
class Current:
    """The forecasts of one issue that a person may see."""

    issue: Issue
    forecasts: tuple[Forecast, ...]

    def of(self, metric: str, grain: str, service_unit: str) -> Forecast | None:
        """The forecast of a metric at a grain (day or week) for a unit, WHOLE for the tenant; None where there is no such history."""
        key = (metric, grain, service_unit)
        return next((item for item in self.forecasts if (item.metric, item.grain, item.service_unit_id) == key), None)


class ScopedForecasts:
    """The forecasts of one tenant for one person. Every look and every refusal is audited."""

    def __init__(
        self,
        *,
        home: Home,
        version: Version,
        metrics: Metrics,
        log: ForecastLog,
        principal: Principal,
        note: Note,
        saw: Saw,
    ) -> None:
        self._home, self._version, self._metrics = home, version, metrics
        self._log, self._principal, self._note, self._saw = log, principal, note, saw

    @property
    def may_see(self) -> bool:
        """Whether the person has the module. A provider and a referral partner, who see their own patients alone, have no figures of units
        and so no forecasts."""
        scope = self._metrics.scope
        return MODULE in scope.modules and scope.provider_id is None and scope.partner_id is None

    @property
    def may_make(self) -> bool:
        """Whether the person has forecasts made and verifies their log: administrators do."""
        return self.may_see and ROLES[self._principal.role].administers

    @property
    def until(self) -> date:
        """The last day that the data reach."""
        return self._version.data_as_of or self._version.published_at.date()

    def newest(self) -> Issue | None:
        """The newest issue that the version knew of: an earlier version shows no forecast from later data. None without one. Raises
        AccessError for a person without the module."""
        self._check("forecasts")
        issues = (issue for issue in self._log.issues() if issue.data_as_of <= self.until)
        return max(issues, key=lambda issue: (issue.data_as_of, issue.made_at), default=None)

    def current(self) -> Current | None:
        """The newest forecasts of metrics and units in scope, by measure and then in the order of the tree; None before the first ones.
        Raises AccessError for a person without the module."""
        issue = self.newest()
        if issue is None:
            return None
        seen = tuple(self._as_shown(item) for item in self._log.forecasts(issue.issue_id) if self._is_in_scope(item))
        self._saw("forecasts", {"issue": issue.issue_id, "forecasts": len(seen)})
        return Current(issue=issue, forecasts=seen)

    def scored(self) -> tuple[Scored, ...]:
        """Earlier forecasts of metrics and units in scope beside their outcomes, of the last year. Raises AccessError for a person without
        the module."""
        self._check("forecasts scored")
        scored = score(self._log, self._metrics, self.until, self._definitions)
        self._saw("forecasts scored", {"outcomes": len(scored)})
        return scored

    def make(self) -> "Made":
        """Makes the forecasts of the whole tenant from the served version. Raises AccessError, audited, for everybody but an
        administrator."""
        # Imported here: pages show forecasts and make none.
        from serving.forecasts.make import make

        self._check_administers("forecasts made")
        with refusals_noted(self._note, "forecasts made", {}):
            made = make(self._home, self._principal.tenant_id, self._principal.email)
        if not made.is_new:
            # New ones are a row of the audit with their digest; these were only looked at.
            self._saw("forecasts", {"issue": made.issue.issue_id, "forecasts": len(made.forecasts)})
        return made

    def verify(self) -> LogCheck:
        """Whether the log is what was written. Raises AccessError, audited, for everybody but an administrator."""
        self._check_administers("forecasts verified")
        check = self._log.verify()
        self._saw("forecasts verified", {"issues": check.issues, "problems": len(check.problems)})
        return check

    # What is in scope

    @cached_property
    def _definitions(self) -> Mapping[str, str]:
        return definitions(self._home, self._version, self._metrics.registry)

    @cached_property
    def _in_scope(self) -> tuple[frozenset[str], frozenset[str]]:
        """(metrics, units) that the person sees."""
        metrics = frozenset(item.definition.name for item in self._metrics.visible())
        return metrics, frozenset(self._metrics.data.units["service_unit_id"])

    def _is_in_scope(self, forecast: Forecast) -> bool:
        metrics, units = self._in_scope
        unit = forecast.service_unit_id
        return forecast.metric in metrics and (unit in units if unit else not self._metrics.scope.is_restricted)

    def _as_shown(self, forecast: Forecast) -> Forecast:
        if not forecast.is_shown:
            return forecast
        reason = ""
        if forecast.definition != self._definitions.get(forecast.metric):
            reason = REDEFINED
        elif forecast.service_unit_id in self._of_few(forecast.metric, forecast.grain):
            reason = TOO_FEW_PEOPLE
        return replace(forecast, is_shown=False, reason=reason, points=()) if reason else forecast

    def _of_few(self, metric: str, grain: str) -> frozenset[str]:
        """Units of which a recent figure is hidden from the person: a forecast would tell about what it is."""
        if self._metrics.smallest_cell <= 1 or f"{metric}_{grain}" not in MEASURES_BY_KEY:
            return frozenset()
        kept = self.__dict__.setdefault("_few", {})
        if (metric, grain) not in kept:
            first = self.until - timedelta(days=7 * RECENT_WEEKS + self.until.weekday())
            recent = figures(self._metrics, metric, grain, first, self.until)
            kept[metric, grain] = frozenset(unit for (unit, _), value in recent.items() if value is None)
        return frozenset(kept[metric, grain])

    # Refusals

    def _check(self, action: str) -> None:
        if not self.may_see:
            self._note(action, {}, REFUSED)
            raise AccessError("forecasts are not part of what you may see")

    def _check_administers(self, action: str) -> None:
        if not self.may_make:
            self._note(action, {}, REFUSED)
            raise AccessError("only an administrator of the organization does this")
