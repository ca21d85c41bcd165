"""Codes of X12 that decide what a row says: a sender's own, put in the words of the standard by its profile, and unknown ones.

`taught` rewrites the segments of a transaction before they are read, so that every reader meets codes of the standard.
`unknown_codes` counts the codes that a reader maps or passes over; codes that stand in a column of a row are counted by the landing
step (CLP02, CLP06, CLM05-3, CAS01).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from ingest.interface import UnknownWord
from ingest.profiles import X12Profile
from ingest.profiles.word_lists import folded
from ingest.profiles.x12 import ACKNOWLEDGEMENT_CODES, FILING_INDICATORS, PAYER_SEQUENCES
from ingest.sources.x12.elements import component, elements, is_tag
from ingest.sources.x12.segments import Placed


@dataclass(frozen=True)
class _Place:
    """Where a code stands: element of a segment, and component of it (from 0) where it is a composite."""

    tag: str
    element: int
    component: int | None = None


# Codes that a payment and its claims are named by are mapped in their rows, so that a profile renames no payment:
# list of a profile -> entity and column.
_IN_ROWS = {
    "claim_statuses": ("remittance_claim", "claim_status_code"),
    "adjustment_groups": ("remittance_adjustment", "group_code"),
}
# List of a profile -> where its other words stand.
_PLACES: Mapping[str, tuple[_Place, ...]] = {
    "filing_indicators": (_Place("SBR", 9), _Place("CLP", 6)),
    "payer_sequences": (_Place("SBR", 1),),
    "claim_frequencies": (_Place("CLM", 5, 2),),
    "status_categories": (_Place("STC", 1, 0), _Place("STC", 10, 0), _Place("STC", 11, 0)),
    "acknowledgement_codes": (_Place("IK5", 1), _Place("AK5", 1), _Place("AK9", 1)),
}
# Categories of claim status (X12 external code list 507).
_CATEGORY = r"^(A[0-8]|P\d|R1?\d|F\d|F3[FN]|D0|E\d)$"


def taught(placed: Placed, profile: X12Profile) -> Placed:
    """A transaction with the codes that its sender's profile maps in the words of the standard."""
    rules = [(place, words) for key, places in _PLACES.items() if (words := getattr(profile, key)) for place in places]
    if not rules:
        return placed
    tags = {place.tag for place, _ in rules}
    element, composite = placed.transaction.separators
    segments = list(placed.segments)
    for index, segment in enumerate(segments):
        tag = segment.split(element, 1)[0].strip()
        if tag in tags:
            parts = segment.split(element)
            for place, words in rules:
                if place.tag == tag and place.element < len(parts):
                    parts[place.element] = _mapped(parts[place.element], place, words, composite)
            segments[index] = element.join(parts)
    return replace(placed, segments=segments)


def _mapped(text: str, place: _Place, words: Mapping[str, str], composite: str) -> str:
    """An element, or one component of it, as the profile maps it; as it is where the profile says nothing of it."""
    if place.component is None:
        return words.get(folded(text), text)
    parts = text.split(composite)
    if place.component < len(parts):
        parts[place.component] = words.get(folded(parts[place.component]), parts[place.component])
    return composite.join(parts)


def unknown_codes(
    segments: pl.DataFrame, placed: Sequence[Placed], kind: str, separator: str, composite: str
) -> list[tuple[int, UnknownWord]]:
    """Unknown codes of transactions of one kind that share their separators, each with its part, and what rows have instead."""
    found: list[tuple[int, UnknownWord]] = []

    def count(rows: pl.DataFrame, code: pl.Expr, known: pl.Expr, entity: str, column: str, became: str) -> None:
        wrong = rows.select("txn", "number", code=code).filter(pl.col("code").is_not_null() & ~known)
        for (txn, word), group in wrong.group_by("txn", "code", maintain_order=True):
            item = placed[int(str(txn))]
            at = f"{item.transaction.position} (segment {group['number'][0]})"
            word = UnknownWord(
                entity=entity, column=column, word=str(word), became=became, position=at, rows=group.height
            )
            found.append((item.part, word))

    code = pl.col("code")
    if kind == "837":
        sbr = elements(segments.filter(is_tag("SBR")), separator, 1, 9)
        count(sbr, pl.col("e9"), code.is_in(FILING_INDICATORS), "payer", "payer_class", "unmapped")
        count(sbr, pl.col("e1"), code.is_in(PAYER_SEQUENCES), "claim", "payer_sequence", "unknown")
    elif kind == "277":
        stc = elements(segments.filter(is_tag("STC")), separator, 1)
        category = component("e1", composite, 0)
        count(stc, category, code.str.contains(_CATEGORY), "claim_status", "category_code", "")
    elif kind in ("999", "997"):
        answers = elements(segments.filter(is_tag("IK5", "AK5", "AK9")), separator, 1)
        known = code.is_in(ACKNOWLEDGEMENT_CODES)
        count(answers, pl.col("e1"), known, "acknowledgement", "outcome_code", "")
    return found


def with_taught_codes(rows: Mapping[str, pl.DataFrame], profile: X12Profile) -> dict[str, pl.DataFrame]:
    """Frames by entity with the codes of _IN_ROWS that the profile maps in the words of the standard."""
    taught_rows = dict(rows)
    for key, (entity, column) in _IN_ROWS.items():
        words: Mapping[str, str] = getattr(profile, key)
        if words and entity in taught_rows:
            codes = taught_rows[entity][column]
            mapped = [None if code is None else words.get(folded(code), code) for code in codes]
            taught_rows[entity] = taught_rows[entity].with_columns(pl.Series(column, mapped, dtype=pl.String))
    return taught_rows


def with_payer_classes(payers: pl.DataFrame, classes: Mapping[str, str]) -> pl.DataFrame:
    """Rows of payer with the class that a profile gives a payer by its id, else by its name."""
    given = [
        classes.get(folded(payer_id)) or classes.get(folded(name or "")) or payer_class
        for payer_id, name, payer_class in payers.select("payer_id", "name", "payer_class").iter_rows()
    ]
    return payers.with_columns(pl.Series("payer_class", given, dtype=pl.String))
