"""Which files of a feed are read: new files, and files that were read under another profile. A profile decides what a file
means: a word that it explains, another field for the visit number. So a file that was landed under another profile is read
again, as a table of a PM database is read whole when its SELECT changes. The new read replaces the earlier ones: these become
`replaced` in the ledger, their unknown words and notices no longer count, and their rows in quarantine are closed
(`ingest.landing.quarantine.close_replaced`). Rows replace themselves by their keys.

Read again is what is still there: files of the feed's folder, files of a server that its inbox still keeps, messages that the
journal of a listener still holds.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from foundation.config import Feed
from ingest import ledger as tables
from ingest.inbox import mllp_journal
from ingest.interface import Unit
from ingest.ledger import Ledger
from ingest.profiles import profile_digest


@dataclass(frozen=True, kw_only=True)
class Readings:
    """Units to read: `again` under a changed profile, then `fresh` ones, each in the order of the feed; how many are `unchanged`."""

    again: tuple[Unit, ...]
    fresh: tuple[Unit, ...]
    unchanged: int


def readings(ledger: Ledger, feed: Feed, units: Sequence[Unit]) -> Readings:
    """What of a feed's units is to be read now. Raises ConfigurationError where the feed's profile is wrong."""
    digest = profile_digest(feed)
    if digest is None:
        return Readings(again=(), fresh=tuple(units), unchanged=0)
    landed = _landed(ledger, feed, digest)
    again, fresh, unchanged = [], [], 0
    for unit in units:
        earlier = landed[unit.name]
        same = [row for row in earlier if row["fingerprint"] == unit.fingerprint]
        outdated = [row for row in earlier if row["definition"] != digest and unit.is_readable]
        unit = replace(unit, definition=digest)
        if unit.fingerprint is None:
            outdated = _still_held(unit, outdated)
        replaced = replace(unit, replaces=tuple(row["unit_id"] for row in outdated))
        if not same:
            fresh.append(replaced)
        elif same[-1]["definition"] != digest and outdated:
            again.append(replaced)
        elif unit.fingerprint is None:
            fresh.append(unit)
        else:
            unchanged += 1
    return Readings(again=tuple(again), fresh=tuple(fresh), unchanged=unchanged)


def _landed(ledger: Ledger, feed: Feed, digest: str) -> dict[str, list[dict[str, Any]]]:
    """Landed units of a feed by name, oldest first.

    An earlier release noted no profile. Such a unit is taken as read under today's, of hl7v2 and x12 feeds, which had none, under
    the standard's own words.
    """
    unit = tables.unit.c
    of_feed = sa.and_(unit.tenant_id == feed.tenant_id, unit.feed == feed.name, unit.outcome == "landed")
    columns = (unit.unit_id, unit.name, unit.fingerprint, unit.definition, unit.read_at)
    rows = ledger.rows(sa.select(*columns).where(of_feed).order_by(unit.unit_id))
    assumed = "" if feed.kind in ("hl7v2", "x12") else digest
    if any(row["definition"] is None for row in rows):
        with ledger.write() as connection:
            noted = sa.update(tables.unit).where(of_feed, unit.definition.is_(None))
            connection.execute(noted.values(definition=assumed))
    by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        definition = assumed if row["definition"] is None else row["definition"]
        by_name[row["name"]].append(row | {"definition": definition})
    return by_name


def _still_held(unit: Unit, earlier: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The reads of a journal whose messages it may still hold."""
    oldest = mllp_journal.first_received_at(unit.inbox) if unit.inbox is not None else None
    if oldest is None:
        return []
    since = datetime.fromtimestamp(oldest, UTC).replace(tzinfo=None)
    return [row for row in earlier if row["read_at"] >= since]
