"""Coverage: for every feed and day the rows expected and the rows received, and an alert where a feed stopped.

The ledger counts the rows landed by the day of their record (`received`); `ingest.accounts.rhythm` learns from them what a day
brings. A feed is judged on the day it was last read, in its tenant's zone, and that day itself is not judged: it is not over.

    coverage(ledger)   tenant_id, feed, day, expected, low, high, received, status: the last eight weeks of every feed
    alerts(ledger)     tenant_id, feed, kind, since, newest_day, message: what somebody must look into

A day that arrives late is corrected: its status is computed each time from all rows that came; nothing is stored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import sqlalchemy as sa

from ingest import ledger as tables
from ingest.accounts.day_series import CLOSED_DAY, MISSING, NOT_YET_KNOWN, SHORT, Day, Series
from ingest.accounts.rhythm import PERIODIC, UNKNOWN, Daily, Periodic
from ingest.ledger import Ledger

SHOWN_DAYS = 56
SHORT_DAYS = 3
# A series that fell silent this long before its feed was first read is an archive: it has no days to come.
ARCHIVE_DAYS = 35
# Rows of one day that come later than this after its first rows are the same rows sent again.
SAME_DELIVERY_DAYS = 3
LATENESS_LEARNED_FROM = 10
UNREADABLE, STOPPED, FEWER = "unreadable", "stopped", "short"
_KEY = ("tenant_id", "feed")
_COVERAGE = {
    "tenant_id": pl.String,
    "feed": pl.String,
    "day": pl.Date,
    "expected": pl.Int64,
    "low": pl.Int64,
    "high": pl.Int64,
    "received": pl.Int64,
    "status": pl.String,
}
_ALERT = {
    "tenant_id": pl.String,
    "feed": pl.String,
    "kind": pl.String,
    "since": pl.Date,
    "newest_day": pl.Date,
    "message": pl.String,
}
_RHYTHM = {
    "tenant_id": pl.String,
    "feed": pl.String,
    "rhythm": pl.String,
    "period_days": pl.Int64,
    "usual_rows": pl.Int64,
    "newest_day": pl.Date,
}


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What a series came to. `newest_day` is the last day with rows; `stopped_since` the first day that is missing of a silence
    that lasts, `short_since` the first of at least three short days in a row up to the latest; `usual_rows` of a day or a drop."""

    rhythm: str = UNKNOWN
    period_days: int | None = None
    usual_rows: int | None = None
    newest_day: date | None = None
    stopped_since: date | None = None
    short_since: date | None = None
    days: list[Day] = field(default_factory=list)


def judge(counts: Mapping[date, int], *, judged_on: date, first_read: date, lateness_days: int = 0) -> Judgement:
    """Judges a series as of the day `judged_on`, which is not over and so not judged. `first_read` is the first day on which
    the feed was read; `lateness_days` is how many days after a day its rows usually arrive.
    """
    series = Series.of(counts, judged_on - timedelta(days=1))
    if series is None:
        return Judgement()
    newest = series.day(series.newest)
    due = len(series.rows) - lateness_days  # indices from here on are not due yet
    model = Daily.fit(series) or Periodic.fit(series)
    if model is None or (first_read - newest).days > max(ARCHIVE_DAYS, 2 * (model.period_days or 0)):
        days = [_unjudged(series, index) for index in _shown(series)]
        return Judgement(newest_day=newest, days=days)
    days = [
        model.day(index) if index < due or series.rows[index] else _unjudged(series, index, model.day(index))
        for index in _shown(series)
    ]
    stopped = model.stopped_since(due)
    return Judgement(
        rhythm=model.rhythm,
        period_days=model.period_days,
        usual_rows=model.usual_rows,
        newest_day=newest,
        stopped_since=None if stopped is None else series.day(stopped),
        short_since=None if stopped is not None else _short_since(days),
        days=days,
    )


def _shown(series: Series) -> range:
    return range(max(0, len(series.rows) - SHOWN_DAYS), len(series.rows))


def _unjudged(series: Series, index: int, expected: Day | None = None) -> Day:
    """A day without a verdict, with its expected rows if they are known."""
    return Day(
        day=series.day(index),
        received=int(series.rows[index]),
        status=NOT_YET_KNOWN,
        expected=expected.expected if expected else None,
        low=expected.low if expected else None,
        high=expected.high if expected else None,
    )


