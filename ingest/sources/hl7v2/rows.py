"""Rows of one chunk of HL7 v2 messages: collected as tuples of text, turned into frames column by column."""

from collections import Counter, defaultdict
from datetime import datetime, timedelta, timezone
from typing import NamedTuple
from zoneinfo import ZoneInfo

import polars as pl

from data_contracts import LINEAGE, contract
from ingest.interface import Notice, UnknownWord
from ingest.sources.columns import local_to_utc, settle_days, settle_repeated_hour
from ingest.sources.hl7v2.messages import Message
from ingest.sources.hl7v2.row_builders import RowBuilders
from ingest.sources.hl7v2.tables import COLUMNS

# Entities that every message repeats: of equal rows in a chunk only the newest is kept.
_ONCE = frozenset({"payer", "provider", "patient", "patient_identity"})
_PAD = "00000000000000"
# Lengths of a time whose digits end with the day, or with the hour: without and with an offset.
_DAY_LENGTHS, _HOUR_LENGTHS = (8, 13), (10, 15)
_SLOT_MINUTES_LIMIT = 7 * 24 * 60


class PidFields(NamedTuple):
    """The fields of a PID. `is_more_than_a_number` is False where it has neither birth date nor sex and clears no field."""

    birth_date: str | None
    sex: str | None
    family_name: str | None
    given_name: str | None
    zip3: str | None
    language: str | None
    address_line: str | None
    city: str | None
    state: str | None
    postal_code: str | None
    phone: str | None
    email: str | None
    cleared_columns: str | None
    is_more_than_a_number: bool


