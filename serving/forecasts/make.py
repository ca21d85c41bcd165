"""Makes the forecasts of a tenant from its served version, and writes them to the log before their outcome.

make(home, tenant_id, actor) -> Made
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from foundation.errors import AccessError
from foundation.home import Home
from serving.closed_months.figures import Whole, open_whole
from serving.forecasts.compute import forecast_units, paths
from serving.forecasts.histories import history, members
from serving.forecasts.measures import (
    LEAST_ON_RECORD,
    LEAST_SHARE_ON_RECORD,
    MEASURES,
    MODEL,
    MODULE,
    Measure,
)
from serving.forecasts.record import Scored, record_of, score
from serving.forecasts.series import definitions
from serving.model import NothingPublished, Version
from serving.people.forecast_log import Forecast, Issue
from serving.people.store import AccessStore
from serving.versions.health import published_alerts
from serving.versions.integrity import last_sound_version

# Metric, grain and service unit.
Key = tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What `make` did. `is_new` is false where the same model had made forecasts from the version before; `forecasts` are those then."""

    issue: Issue
    forecasts: tuple[Forecast, ...]
    is_new: bool


def make(home: Home, tenant_id: str, actor: str) -> Made:
    """Makes every forecast of a tenant from the version that is served, and keeps them. Days after the version's last day change nothing.

    Does nothing where the same model has made forecasts from that version already. Raises AccessError where the tenant does not have the
    module, NothingPublished before the first version.
    """
    store = AccessStore.open(home)
    if MODULE not in store.policy(tenant_id).modules:
        raise AccessError("your organization does not have the module forecasts")
    version = last_sound_version(home, tenant_id)
    if version is None:
        raise NothingPublished("nothing is published yet; run the pipeline first")
    log = store.forecasts(tenant_id)
    before = next((item for item in log.issues() if (item.version, item.model) == (version.version, MODEL)), None)
    if before is None:
        as_of = version.data_as_of
        if as_of is None:
            raise NothingPublished("the served version has no day that its data reach to; nothing can be forecast")
        issue = Issue(version=version.version, data_as_of=as_of, model=MODEL, made_by=actor, made_at=datetime.now(UTC))
        forecasts = forecasts_of(home, version)
        kept = log.add(issue, forecasts)
        if kept is not None:
            return Made(issue=kept, forecasts=forecasts, is_new=True)
        # Another process was faster.
        before = next(item for item in log.issues() if (item.version, item.model) == (version.version, MODEL))
    return Made(issue=before, forecasts=log.forecasts(before.issue_id), is_new=False)


def forecasts_of(home: Home, version: Version) -> tuple[Forecast, ...]:
    """The forecasts of every unit from a version of a tenant, by measure and then in the order of the tree."""
    whole = open_whole(home, version)
    try:
        return _forecasts(home, version, whole)
    finally:
        whole.close()


def _forecasts(home: Home, version: Version, whole: Whole) -> tuple[Forecast, ...]:
    assert version.data_as_of is not None
    digests = definitions(home, version, whole.metrics.registry)
    off = _switched_off(home, version, whole, digests)
    alerts = list(published_alerts(home, version).iter_rows(named=True))
    there = {item.definition.name for item in whole.metrics.visible()}
    made: list[Forecast] = []
    computed = {}
    for measure in MEASURES:
        if measure.metric not in there:
            continue
        if measure.metric not in computed:
            past = history(whole.metrics, measure.metric, version.data_as_of)
            computed[measure.metric] = paths(past) if past.units else None
        daily = computed[measure.metric]
        if daily is not None:
            below = members(whole.metrics, daily.history.units)
            problem = _feed_problem(measure, alerts)
            made += forecast_units(measure, daily, below, digests[measure.metric], problem)
    return tuple(_as_on_record(item, off) for item in made)


def _switched_off(home: Home, version: Version, whole: Whole, digests: Mapping[str, str]) -> dict[Key, str]:
    """Metric, grain and unit whose forecasts did badly since they are on record, with the reason."""
    assert version.data_as_of is not None
    log = AccessStore.open(home).forecasts(version.tenant_id)
    outcomes: dict[Key, list[Scored]] = {}
    for item in score(log, whole.metrics, version.data_as_of, digests):
        if item.issue.model == MODEL:
            outcomes.setdefault((item.metric, item.grain, item.service_unit_id), []).append(item)
    reasons = {}
    for key, items in outcomes.items():
        (record,) = record_of(items)
        if record.outcomes >= LEAST_ON_RECORD and record.held < LEAST_SHARE_ON_RECORD:
            reasons[key] = (
                f"switched off: since forecasts are on record its 90 % band held {record.held * 100:.1f} % of "
                f"{record.outcomes} outcomes, and must hold {LEAST_SHARE_ON_RECORD * 100:.0f} %"
            )
    return reasons


def _as_on_record(forecast: Forecast, off: Mapping[Key, str]) -> Forecast:
    reason = off.get((forecast.metric, forecast.grain, forecast.service_unit_id), "")
    return replace(forecast, is_shown=False, reason=reason, points=()) if reason and forecast.is_shown else forecast


def _feed_problem(measure: Measure, alerts: Sequence[Mapping[str, object]]) -> str:
    """The sentence of the first alert about a feed whose rows a measure counts; empty where all is well."""
    for alert in alerts:
        entities = alert["entities"]
        if isinstance(entities, list) and set(entities) & set(measure.entities):
            return str(alert["message"]).rstrip(".")
    return ""