def _short_since(days: list[Day]) -> date | None:
    """The first of the short days that reach to the latest judged one, closed days aside, where there are enough of them."""
    short_days: list[Day] = []
    for day in reversed(days):
        if day.status in (SHORT, MISSING):
            short_days.append(day)
        elif day.status not in (CLOSED_DAY, NOT_YET_KNOWN):
            break
    short = sum(day.status == SHORT for day in short_days)
    return short_days[-1].day if short >= SHORT_DAYS else None


def received_by_day(arrivals: pl.DataFrame) -> pl.DataFrame:
    """Rows by tenant_id, feed and day, and the day `first_arrived_on` which the first of them came.

    `arrivals`: tenant_id, feed, entity, day, arrived_on, rows. A full read or a file that is sent again repeats rows: of
    separate deliveries for one day the largest counts, not their sum.
    """
    key = [*_KEY, "entity", "day"]
    first = pl.col("arrived_on").min().over(key)
    is_first = pl.col("arrived_on") <= pl.max_horizontal(first, "day") + timedelta(days=SAME_DELIVERY_DAYS)
    delivery = pl.when(is_first).then(first).otherwise("arrived_on").alias("delivery")
    return (
        arrivals.with_columns(delivery)
        .group_by(*key, "delivery")
        .agg(pl.col("rows").sum())
        .group_by(key)
        .agg(pl.col("rows").max(), pl.col("delivery").min().alias("first_arrived_on"))
        .group_by(*_KEY, "day")
        .agg(pl.col("rows").sum(), pl.col("first_arrived_on").min())
        .sort(*_KEY, "day")
    )


def lateness(first_arrivals: Mapping[date, date], reads: Sequence[date]) -> int:
    """How many days after a day its rows usually arrive, as the reads of the feed saw it.

    `first_arrivals` maps a day to the day on which its first rows came, `reads` are the days on which the feed was read. Days
    before the first read are left out; an outage that was filled in later is an exception and changes little.
    """
    ordered = np.array(sorted(set(reads)), dtype="datetime64[D]")
    seen = []
    for day, arrived_on in sorted(first_arrivals.items())[-60:]:
        before = int(np.searchsorted(ordered, np.datetime64(arrived_on))) - 1
        if day > min(reads) and before >= 0:
            seen.append(max(0, (ordered[before].item() - day).days))
    if len(seen) < LATENESS_LEARNED_FROM:
        return 0
    middle = float(np.median(seen))
    spread = float(np.median(np.abs(np.array(seen) - middle)))
    high: float = min(middle + 3 * 1.4826 * spread, max(seen))
    return round(high)


def judge_feeds(received: pl.DataFrame, reads: pl.DataFrame) -> dict[tuple[str, str], Judgement]:
    """The judgement of every feed: `received` as `received_by_day` gives it, `reads` tenant_id, feed and `read_on`."""
    counts = dict(received.group_by(*_KEY))
    judged = {}
    for key, group in reads.sort(*_KEY).group_by(*_KEY, maintain_order=True):
        rows = counts.get(key)
        read_on = group["read_on"].to_list()
        tenant_id, feed = str(key[0]), str(key[1])
        if rows is None:
            judged[tenant_id, feed] = Judgement()
            continue
        columns = (tuple(rows[name]) for name in ("day", "rows", "first_arrived_on"))
        judged[tenant_id, feed] = _judge_feed(*columns, tuple(sorted(read_on)))
    return judged


# A run needs the same feeds when it lands them, when it writes them into the warehouse, and at its end.
@lru_cache(maxsize=1024)
def _judge_feed(
    days: tuple[date, ...], rows: tuple[int, ...], arrived_on: tuple[date, ...], read_on: tuple[date, ...]
) -> Judgement:
    """The judgement of one feed by its days, the rows and first arrivals of each, and the days on which it was read."""
    return judge(
        dict(zip(days, rows, strict=True)),
        judged_on=read_on[-1],
        first_read=read_on[0],
        lateness_days=lateness(dict(zip(days, arrived_on, strict=True)), read_on),
    )


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Frames for all feeds of a ledger: `days` (coverage), `alerts`, `rhythms`."""

    days: pl.DataFrame
    alerts: pl.DataFrame
    rhythms: pl.DataFrame


def coverage(ledger: Ledger, *, tenant_id: str | None = None, feed: str | None = None) -> Coverage:
    """Coverage of every feed that the ledger knows, or of one tenant's or one feed."""
    chosen = {"tenant_id": tenant_id, "feed": feed}
    judged = judge_feeds(received_by_day(_arrivals(ledger, chosen)), _reads(ledger, chosen))
    outcomes = _outcomes(ledger, chosen)
    days, alerts, rhythms = [], [], []
    for (tenant, name), judgement in judged.items():
        common: dict[str, Any] = {"tenant_id": tenant, "feed": name}
        days += [common | asdict(day) for day in judgement.days]
        rhythms.append(
            common
            | {
                "rhythm": judgement.rhythm,
                "period_days": judgement.period_days,
                "usual_rows": judgement.usual_rows,
                "newest_day": judgement.newest_day,
            }
        )
        kind, since, message = _alert(name, judgement, outcomes.get((tenant, name), ""))
        if kind:
            newest = {"newest_day": judgement.newest_day, "message": message}
            alerts.append(common | {"kind": kind, "since": since} | newest)
    return Coverage(
        days=pl.DataFrame(days, schema=_COVERAGE, orient="row"),
        alerts=pl.DataFrame(alerts, schema=_ALERT, orient="row"),
        rhythms=pl.DataFrame(rhythms, schema=_RHYTHM, orient="row"),
    )


