"""Rows of HL7 v2 messages put together in memory, as `ingest.load.partial_rows` puts them together in the warehouse.

A row has only the fields of its message. Each field takes its value from the newest row that has or empties it: by
`source_updated_at`, then by arrival. So the result does not depend on the order of arrival.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.issuers import number_of

CLEARED = "cleared_columns"
UPDATED = "source_updated_at"


@dataclass
class CombinedRows:
    """Rows of one entity of one feed. `key` is the column that names a row; `columns` are kept."""

    key: str
    columns: tuple[str, ...]
    _values: dict[str, dict[str, tuple[str, int, Any]]] = field(default_factory=dict)
    _identifier: dict[str, str] = field(default_factory=dict)
    _updated: dict[str, str] = field(default_factory=dict)
    _arrived: int = 0

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Adds rows in the order in which they arrived; rows without the key are left out."""
        for row in rows:
            identifier = row.get(self.key)
            if not identifier:
                continue
            self._arrived += 1
            # Senders leave the issuer of a number out in some messages: the fuller identifier names the row.
            number = number_of(identifier)
            name = (
                number
                if self._identifier.get(number, number) in (number, identifier) or identifier == number
                else identifier
            )
            if name == number and (identifier != number or number not in self._identifier):
                self._identifier[number] = identifier
            updated = str(row.get(UPDATED) or "")
            self._updated[name] = max(updated, self._updated.get(name, ""))
            cleared = set(filter(None, str(row.get(CLEARED) or "").split(",")))
            values = self._values.setdefault(name, {})
            for column in self.columns:
                value = row.get(column)
                if value is None and column not in cleared:
                    continue
                place = (updated, self._arrived)
                if column not in values or place >= values[column][:2]:
                    values[column] = (*place, value)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One row for each key, with the key, the columns and `source_updated_at`."""
        for name, values in self._values.items():
            row = {column: values[column][2] if column in values else None for column in self.columns}
            yield {self.key: self._identifier.get(name, name), **row, UPDATED: self._updated[name]}

    def forget(self, names: Iterable[str]) -> None:
        """Drops rows by their key, as `rows` gives it."""
        for identifier in names:
            for name in (identifier, number_of(identifier)):
                if self._identifier.get(name, name) == identifier:
                    self._values.pop(name, None)
                    self._identifier.pop(name, None)
                    self._updated.pop(name, None)