class Rows(RowBuilders):
    """Collects rows, through the methods of `RowBuilders`.

    `people` and `persons` hold the fields of PID segments and XCN fields of the chunk, by their delimiters and text. `zone` is the
    zone of times without an offset, in messages without one.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self.zone = zone
        self._offsets: dict[tuple[str, str], str] = {}
        self.collected = defaultdict(list)
        self.notices: list[Notice] = []
        self.unused: Counter[str] = Counter()
        self._unknown: dict[tuple[str, str, str, str], tuple[int, str]] = {}
        self.people: dict[tuple[str, str], PidFields] = {}
        self.persons: dict[tuple[str, str], tuple[str, str | None, str | None] | None] = {}

    def offset_of(self, message: Message) -> str:
        """The offset in MSH-7 of a message that has one, after a "~" where the feed's zone has it at that moment (`timestamps`)."""
        sent, offset = message.sent or "", message.offset or ""
        key = (sent[:10] if sent[8:10].isdigit() else sent[:8], offset)
        if key not in self._offsets:
            self._offsets[key] = f"~{offset}" if offset and _offset_in(self.zone, *key) == offset else offset
        return self._offsets[key]

    def count(self) -> int:
        """Rows collected so far."""
        return sum(map(len, self.collected.values()))

    def note(self, message: Message, reason: str, detail: str) -> None:
        self.notices.append(Notice(position=message.position, reason=reason, detail=detail))

    def unknown(self, message: Message, entity: str, column: str, word: str, became: str = "") -> None:
        """Counts a word that could not be mapped and is in no column of a row; `became` is the value that the row has instead."""
        key = (entity, column, word, became)
        rows, position = self._unknown.get(key, (0, message.position))
        self._unknown[key] = (rows + 1, position)

    def unknown_words(self) -> list[UnknownWord]:
        """The words counted so far."""
        return [
            UnknownWord(entity=entity, column=column, word=word, became=became, position=position, rows=rows)
            for (entity, column, word, became), (rows, position) in self._unknown.items()
        ]

    def frames(self) -> dict[str, pl.DataFrame]:
        """Frames with the types of the contract. Adds notices of dates that are not valid."""
        return {entity: self._frame(entity, rows) for entity, rows in self.collected.items()}

    def _frame(self, entity: str, rows: list[tuple[str | None, ...]]) -> pl.DataFrame:
        names = COLUMNS[entity] + LINEAGE
        *columns, offsets = zip(*rows, strict=True)
        default = pl.Series(offsets, dtype=pl.String) if any(offsets) else None
        frame = pl.DataFrame(
            [pl.Series(name, values, dtype=pl.String) for name, values in zip(names, columns, strict=True)]
        )
        by_name = contract(entity).by_name
        typed = []
        for name in names:
            kind = by_name[name].logical_type if name in by_name else "text"
            if kind == "timestamp" and (precision_column := by_name[name].precision_column) is not None:
                converted, precision = self._with_precision(frame[name], default, precision_column)
                self._note_bad(frame, name, converted)
                typed += [converted, precision]
                if entity == "encounter":
                    exact = pl.when(precision == "minute").then(pl.lit(converted))
                    typed.append(pl.select(exact.alias(name.replace("_at", "_exact_at"))).to_series())
            elif kind in ("timestamp", "date"):
                converted = timestamps(frame[name], self.zone, default) if kind == "timestamp" else dates(frame[name])
                self._note_bad(frame, name, converted)
                typed.append(converted)
        sent, entity_contract = frame, contract(entity)
        frame = settle_days(entity_contract, frame.with_columns(typed))
        frame = settle_repeated_hour(entity_contract, frame, str(self.zone), lambda end: _is_local(sent[end], default))
        if entity in _ONCE:
            # A missing time is the file's, which is later than any in it.
            newest_last = frame.sort("source_updated_at", nulls_last=True, maintain_order=True)
            frame = newest_last.unique(COLUMNS[entity], keep="last", maintain_order=True)
        return _with_length(frame) if entity == "appointment" else frame

    def _with_precision(
        self, text: pl.Series, default: pl.Series | None, precision_column: str
    ) -> tuple[pl.Series, pl.Series]:
        """UTC timestamps, of a day its noon, and how exactly each is known. A day is always a day of the feed's zone."""
        length = pl.lit(text).str.len_bytes()
        flags = pl.select(
            is_day=length.is_in(_DAY_LENGTHS).fill_null(value=False),
            is_hour=length.is_in(_HOUR_LENGTHS).fill_null(value=False),
        )
        is_day, is_hour = flags["is_day"], flags["is_hour"]
        if is_day.any():
            text = pl.select(pl.when(is_day).then(pl.lit(text).str.slice(0, 8) + "120000").otherwise(text)).to_series()
            default = None if default is None else pl.select(pl.when(~is_day).then(default)).to_series()
        converted = timestamps(text, self.zone, default)
        word = pl.when(is_day).then(pl.lit("day")).when(is_hour).then(pl.lit("hour")).otherwise(pl.lit("minute"))
        sent_precision = pl.select(
            pl.when(pl.lit(converted).is_not_null()).then(word).alias(precision_column)
        ).to_series()
        return converted.alias(text.name), sent_precision

    def _note_bad(self, frame: pl.DataFrame, name: str, converted: pl.Series) -> None:
        # What is empty stays empty: more of it is what could not be read.
        if converted.null_count() > frame[name].null_count():
            bad = frame[name].is_not_null() & converted.is_null()
            position = frame["source_position"].filter(bad)[0]
            self.notices.append(
                Notice(
                    position=position,
                    reason="date_not_valid",
                    detail=f"{name} is not a valid date or time and was left empty",
                    records=int(bad.sum()),
                )
            )


def _is_local(sent: pl.Series, default: pl.Series | None) -> pl.Series:
    """Rows whose time, as sent, has no offset, and whose message has none."""
    is_local = ~sent.str.contains(r"[+-]\d{4}$").fill_null(value=False)
    return is_local if default is None else is_local & default.is_null()


def _with_length(frame: pl.DataFrame) -> pl.DataFrame:
    """Makes start, end and length of an appointment agree if a message has two of them. If it has only the start or the length,
    the earlier end is no longer valid: it is computed from the known values (`ingest.load.partial_rows`).
    """
    start, end, cleared = pl.col("scheduled_start_at"), pl.col("scheduled_end_at"), pl.col("cleared_columns")
    minutes = pl.col("minutes").cast(pl.Float64, strict=False)
    minutes = pl.when(minutes.is_between(0, _SLOT_MINUTES_LIMIT)).then(minutes)
    between = (end - start).dt.total_seconds() / 60
    length = pl.when(between.is_between(0, _SLOT_MINUTES_LIMIT)).then(between).otherwise(minutes)
    frame = frame.with_columns(
        minutes=length, scheduled_end_at=pl.coalesce(end, start + pl.duration(seconds=minutes * 60))
    )
    is_open = end.is_null() & (start.is_not_null() | pl.col("minutes").is_not_null())
    both = pl.concat_str([cleared, pl.lit("scheduled_end_at")], separator=",", ignore_nulls=True)
    return frame.with_columns(cleared_columns=pl.when(is_open).then(both).otherwise(cleared))