def _alert(feed: str, judgement: Judgement, outcome: str) -> tuple[str, date | None, str]:
    """Kind, first day and sentence of the problem of a feed; empty without a problem."""
    since = judgement.stopped_since or judgement.short_since
    if judgement.stopped_since and judgement.rhythm == PERIODIC:
        usual = f"about {judgement.usual_rows:,} rows every {judgement.period_days} days are usual"
        return (
            STOPPED,
            since,
            f"Feed {feed} stopped: the delivery that was due on {_text(since)} has not arrived; {usual}.",
        )
    if judgement.stopped_since:
        usual = (
            f"about {judgement.usual_rows:,} rows a day are usual"
            if judgement.usual_rows
            else "rows on most days are usual"
        )
        return (
            STOPPED,
            since,
            f"Feed {feed} stopped: no rows have arrived for {_text(since)} or any later day; {usual}.",
        )
    if outcome == UNREADABLE:
        return UNREADABLE, None, f"Feed {feed} could not be read at the last try."
    if judgement.short_since:
        usual = f"about {judgement.usual_rows:,} rows a day are usual"
        return FEWER, since, f"Feed {feed} brings far fewer rows than expected since {_text(since)}; {usual}."
    return "", None, ""


def _text(day: date | None) -> str:
    return f"{day.day} {day:%b %Y}" if day else ""


def _only(query: sa.Select[Any], table: sa.Table, chosen: Mapping[str, str | None]) -> sa.Select[Any]:
    return query.where(*(table.c[name] == value for name, value in chosen.items() if value is not None))


def _arrivals(ledger: Ledger, chosen: Mapping[str, str | None]) -> pl.DataFrame:
    """Rows that arrived, summed over batches. Deletions that we found ourselves do not count: the feed did not send them."""
    table = tables.received
    key = (table.c.tenant_id, table.c.feed, table.c.entity, table.c.day, table.c.arrived_on)
    query = sa.select(*key, sa.func.sum(table.c.rows).label("rows")).where(table.c.entity != "record_deletion")
    return ledger.frame(_only(query, table, chosen).group_by(*key))


def _reads(ledger: Ledger, chosen: Mapping[str, str | None]) -> pl.DataFrame:
    """The local days on which feeds were read."""
    table = tables.feed_run
    moment = sa.func.coalesce(table.c.judged_at, table.c.read_at, type_=sa.DateTime).label("moment")
    query = _only(sa.select(table.c.tenant_id, table.c.feed, table.c.time_zone, moment), table, chosen)
    rows = [
        {
            "tenant_id": row["tenant_id"],
            "feed": row["feed"],
            "read_on": row["moment"].replace(tzinfo=UTC).astimezone(ZoneInfo(row["time_zone"] or "UTC")).date(),
        }
        for row in ledger.rows(query)
    ]
    return pl.DataFrame(
        rows, schema={"tenant_id": pl.String, "feed": pl.String, "read_on": pl.Date}, orient="row"
    ).unique()


def _outcomes(ledger: Ledger, chosen: Mapping[str, str | None]) -> dict[tuple[str, str], str]:
    """Outcome of each feed's latest read."""
    table = tables.feed_run
    query = _only(sa.select(table.c.tenant_id, table.c.feed, table.c.outcome), table, chosen).order_by(table.c.read_at)
    return {(row["tenant_id"], row["feed"]): row["outcome"] for row in ledger.rows(query)}
