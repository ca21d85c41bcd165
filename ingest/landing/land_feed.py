"""Reads one feed from its source into landing: discover, read, gate, land, account.

Bad input never stops good input: a file that cannot be read is refused by name, and the next one is read; a missing feed is
named, and the other feeds are read. The ledger and the `FeedReport` record the result.
"""

import logging
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import sqlalchemy as sa

from foundation.config import Feed
from foundation.errors import FeedError
from foundation.home import Home
from foundation.keys import Keys
from foundation.replays import refuse_feeds
from ingest import ledger as tables
from ingest.accounts.accounts import file_mark
from ingest.accounts.acknowledged import sentence_of
from ingest.inbox.inbox import Inbox
from ingest.interface import Read, reading
from ingest.landing.batches import Landing
from ingest.landing.deliveries import SERVER, remove_landed, take_delivery
from ingest.landing.quarantine import close_replaced
from ingest.landing.reread import readings
from ingest.landing.staged import Unfinished
from ingest.ledger import Ledger, now
from ingest.problems import problem_code
from ingest.sources import Unit, UnreadableUnit, source_for
from ingest.sources.hl7v2.seen_messages import SeenMessages

progress = logging.getLogger("clinicmart.progress")

_FORMATS = {"fhir": "a FHIR resource"}
LANDED, UNCHANGED, PARTLY, UNREADABLE = "landed", "unchanged", "partly", "unreadable"


