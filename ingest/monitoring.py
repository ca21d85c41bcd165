"""What Prometheus may know of runs and feeds, from the ledger: counts and times, never a record or the name of a file."""

from collections.abc import Iterator
from datetime import UTC, datetime

import sqlalchemy as sa
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from foundation.home import Home
from foundation.run_lock import is_held
from ingest import ledger as tables
from ingest.accounts.accounts import feed_status
from ingest.ledger import Ledger
from ingest.problems import problem_code

# A run that has not ended, and none is at work: it was killed.
RUN_OUTCOMES = ("published", "unchanged", "stopped", "running", "killed")
_BY_FEED = {
    "rows_landed": "Rows that landed, of all runs.",
    "rows_quarantined": "Rows that went to quarantine, of all runs.",
    "records_read": "Records that were read, of all runs.",
    "units_refused": "Files and tables that the last read refused.",
}


def ledger_metrics(home: Home) -> Iterator[Metric]:
    """Runs, feeds and quarantine of a home; nothing where nothing has run."""
    if not home.ledger.exists():
        return
    ledger = Ledger(home)
    try:
        yield from _runs(home, ledger)
        yield from _feeds(ledger)
        yield _quarantine(ledger)
    finally:
        ledger.close()


def _runs(home: Home, ledger: Ledger) -> Iterator[Metric]:
    # Asked before the ledger is: a run that ends between the two has noted how.
    at_work, last = is_held(home), ledger.last_run()
    kept = GaugeMetricFamily("clinicmart_runs", "Runs in the ledger, by how they ended.", labels=["outcome"])
    run = tables.run.c
    for row in ledger.rows(sa.select(run.outcome, sa.func.count().label("runs")).group_by(run.outcome)):
        kept.add_metric([row["outcome"] or "not_ended"], row["runs"])
    yield kept
    if last is None:
        return
    started = GaugeMetricFamily("clinicmart_last_run_started_timestamp_seconds", "When the last run started.")
    started.add_metric([], _seconds(last["started_at"]))
    yield started
    if last["ended_at"] is not None:
        ended = GaugeMetricFamily("clinicmart_last_run_ended_timestamp_seconds", "When the last run ended.")
        ended.add_metric([], _seconds(last["ended_at"]))
        yield ended
    outcome = last["outcome"] or ("running" if at_work else "killed")
    by_outcome = GaugeMetricFamily("clinicmart_last_run_outcome", "1 for how the last run ended.", labels=["outcome"])
    for name in RUN_OUTCOMES:
        by_outcome.add_metric([name], float(name == outcome))
    yield by_outcome


def _feeds(ledger: Ledger) -> Iterator[Metric]:
    labels = ["tenant", "feed"]
    families = {
        name: GaugeMetricFamily(f"clinicmart_feed_{name}", text, labels=labels) for name, text in _BY_FEED.items()
    }
    read = GaugeMetricFamily("clinicmart_feed_last_read_timestamp_seconds", "When a feed was last read.", labels=labels)
    newest = GaugeMetricFamily(
        "clinicmart_feed_newest_record_timestamp_seconds",
        "The latest time that the source gave a record.",
        labels=labels,
    )
    for row in feed_status(ledger).iter_rows(named=True):
        feed = [row["tenant_id"], row["feed"]]
        for name, family in families.items():
            family.add_metric(feed, row[name])
        read.add_metric(feed, _seconds(row["last_read_at"]))
        if row["newest_record_at"] is not None:
            newest.add_metric(feed, _seconds(row["newest_record_at"]))
    yield from (*families.values(), read, newest)


def _quarantine(ledger: Ledger) -> Metric:
    held = tables.held.c
    rows = sa.select(held.tenant_id, held.feed, held.reason, sa.func.sum(held.rows).label("rows"))
    query = rows.where(held.released_at.is_(None)).group_by(held.tenant_id, held.feed, held.reason)
    family = GaugeMetricFamily(
        "clinicmart_quarantine_rows", "Rows in quarantine now, by problem code.", labels=["tenant", "feed", "code"]
    )
    counts: dict[tuple[str, str, str], int] = {}
    for row in ledger.rows(query):
        key = (row["tenant_id"], row["feed"], problem_code(row["reason"]) or "other")
        counts[key] = counts.get(key, 0) + row["rows"]
    for labels, number in sorted(counts.items()):
        family.add_metric(labels, number)
    return family


def _seconds(moment: datetime) -> float:
    """Seconds since 1970 of a UTC time without a zone, as the ledger keeps it."""
    return moment.replace(tzinfo=UTC).timestamp()
