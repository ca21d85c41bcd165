"""Reference files: CSV tables of codes, rates or values, through a profile that says which column is which.

A record is a row below the line of headings; blank rows do not count. A row with another number of fields than the headings,
or with a key that occurred before in the file, is refused by its line. A file without the columns of its profile is refused
whole. A later file replaces the rows with its keys and leaves the others: to end a row, give it a last day.
"""

import codecs
import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import polars as pl

from data_contracts import Contract, contract
from foundation.config import Feed
from ingest.inbox.inbox import Inbox
from ingest.interface import Chunk, Refusal, Unit, UnreadableUnit
from ingest.profiles import ReferenceFileProfile, load_profile
from ingest.sources.columns import frame_of
from ingest.sources.files import find_files, read_blocks

SUFFIXES = (".csv", ".tsv", ".txt")
ROWS_A_CHUNK = 20_000
# A field longer than this is a quote that was never closed.
MAXIMUM_FIELD = 1 << 16


class ReferenceFileSource:
    """See `ingest.interface.Source`."""

    kind = "reference_file"

    def discover(self, feed: Feed, inbox: Inbox | None = None) -> list[Unit]:
        """The files of the feed, by name. Raises ConfigurationError where the profile is wrong."""
        load_profile(feed.profile or "", "reference_file")
        return find_files(feed, SUFFIXES, inbox)

    def read(self, unit: Unit) -> Iterator[Chunk]:
        """One chunk for every ROWS_A_CHUNK rows. Raises UnreadableUnit."""
        profile = load_profile(unit.feed.profile or "", "reference_file")
        yield from _Reading(unit, profile).chunks()