@dataclass(kw_only=True)
class FeedReport:
    """The result of one read of one feed. `problems` are messages for a person, without PHI. outcome: landed (new rows), unchanged
    (nothing new), partly (some units refused), unreadable (nothing could be read)."""

    feed: Feed
    outcome: str = UNCHANGED
    units_landed: int = 0
    units_unchanged: int = 0
    units_refused: int = 0
    # Of these, files that an operator has acknowledged.
    units_acknowledged: int = 0
    records_read: int = 0
    records_refused: int = 0
    rows_landed: int = 0
    rows_quarantined: int = 0
    problems: list[str] = field(default_factory=list)
    # Whether a file of the feed, now or before, held records of its kind: a stray file among such is held record by record.
    is_of_the_kind: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every unit could be read."""
        return not self.problems


def land_feed(
    home: Home,
    keys: Keys,
    ledger: Ledger,
    feed: Feed,
    run_id: str,
    *,
    full_refresh: bool = False,
    accept_deletions: bool = False,
) -> FeedReport:
    """Reads what is new in a feed into landing. Never raises for bad input; see FeedReport.problems.

    A server is asked first. Its earlier files are read even if it gives nothing now. `full_refresh` asks it for everything and
    reads tables whole. With `accept_deletions`, a whole read may lack any number of records. Raises ConfigurationError in a home that
    takes no feeds (`foundation.replays`).
    """
    refuse_feeds(home)
    report = FeedReport(feed=feed)
    source = source_for(feed.kind)
    inbox = Inbox.of(home, keys, feed) if feed.server or feed.listen else None
    received = None
    if feed.server is not None and inbox is not None:
        received = take_delivery(ledger, feed, inbox, run_id, full_refresh=full_refresh)
        for problem in received.problems:
            unreadable = UnreadableUnit(
                reason="server_not_read", position="", problem=problem.problem, remedy=problem.remedy
            )
            report.problems.append(_message(feed, SERVER, unreadable))
            report.units_refused += 1
    try:
        units = source.discover(feed, inbox)
    except UnreadableUnit as error:
        report.outcome = UNREADABLE
        report.problems.append(_message(feed, feed.path or feed.name, error))
        _record_feed(ledger, report, run_id)
        return report
    landing = Landing(home, keys, ledger, feed, run_id)
    seen = SeenMessages.of(home, keys, ledger, feed.tenant_id) if feed.kind == "hl7v2" else None
    planned = readings(ledger, feed, units)
    report.units_unchanged = planned.unchanged
    report.is_of_the_kind = planned.unchanged > 0
    if planned.again:
        progress.info(
            "%s/%s: its profile changed: %d files are read again", feed.tenant_id, feed.name, len(planned.again)
        )
    landing.is_again = bool(planned.again)
    to_read = [replace(unit, seen=seen) for unit in (*planned.again, *planned.fresh)]
    read = reading(source, [unit for unit in to_read if unit.is_readable])
    for number, unit in enumerate(to_read, start=1):
        if landing.is_again and number > len(planned.again):
            landing.flush()
            landing.is_again = False
        if not unit.is_readable:
            _land_unread(landing, ledger, unit, run_id, report)
        elif unit.table is None:
            _land_unit(landing, ledger, read, unit, run_id, report)
        else:
            _land_table(landing, ledger, read, unit, run_id, report, full_refresh, accept_deletions)
        if number % 25 == 0 or number == len(to_read):
            progress.info("%s/%s: %d of %d files or tables", feed.tenant_id, feed.name, number, len(to_read))
    landing.flush()
    landing.close()
    if any(unit.replaces for unit in to_read):
        close_replaced(home, keys, ledger, feed.tenant_id, feed.name)
    if seen is not None:
        seen.close()
    if received is not None and inbox is not None:
        remove_landed(ledger, feed, inbox, received.whole_folder)
    _total(ledger, report, run_id)
    if report.units_refused > report.units_acknowledged:
        report.outcome = PARTLY if report.units_landed or report.units_unchanged else UNREADABLE
    elif report.rows_landed or report.rows_quarantined:
        report.outcome = LANDED
    _record_feed(ledger, report, run_id)
    return report


def _land_unit(landing: Landing, ledger: Ledger, read: Read, unit: Unit, run_id: str, report: FeedReport) -> None:
    """Reads one unit, a journal from its cursor on, and accounts for it."""
    if unit.fingerprint is None and not unit.replaces:
        unit = replace(unit, cursor=ledger.table_state(unit.feed.tenant_id, unit.feed.name, unit.name).cursor)
    reading = Unfinished(
        unit_id=_begin(ledger, unit, run_id, unit.name),
        modified_at=unit.modified_at or datetime.now(UTC),
        definition=unit.definition,
        replaces=unit.replaces,
    )
    if unit.seen is not None:
        unit.seen.begin(reading.unit_id, unit.replaces)
    if _read_whole(landing, ledger, read, unit, reading, report):
        report.is_of_the_kind |= reading.records_used > 0
        landing.finish(reading)
        report.units_landed += 1
    elif unit.seen is not None:
        unit.seen.forget(reading.unit_id)


def _land_unread(landing: Landing, ledger: Ledger, unit: Unit, run_id: str, report: FeedReport) -> None:
    """Accounts for a unit that no reader opens: refuses it, or keeps its notices."""
    unit_id = _begin(ledger, unit, run_id, unit.name)
    if unit.refusal is not None:
        _refuse(landing, ledger, unit, unit_id, unit.name, report, unit.refusal)
        return
    landing.finish(Unfinished(unit_id=unit_id, modified_at=datetime.now(UTC), notices=list(unit.notices)))


def _land_table(
    landing: Landing,
    ledger: Ledger,
    read: Read,
    unit: Unit,
    run_id: str,
    report: FeedReport,
    full_refresh: bool,
    accept_deletions: bool,
) -> None:
    """Reads a table from its cursor on, or whole where that is due, and accounts for it.

    Deletions that a whole read finds but that are not believed are a separate refused file; the rows that were read land.
    """
    rules, feed = unit.table, unit.feed
    assert rules is not None
    state = ledger.table_state(feed.tenant_id, feed.name, unit.name)
    whole = full_refresh or state.is_due(rules, now())
    unit = replace(unit, cursor=None if whole else state.cursor)
    # Without a cursor, every row comes: nothing in the table had a time.
    whole = whole or unit.cursor is None
    reading = Unfinished(
        unit_id=_begin(ledger, unit, run_id, unit.name), modified_at=unit.modified_at or datetime.now(UTC)
    )
    landing.follow(reading, unit.name, state, rules, whole=whole)
    if not _read_whole(landing, ledger, read, unit, reading, report):
        return
    try:
        gone = landing.reconcile(reading, unit.name, rules, accept=accept_deletions)
        if gone:
            progress.info("%s/%s: %s records of %s are gone", feed.tenant_id, feed.name, f"{gone:,}", unit.name)
    except UnreadableUnit as error:
        name = f"{unit.name} (deletions)"
        # What is left may be older than what was read: the next read continues from there.
        reading.cursor = state.cursor or reading.cursor
        _refuse(landing, ledger, unit, _begin(ledger, unit, run_id, name), name, report, error)
    landing.finish(reading)
    report.units_landed += 1


def _begin(ledger: Ledger, unit: Unit, run_id: str, name: str) -> int:
    """Opens a unit in the ledger."""
    with ledger.write() as connection:
        values = {
            "run_id": run_id,
            "tenant_id": unit.feed.tenant_id,
            "feed": unit.feed.name,
            "name": name,
            "fingerprint": unit.fingerprint,
            "outcome": "reading",
            "read_at": now(),
        }
        insert = sa.insert(tables.unit).values(values).returning(tables.unit.c.unit_id)
        return int(connection.execute(insert).scalar_one())


def _read_whole(
    landing: Landing, ledger: Ledger, read: Read, unit: Unit, reading: Unfinished, report: FeedReport
) -> bool:
    """Reads a unit to its end; where it breaks off, refuses it and returns False."""
    try:
        for chunk in read(unit):
            landing.add(reading, chunk)
        if reading.is_of_other_kind and not report.is_of_the_kind:
            raise UnreadableUnit(
                reason="no_record_of_the_kind",
                position="",
                problem=f"none of its {reading.records_read:,} records is {_FORMATS.get(unit.feed.kind, unit.feed.kind)}",
                remedy="Check that the feed's kind is right and that the file was not changed in transfer",
            )
    except UnreadableUnit as error:
        landing.abandon(reading)
        _refuse(landing, ledger, unit, reading.unit_id, unit.name, report, error)
        return False
    if reading.cursor is None:
        reading.cursor = unit.cursor
    return True


def _refuse(
    landing: Landing, ledger: Ledger, unit: Unit, unit_id: int, name: str, report: FeedReport, error: UnreadableUnit
) -> None:
    report.units_refused += 1
    note = sentence_of(ledger, unit.feed.tenant_id, unit.feed.name, name, unit.fingerprint)
    if note is None:
        shown = file_mark(landing.keys, unit.feed.tenant_id, name) if unit.fingerprint else name
        report.problems.append(_message(unit.feed, shown, error))
    else:
        report.units_acknowledged += 1
    # Pages show the remedy: they say by whom the file was acknowledged.
    remedy = error.remedy if note is None else note
    refused = {
        "outcome": "refused",
        "position": error.position,
        "reason": error.reason,
        "problem": error.problem,
        "remedy": remedy,
    }
    with ledger.write() as connection:
        connection.execute(sa.update(tables.unit).where(tables.unit.c.unit_id == unit_id).values(refused))


def _message(feed: Feed, unit: str, error: UnreadableUnit) -> str:
    return str(
        FeedError(
            tenant=feed.tenant_id,
            feed=feed.name,
            unit=unit,
            position=error.position,
            problem=error.problem,
            remedy=error.remedy,
            code=problem_code(error.reason),
        )
    )


def _total(ledger: Ledger, report: FeedReport, run_id: str) -> None:
    """Totals of this run from the ledger, so that the report equals the record."""
    feed = report.feed
    batch, unit = tables.batch.c, tables.unit.c
    rows = ledger.rows(
        sa.select(
            sa.func.sum(batch.rows_landed).label("landed"), sa.func.sum(batch.rows_quarantined).label("held")
        ).where(batch.run_id == run_id, batch.tenant_id == feed.tenant_id, batch.feed == feed.name)
    )[0]
    records = ledger.rows(
        sa.select(
            sa.func.sum(unit.records_read).label("read"), sa.func.sum(unit.records_refused).label("refused")
        ).where(unit.run_id == run_id, unit.tenant_id == feed.tenant_id, unit.feed == feed.name)
    )[0]
    report.rows_landed, report.rows_quarantined = rows["landed"] or 0, rows["held"] or 0
    report.records_read, report.records_refused = records["read"] or 0, records["refused"] or 0


def _record_feed(ledger: Ledger, report: FeedReport, run_id: str) -> None:
    feed, read_at = report.feed, datetime.now(UTC)
    values = {
        "run_id": run_id,
        "tenant_id": feed.tenant_id,
        "feed": feed.name,
        "kind": feed.kind,
        "profile": feed.profile,
        "outcome": report.outcome,
        "problem": "\n".join(report.problems) or None,
        "read_at": read_at.replace(tzinfo=None),
        "time_zone": feed.time_zone,
        "judged_at": feed.judged_at(read_at).replace(tzinfo=None),
    }
    with ledger.write() as connection:
        key = (tables.feed_run.c.run_id == run_id) & (tables.feed_run.c.tenant_id == feed.tenant_id)
        connection.execute(sa.delete(tables.feed_run).where(key & (tables.feed_run.c.feed == feed.name)))
        connection.execute(sa.insert(tables.feed_run).values(values))