def timestamps(text: pl.Series, zone: ZoneInfo, default: pl.Series | None = None) -> pl.Series:
    """YYYYMMDD[HH[MM[SS[.S...]]]][+/-ZZZZ] to UTC; null where invalid or without a day.

    A time without an offset has the offset of its message, `default` ("-0800"; null where MSH-7 has none), else it is local in
    `zone`. If the message's offset is the offset of the zone at that moment ("~-0500"), its times are local in the zone, whose
    clocks change: the offset then decides between the two times of the repeated hour. Without it the first is taken.
    """
    if text.null_count() == len(text):
        return text.cast(pl.Datetime("us", "UTC"))
    value = pl.lit(text)
    digits = value.str.extract(r"^(\d{8}(?:\d\d){0,3})(?:\.\d*)?(?:[+-]\d{4})?$")
    padded = digits + pl.lit(_PAD).str.slice(digits.str.len_bytes())
    naive = padded.str.to_datetime("%Y%m%d%H%M%S", strict=False, time_unit="us")
    if text.str.contains(".", literal=True).any():
        # Parts of a second order messages that follow each other closely.
        part = value.str.extract(r"\.(\d{1,6})").str.pad_end(6, "0").cast(pl.Int64)
        naive += pl.duration(microseconds=part.fill_null(0))
    minutes = _minutes(value)
    parsed = pl.select(
        exact=_at_offset(naive, minutes), without=pl.when(minutes.is_null()).then(naive), minutes=minutes
    )
    exact, without = parsed["exact"], parsed["without"]
    if exact.null_count() == text.null_count():
        return exact.alias(text.name)
    local = local_to_utc(without, str(zone))
    if default is not None:
        sent = pl.select(_at_offset(pl.lit(without), _minutes(pl.lit(default)))).to_series()
        is_local_time = sent.dt.convert_time_zone(str(zone)).dt.replace_time_zone(None) == without
        is_of_zone = default.str.starts_with("~") & ~is_local_time
        local = pl.select(pl.when(pl.lit(is_of_zone)).then(local).otherwise(pl.coalesce(sent, local))).to_series()
    return pl.select(pl.coalesce(exact, local)).to_series().alias(text.name)


def _offset_in(zone: ZoneInfo, hour: str, offset: str) -> str:
    """The offset of a zone at a local hour (YYYYMMDD, HH where known) that was sent with an offset; empty for an invalid hour."""
    try:
        east = timedelta(hours=int(offset[:3]), minutes=int(offset[0] + offset[3:]))
        year, month, day = int(hour[:4]), int(hour[4:6]), int(hour[6:8])
        at = datetime(year, month, day, int(hour[8:] or 0), tzinfo=timezone(east))
    except ValueError:
        return ""
    return f"{at.astimezone(zone):%z}"


def _minutes(text: pl.Expr) -> pl.Expr:
    """Minutes east of UTC that a text ends with ("-0800" is -480); null without."""
    hours, minutes = (text.str.extract(pattern).cast(pl.Int32) for pattern in (r"[+-](\d\d)\d\d$", r"[+-]\d\d(\d\d)$"))
    return (hours * 60 + minutes) * pl.when(text.str.contains(r"-\d{4}$")).then(-1).otherwise(1)


def _at_offset(naive: pl.Expr, minutes: pl.Expr) -> pl.Expr:
    """UTC of local times at an offset; null where either is."""
    return (naive - pl.duration(minutes=minutes)).dt.replace_time_zone("UTC")


def dates(text: pl.Series) -> pl.Series:
    """The day of YYYYMMDD; a time behind it is ignored. Null where it is not a valid day."""
    return pl.select(pl.lit(text).str.slice(0, 8).str.to_date("%Y%m%d", strict=False).alias(text.name)).to_series()