@dataclass
class _Reading:
    """One file on its way through."""

    unit: Unit
    profile: ReferenceFileProfile
    keys: set[tuple[str, ...]] = field(default_factory=set)
    _lines: list[str] = field(default_factory=list)

    @property
    def of(self) -> Contract:
        return contract(self.profile.entity)

    def chunks(self) -> Iterator[Chunk]:
        """The rows in bounded chunks."""
        rows = self._rows()
        headings = next(rows, (0, []))[1]
        places = self._places(headings)
        chunk, taken = Chunk(), list[tuple[int, list[str]]]()
        dropped = [name for index, name in enumerate(headings) if index not in places.values()]
        for line, values in rows:
            if not any(values):
                continue
            chunk.records_read += 1
            refusal = self._refusal(line, values, headings, places)
            if refusal is not None:
                chunk.refusals.append(refusal)
            else:
                chunk.records_used += 1
                taken.append((line, values))
            if chunk.records_read >= ROWS_A_CHUNK:
                yield self._finished(chunk, taken, places, dropped)
                chunk, taken = Chunk(), []
        yield self._finished(chunk, taken, places, dropped)

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        """(line, stripped fields) of the headings and of every row under them."""
        reader = csv.reader(self._text(), delimiter=self.profile.delimiter, strict=True)
        before = csv.field_size_limit(MAXIMUM_FIELD)
        line = 0
        try:
            for values in reader:
                line = reader.line_num
                yield line + self.profile.header_line - 1, [value.strip() for value in values]
        except csv.Error as error:
            raise UnreadableUnit(
                reason="csv_not_valid",
                position=f"line {line + self.profile.header_line}",
                problem=f"the line is not valid CSV: {error}",
                remedy="Check the quotes of this line and the delimiter of the profile",
            ) from None
        finally:
            csv.field_size_limit(before)

    def _text(self) -> Iterator[str]:
        """The lines from the headings on, with their ends."""
        decoder = codecs.getincrementaldecoder(self.profile.encoding)()
        remainder, number = "", 0
        blocks = read_blocks(self.unit, is_wide=True)
        try:
            for block in blocks:
                remainder += decoder.decode(block)
                *whole, remainder = remainder.split("\n")
                for text in whole:
                    number += 1
                    if number >= self.profile.header_line:
                        yield _first(text, number) + "\n"
            remainder += decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            raise UnreadableUnit(
                reason="encoding_differs",
                position=f"line {number + 1}",
                problem=f"the file is not {self.profile.encoding} text",
                remedy="Set encoding in the profile, or save the file in that encoding",
            ) from None
        if remainder and number + 1 >= self.profile.header_line:
            yield _first(remainder, number + 1)

    def _places(self, headings: Sequence[str]) -> dict[str, int]:
        """Column of the contract to its place in a row. Raises UnreadableUnit for a heading that is not there."""
        places_by_heading: dict[str, list[int]] = {}
        for index, name in enumerate(headings):
            places_by_heading.setdefault(name.casefold(), []).append(index)
        places = {}
        for column, wanted in self.profile.columns.items():
            indexes = [wanted - 1] if isinstance(wanted, int) else places_by_heading.get(wanted.casefold(), [])
            if len(indexes) == 1 and indexes[0] < len(headings):
                places[column] = indexes[0]
                continue
            what = "has more than one column" if len(indexes) > 1 else "has no column"
            raise UnreadableUnit(
                reason="heading_missing",
                position=f"line {self.profile.header_line}",
                problem=f"{what} {wanted!r} for {self.profile.entity}.{column}",
                remedy=f"Check header_line and columns of the profile ({self.profile.places[column]})",
            )
        return places

    def _refusal(self, line: int, values: list[str], headings: Sequence[str], places: dict[str, int]) -> Refusal | None:
        """Why a row is not taken; None for one that is."""
        if len(values) != len(headings):
            problem = f"the row has {len(values)} fields, but there are {len(headings)} headings"
            return Refusal(position=f"line {line}", reason="field_count", detail=problem, payload=_payload(values))
        key = self._key(values, places)
        if key in self.keys:
            problem = "an earlier row of the file has the same key"
            return Refusal(position=f"line {line}", reason="key_given_twice", detail=problem, payload=_payload(values))
        self.keys.add(key)
        return None

    def _key(self, values: list[str], places: dict[str, int]) -> tuple[str, ...]:
        constants = self.profile.constants
        return tuple(values[places[name]] if name in places else constants.get(name, "") for name in self.of.entity_key)

    def _finished(
        self, chunk: Chunk, taken: list[tuple[int, list[str]]], places: dict[str, int], dropped: list[str]
    ) -> Chunk:
        """The chunk with its rows as a frame."""
        if not taken:
            return chunk
        columns: dict[str, list[str | None]] = {
            "source_position": [f"line {line}" for line, _ in taken],
            "source_record_id": ["/".join(self._key(values, places)) for _, values in taken],
        }
        for column in self.of.reader_columns:
            if column.name in places:
                column_values = [values[places[column.name]] for _, values in taken]
                if column.logical_type == "date":
                    columns[column.name] = _iso(column_values, self.profile.date_format)
                else:
                    columns[column.name] = [value if value or column.keeps_empty else None for value in column_values]
            elif column.name in self.profile.constants:
                columns[column.name] = [self.profile.constants[column.name]] * len(taken)
            elif column.name in self.of.entity_key:
                columns[column.name] = [""] * len(taken)
        names = list(columns)
        frame: pl.DataFrame = frame_of(self.of, names, columns.values(), zone=self.unit.feed.time_zone)
        chunk.rows = {self.profile.entity: frame}
        chunk.dropped_fields = Counter({f"{self.profile.entity}.{name or 'unnamed'}": len(taken) for name in dropped})
        return chunk


def _first(text: str, number: int) -> str:
    """A line; the first one without the mark of its encoding."""
    return text.removeprefix("\ufeff") if number == 1 else text


def _iso(values: list[str], pattern: str) -> list[str | None]:
    """Dates in ISO 8601; what does not fit the pattern as it is, for the gate to hold back."""
    text = pl.Series(values, dtype=pl.String)
    parsed = text.str.to_date(pattern, strict=False).cast(pl.String)
    return [iso or (value or None) for iso, value in zip(parsed.to_list(), values, strict=True)]


def _payload(values: list[str]) -> bytes:
    return "\x1f".join(values).encode()


SOURCE = ReferenceFileSource()
