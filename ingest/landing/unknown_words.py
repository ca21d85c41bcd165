"""Words that no profile explains: counted by feed, column and word, and shown only if they cannot name a person.

A column whose contract lists its valid values may receive another word. `unknown_words` counts such words.
`with_unknown_values` then gives the row the contract's `unknown_value`, so that the row lands and no figure takes the word for a
known one; a column without an unknown value keeps the word, and the contract gate quarantines the row. A column with
`known_values` keeps any code as sent.

A word is shown where it has the shape of a code: at most 24 characters, letters, blanks and `_ - / . & + ^`, at most three
digits, and none of its parts is a name of a patient in the same chunk. Any other word is counted as NOT_SHOWN; the
position of the first one leads to its record (`clinicmart source`).
"""

import re
from collections.abc import Iterable, Mapping

import polars as pl

from data_contracts import Column, Contract
from ingest.interface import UnknownWord

NOT_SHOWN = "(not shown)"
_CODE = re.compile(r"[A-Za-z0-9 _/.&+^-]{1,24}")
_MOST_DIGITS = 3
_NAMES = ("family_name", "given_name")


def unknown_words(entity_contract: Contract, frame: pl.DataFrame) -> list[UnknownWord]:
    """The words of a reader's frame that are not among the values of the contract, each with its number of rows."""
    words = []
    for column in _columns(entity_contract, frame):
        rows = frame.filter(_is_unknown(column))
        if rows.is_empty():
            continue
        place = pl.col("source_position") if "source_position" in frame.columns else pl.lit("")
        counted = rows.group_by(_text(column).alias("word"), maintain_order=True).agg(
            pl.len().alias("rows"), place.first().alias("position")
        )
        became = column.unknown_value or ""
        words += [
            UnknownWord(
                entity=entity_contract.name,
                column=column.name,
                word=word,
                became=became,
                position=position or "",
                rows=rows,
            )
            for word, rows, position in counted.iter_rows()
        ]
    return words


def with_unknown_values(entity_contract: Contract, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the contract's unknown value in place of words it does not know."""
    replaced = [
        pl.when(_is_unknown(column)).then(pl.lit(column.unknown_value)).otherwise(column.name).alias(column.name)
        for column in _columns(entity_contract, frame)
        if column.unknown_value is not None
    ]
    return frame.with_columns(replaced) if replaced else frame


def shown_word(word: str, names: frozenset[str] = frozenset()) -> str:
    """The word where it has the shape of a code and holds no name of `names` (lower case), else NOT_SHOWN."""
    if not _CODE.fullmatch(word) or sum(map(str.isdigit, word)) > _MOST_DIGITS:
        return NOT_SHOWN
    parts = re.findall(r"[a-z]+", word.lower())
    return NOT_SHOWN if not names.isdisjoint(parts) else word


def names_in(rows: Mapping[str, pl.DataFrame]) -> frozenset[str]:
    """Parts of the patients' names in a chunk, in lower case."""
    identities = rows.get("patient_identity")
    if identities is None:
        return frozenset()
    texts: Iterable[str] = (
        text
        for name in _NAMES
        if name in identities.columns
        for text in identities[name].cast(pl.String).drop_nulls().unique()
    )
    return frozenset(part for text in texts for part in re.findall(r"[a-z]+", text.lower()) if len(part) > 1)


def _columns(entity_contract: Contract, frame: pl.DataFrame) -> list[Column]:
    """The columns of a frame that hold words."""
    return [
        column
        for column in entity_contract.columns
        if (column.valid_values or column.known_values)
        and column.value_set is None
        and frame.schema.get(column.name) == pl.String()
    ]


def _text(column: Column) -> pl.Expr:
    return pl.col(column.name).str.strip_chars()


def _is_unknown(column: Column) -> pl.Expr:
    text = _text(column)
    return (text != "").fill_null(False) & ~text.is_in(column.known_values or column.valid_values)
