"""What Prometheus may know of the pages and of what is published: counts and times, never a record, a person or the name of a file.

`serving.counters` counts what this process did; `published_metrics` adds the state of a home at the moment of the scrape.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, time
from functools import lru_cache
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from foundation.errors import ClinicmartError
from foundation.faults import sentence_of
from foundation.home import Home
from serving.model import Version
from serving.people.store import AccessStore
from serving.readiness import REASONS, not_ready
from serving.versions.health import published_alerts, published_plausibility
from serving.versions.integrity import last_sound_version
from serving.versions.store import OUTCOMES, outcome


class Guarded(Collector):
    """A collector that a fault of the home does not silence: the others answer, and `clinicmart_collector_ok` is 0."""

    def __init__(self, name: str, collect: Callable[[], Iterable[Metric]]) -> None:
        self._name, self._collect = name, collect

    def collect(self) -> Iterator[Metric]:
        """The metrics of the collector, and whether all of them could be read."""
        metrics: list[Metric] = []
        is_ok = 1
        try:
            metrics.extend(self._collect())
        except Exception as error:
            if not isinstance(error, ClinicmartError) and sentence_of(error) is None:
                raise
            is_ok = 0
        health = GaugeMetricFamily(
            f"clinicmart_{self._name}_ok", f"1 where the {self._name} of the home can be read.", value=is_ok
        )
        yield from (*metrics, health)


def published_metrics(path: Path) -> Iterator[Metric]:
    """Readiness, sessions, and for each tenant its version, last outcome, alerts and plausibility findings."""
    reasons = not_ready(path)
    yield GaugeMetricFamily("clinicmart_ready", "1 where the home can be served (/readyz).", value=0 if reasons else 1)
    by_reason = GaugeMetricFamily(
        "clinicmart_not_ready", "1 for each reason that the home cannot be served.", labels=["reason"]
    )
    for reason in REASONS:
        by_reason.add_metric([reason], float(reason in reasons))
    yield by_reason
    home = Home.at(path)
    store = AccessStore.open(home)
    sessions = GaugeMetricFamily("clinicmart_sessions", "Open sign-ins.", labels=["tenant"])
    for tenant_id, number in store.session_counts().items():
        sessions.add_metric([tenant_id], number)
    yield sessions
    tenants = [tenant_id for tenant_id, _ in store.tenants()]
    yield from _versions(home, tenants)
    yield from _outcomes(home, tenants)


def _versions(home: Home, tenants: Iterable[str]) -> Iterator[Metric]:
    published_at = GaugeMetricFamily(
        "clinicmart_published_timestamp_seconds", "When the served version was published.", labels=["tenant"]
    )
    data_as_of = GaugeMetricFamily(
        "clinicmart_data_as_of_timestamp_seconds",
        "Start (UTC) of the day up to which the served data reach.",
        labels=["tenant"],
    )
    rows = GaugeMetricFamily("clinicmart_published_rows", "Rows of the served version.", labels=["tenant"])
    alerts = GaugeMetricFamily(
        "clinicmart_feed_alerts",
        "1 for a feed that stopped, brings too little or could not be read.",
        labels=["tenant", "feed", "kind"],
    )
    findings = GaugeMetricFamily(
        "clinicmart_plausibility_findings", "Plausibility findings by code.", labels=["tenant", "code"]
    )
    for tenant_id in tenants:
        version = last_sound_version(home, tenant_id)
        if version is None:
            continue
        published_at.add_metric([tenant_id], version.published_at.timestamp())
        rows.add_metric([tenant_id], version.rows)
        if version.data_as_of is not None:
            midnight = datetime.combine(version.data_as_of, time(), UTC)
            data_as_of.add_metric([tenant_id], midnight.timestamp())
        for feed, kind in _alerts(home, tenant_id, version.version):
            alerts.add_metric([tenant_id, feed, kind], 1)
        for code, number in _findings(home, tenant_id, version.version):
            findings.add_metric([tenant_id, code], number)
    yield from (published_at, data_as_of, rows, alerts, findings)


def _outcomes(home: Home, tenants: Iterable[str]) -> Iterator[Metric]:
    ended_at = GaugeMetricFamily(
        "clinicmart_tenant_run_timestamp_seconds", "When the last run ended for a tenant.", labels=["tenant"]
    )
    last = GaugeMetricFamily(
        "clinicmart_tenant_run_outcome", "1 for how the last run ended.", labels=["tenant", "outcome"]
    )
    for tenant_id in tenants:
        ended = outcome(home, tenant_id)
        if ended is not None:
            ended_at.add_metric([tenant_id], ended.at.timestamp())
            for name in OUTCOMES:
                last.add_metric([tenant_id, name], float(name == ended.outcome))
    yield from (ended_at, last)


def _version(home: Home, tenant_id: str, name: str) -> Version:
    version = last_sound_version(home, tenant_id)
    assert version is not None
    assert version.version == name
    return version


# A published version never changes: what it says is read once.
@lru_cache(maxsize=64)
def _alerts(home: Home, tenant_id: str, name: str) -> tuple[tuple[str, str], ...]:
    return tuple(published_alerts(home, _version(home, tenant_id, name)).select("feed", "kind").rows())


@lru_cache(maxsize=64)
def _findings(home: Home, tenant_id: str, name: str) -> tuple[tuple[str, int], ...]:
    findings, _ = published_plausibility(home, _version(home, tenant_id, name))
    return tuple(findings["code"].value_counts().sort("code").rows())
