"""Reads the beginning of a feed and checks it, landing nothing: for `clinicmart sources check`."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime

from foundation.config import Feed
from ingest.inbox.inbox import Inbox
from ingest.interface import UnknownWord
from ingest.landing.batches import with_unit_time
from ingest.landing.contract_gate import COLUMN, REASON, check
from ingest.landing.tokens import tokenise_rows
from ingest.landing.unknown_words import names_in, shown_word, unknown_words, with_unknown_values
from ingest.load.partial_rows import landing_contract
from ingest.profiles import place_in_profile, word_field
from ingest.sources import UnreadableUnit, source_for

UNITS = 25


@dataclass(kw_only=True)
class Preview:
    """The result of a test of a feed. `problems` would stop the feed or a file of it; `reasons` count the rows that a run would
    quarantine, and name what a server does not offer."""

    feed: Feed
    units: int = 0
    records: int = 0
    rows_good: int = 0
    rows_bad: int = 0
    reasons: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def preview(feed: Feed) -> Preview:
    """Reads the first chunk of up to 25 files or tables of a feed. Raises nothing for bad input; see Preview.

    For a server: signs in, asks for its capabilities and for one page of resources.
    """
    result = Preview(feed=feed)
    if feed.server is None:
        _look(result, None)
        return result
    from ingest.receive.fhir.server import look

    with look(feed) as seen:
        result.problems += seen.problems
        _look(result, seen.inbox)
        result.reasons += seen.missing
    return result


def _look(result: Preview, inbox: Inbox | None) -> None:
    feed, source = result.feed, source_for(result.feed.kind)
    try:
        units = source.discover(feed, inbox)
    except UnreadableUnit as error:
        result.problems.append(str(error))
        return
    result.units = len(units)
    held: Counter[str] = Counter()
    for unit in units[:UNITS]:
        if unit.refusal is not None:
            result.problems.append(f"{unit.name}: {unit.refusal}")
            continue
        if unit.notices:
            held.update({f"noticed: {notice.reason}: {notice.detail}": notice.records for notice in unit.notices})
            continue
        try:
            chunk = next(iter(source.read(unit)), None)
        except UnreadableUnit as error:
            result.problems.append(f"{unit.name}: {error}")
            continue
        if chunk is None:
            continue
        result.records += chunk.records_read
        for refusal in chunk.refusals:
            held[f"records refused: {refusal.reason}"] += refusal.records
        for notice in chunk.notices:
            held[f"noticed: {notice.reason}: {notice.detail}"] += notice.records
        words = list(chunk.unknown_words)
        names = names_in(chunk.rows)
        for entity, frame in chunk.rows.items():
            entity_contract = landing_contract(feed.kind, entity)
            frame = frame.drop([name for name in frame.columns if name not in entity_contract.by_name])
            words += unknown_words(entity_contract, frame)
            frame = with_unknown_values(entity_contract, frame)
            frame = with_unit_time(frame, feed, unit.modified_at or datetime.now(UTC))
            # A key that is used once: these tokens are thrown away.
            gated = check(entity_contract, tokenise_rows(entity_contract, frame, b"preview"))
            result.rows_good += gated.good.height
            result.rows_bad += gated.bad.height
            for row in gated.bad.group_by(REASON, COLUMN).len().iter_rows():
                held[f"{entity}.{row[1]}: {row[0]}{_place(feed, entity, row[1])}"] += row[2]
        for word in words:
            held[_unknown(feed, word, shown_word(word.word, names))] += word.rows
        if feed.kind == "pm_database":
            for name, number in chunk.dropped_fields.items():
                entity, _, column = name.partition(".")
                held[f"{name}: no contract names it, dropped{_place(feed, entity, column)}"] += number
    result.reasons = [f"{text}: {number:,} rows" for text, number in sorted(held.items())]


def _unknown(feed: Feed, word: UnknownWord, shown: str) -> str:
    """The line for one unknown word."""
    known_as = word_field(feed.kind, word.entity, word.column).name
    outcome = f", which becomes {word.became}" if word.became else ""
    return f"{word.entity}.{word.column}: unknown word {shown} in {known_as}{outcome}{_place(feed, word.entity, word.column)}"


def _place(feed: Feed, entity: str, column: str) -> str:
    """The place of a column in the feed's profile, as the end of a message; empty if no profile has it."""
    name = feed.profile or ("r4" if feed.kind == "fhir" else None)
    place = None if name is None else place_in_profile(name, feed.kind, entity, column)
    return f" (see {place})" if place else ""
