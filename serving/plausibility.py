"""Plausibility across feeds: what a tenant's books say that cannot be, in words, and which figures it touches.

    findings = published_findings(home, version)
    findings[0].headline()     "Two feeds bill the same services: feed adt against feed claims, 1 row, $200.00, on 5 Jan 2026"
    findings[0].metrics        ("billed_amount", "charge_lines", ...)

The findings are those of the dbt model `health.plausibility`. `clinicmart status`, Data health, the marks on tiles and the close of a
month all take their words from here. Counts, days and money, never a record.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from foundation.home import Home
from serving.lineage.columns import Lineage
from serving.lineage.metric import metric_entities
from serving.model import Version
from serving.versions.health import published_plausibility
from serving.versions.store import files_of


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One finding of a check.

    `code` lasts. `feed` is the feed whose rows are doubtful, `other_feed` the one they contradict, or empty. `entities` are the
    contracts whose figures it touches, `metrics` the names of the metrics that rest on them, sorted. `amount` is in US dollars, None
    where the rows have no money. `first_day` and `last_day` are local days, None where they are not known.
    """

    code: str
    title: str
    meaning: str
    remedy: str
    feed: str
    other_feed: str
    entity: str
    rows: int
    amount: Decimal | None
    first_day: date | None
    last_day: date | None
    entities: tuple[str, ...]
    metrics: tuple[str, ...]

    def headline(self) -> str:
        """The finding in one line: title, feeds, number of rows, amount and days."""
        feeds = f"feed {self.feed} against feed {self.other_feed}" if self.other_feed else f"feed {self.feed}"
        parts = [feeds, f"{self.rows:,} row" if self.rows == 1 else f"{self.rows:,} rows"]
        if self.amount is not None:
            parts.append(f"-${-self.amount:,.2f}" if self.amount < 0 else f"${self.amount:,.2f}")
        if self.first_day is not None and self.last_day is not None:
            first, last = (f"{day.day} {day:%b %Y}" for day in (self.first_day, self.last_day))
            parts.append(f"on {first}" if first == last else f"{first} to {last}")
        return f"{self.title}: {', '.join(parts)}"

    def touches_period(self, until: date) -> bool:
        """Whether figures of a period that ends on `until` can be touched: not where every doubtful row is of a later day."""
        return self.first_day is None or self.first_day <= until

    def touches_days(self, first: date, last: date) -> bool:
        """Whether doubtful rows can be of these days: the days of some rows are not known."""
        return self.touches_period(last) and (self.last_day is None or self.last_day >= first)


def published_findings(home: Home, version: Version) -> tuple[Finding, ...]:
    """The findings of a published version by code and feed, each with the metrics that it touches. Empty where all is plausible, and for
    versions that were published before there were such checks."""
    findings, brought = published_plausibility(home, version)
    if findings.is_empty():
        return ()
    resting = _resting_entities(home, version)
    return tuple(
        _finding(row, brought, resting) for row in findings.sort("code", "feed", "other_feed", "entity").to_dicts()
    )


def _finding(
    row: Mapping[str, Any], brought: Mapping[str, Sequence[str]], resting: Mapping[str, frozenset[str] | None]
) -> Finding:
    named = tuple(filter(None, str(row["touches"]).split(",")))
    entities = named or tuple(brought.get(row["feed"], ()))
    touched = {name for name, behind in resting.items() if behind is None or behind.intersection(entities)}
    return Finding(
        code=row["code"],
        title=row["title"],
        meaning=row["meaning"],
        remedy=row["remedy"],
        feed=row["feed"],
        other_feed=row["other_feed"],
        entity=row["entity"],
        rows=row["found_rows"],
        amount=row["found_amount"],
        first_day=row["first_day"],
        last_day=row["last_day"],
        entities=entities,
        metrics=tuple(sorted(touched)),
    )


def _resting_entities(home: Home, version: Version) -> dict[str, frozenset[str] | None]:
    """Metric to the entities it rests on; None where the version does not say: such a metric may be touched by anything."""
    files = files_of(home, version.tenant_id, version.version)
    semantic = json.loads(files.semantic_manifest.read_bytes())
    names = [metric["name"] for metric in semantic["metrics"]]
    try:
        lineage = Lineage.from_json(files.lineage.read_bytes())
    except FileNotFoundError:
        return dict.fromkeys(names)
    return {name: metric_entities(lineage, semantic, name) for name in names}
