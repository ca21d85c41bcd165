"""Codes of X12 that decide what a row means: codes of one sender, which its profile maps to the standard, and unknown codes.

`with_standard_codes` rewrites the segments of a transaction before they are read, so that every reader gets codes of the standard.
`unknown_codes` counts the unknown codes that a reader maps or skips. Codes that are kept in a column of a row are counted by the
landing step (CLP02, CLP06, CLM05-3, CAS01).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from ingest.interface import UnknownWord
from ingest.profiles import X12Profile
from ingest.profiles.word_lists import folded
from ingest.profiles.x12 import ACKNOWLEDGEMENT_CODES, FILING_INDICATORS, PAYER_SEQUENCES
from ingest.sources.x12.benefits import INFORMATION_CODES, REJECT_CODES, SERVICE_TYPE
from ingest.sources.x12.elements import component
from ingest.sources.x12.guide_segments import AAA, AK5, AK9, CLM, CLP, EB, IK5, SBR, STC, Segment
from ingest.sources.x12.segments import Placed


@dataclass(frozen=True)
class _Place:
    """Where a code is: element of a segment, and its component (from 0) if the element is a composite."""

    segment: Segment
    element: str
    component: int | None = None


# List of a profile -> entity and column. These codes are part of the ids of payments and claims. They are mapped in the rows, after
# the ids are made, so that a profile never changes an id.
_IN_ROWS = {
    "claim_statuses": ("remittance_claim", "claim_status_code"),
    "adjustment_groups": ("remittance_adjustment", "group_code"),
}
# List of a profile -> the elements of its other codes.
_PLACES: Mapping[str, tuple[_Place, ...]] = {
    "filing_indicators": (_Place(SBR, "filing_indicator"), _Place(CLP, "filing_indicator")),
    "payer_sequences": (_Place(SBR, "payer_sequence"),),
    "claim_frequencies": (_Place(CLM, "service_location", 2),),
    "status_categories": tuple(_Place(STC, name, 0) for name in ("status_1", "status_2", "status_3")),
    "acknowledgement_codes": tuple(_Place(segment, "outcome_code") for segment in (IK5, AK5, AK9)),
}
# Categories of claim status (X12 external code list 507).
_CATEGORY = r"^(A[0-8]|P\d|R1?\d|F\d|F3[FN]|D0|E\d)$"


def with_standard_codes(placed: Placed, profile: X12Profile) -> Placed:
    """A transaction in which the codes of its sender are replaced by codes of the standard, as the profile says."""
    rules = [(place, words) for key, places in _PLACES.items() if (words := getattr(profile, key)) for place in places]
    if not rules:
        return placed
    tags = {place.segment.tag for place, _ in rules}
    element, composite = placed.transaction.separators
    segments = list(placed.segments)
    for index, segment in enumerate(segments):
        tag = segment.split(element, 1)[0].strip()
        if tag in tags:
            parts = segment.split(element)
            for place, words in rules:
                number = place.segment.number(place.element)
                if place.segment.tag == tag and number < len(parts):
                    parts[number] = _mapped(parts[number], place, words, composite)
            segments[index] = element.join(parts)
    return replace(placed, segments=segments)


def _mapped(text: str, place: _Place, words: Mapping[str, str], composite: str) -> str:
    """An element, or one component of it, as the profile maps it; unchanged where the profile does not name it."""
    if place.component is None:
        return words.get(folded(text), text)
    parts = text.split(composite)
    if place.component < len(parts):
        parts[place.component] = words.get(folded(parts[place.component]), parts[place.component])
    return composite.join(parts)


def unknown_codes(
    segments: pl.DataFrame, placed: Sequence[Placed], kind: str, separator: str, composite: str
) -> list[tuple[int, UnknownWord]]:
    """Unknown codes of transactions of one kind that share their separators, each with its part."""
    unknown_words: list[tuple[int, UnknownWord]] = []

    def count(rows: pl.DataFrame, code: pl.Expr, is_known: pl.Expr, entity: str, column: str, became: str) -> None:
        wrong = rows.select("txn", "number", code=code).filter(pl.col("code").is_not_null() & ~is_known)
        for (txn, word), group in wrong.group_by("txn", "code", maintain_order=True):
            item = placed[int(str(txn))]
            at = f"{item.transaction.position} (segment {group['number'][0]})"
            word = UnknownWord(
                entity=entity, column=column, word=str(word), became=became, position=at, rows=group.height
            )
            unknown_words.append((item.part, word))

    code = pl.col("code")
    if kind == "837":
        sbr = SBR.read(segments, separator, "payer_sequence", "filing_indicator")
        count(sbr, pl.col("filing_indicator"), code.is_in(FILING_INDICATORS), "payer", "payer_class", "unmapped")
        count(sbr, pl.col("payer_sequence"), code.is_in(PAYER_SEQUENCES), "claim", "payer_sequence", "unknown")
    elif kind == "277":
        stc = STC.read(segments, separator, "status_1")
        category = component("status_1", composite, 0)
        count(stc, category, code.str.contains(_CATEGORY), "claim_status", "category_code", "")
    elif kind == "271":
        eb = EB.read(segments, separator, "information", "service_types")
        count(eb, pl.col("information"), code.is_in(INFORMATION_CODES), "eligibility_benefit", "benefit_type", "")
        marks = {index: item.transaction.interchange.separators.repetition or "^" for index, item in enumerate(placed)}
        eb = eb.with_columns(mark=pl.col("txn").replace_strict(marks, return_dtype=pl.String()))
        types = eb.with_columns(service_types=pl.col("service_types").str.split(pl.col("mark"))).explode(
            "service_types"
        )
        is_type = code.str.contains(SERVICE_TYPE)
        count(types, pl.col("service_types"), is_type, "eligibility_benefit", "service_type_code", "")
        aaa = AAA.read(segments, separator, "reject_code")
        count(aaa, pl.col("reject_code"), code.is_in(REJECT_CODES), "eligibility_answer", "reject_code", "")
    elif kind in ("999", "997"):
        closing = [segment.read(segments, separator, "outcome_code") for segment in (IK5, AK5, AK9)]
        is_known = code.is_in(ACKNOWLEDGEMENT_CODES)
        count(pl.concat(closing).sort("row"), pl.col("outcome_code"), is_known, "acknowledgement", "outcome_code", "")
    return unknown_words


def with_standard_columns(rows: Mapping[str, pl.DataFrame], profile: X12Profile) -> dict[str, pl.DataFrame]:
    """Frames by entity in which the codes of _IN_ROWS are replaced by codes of the standard, as the profile says."""
    mapped_rows = dict(rows)
    for key, (entity, column) in _IN_ROWS.items():
        words: Mapping[str, str] = getattr(profile, key)
        if words and entity in mapped_rows:
            codes = mapped_rows[entity][column]
            mapped = [None if code is None else words.get(folded(code), code) for code in codes]
            mapped_rows[entity] = mapped_rows[entity].with_columns(pl.Series(column, mapped, dtype=pl.String))
    return mapped_rows


def with_payer_classes(payers: pl.DataFrame, classes: Mapping[str, str]) -> pl.DataFrame:
    """Rows of payer with the class that the profile names for the payer's id, else for its name."""
    payer_classes = [
        classes.get(folded(payer_id)) or classes.get(folded(name or "")) or payer_class
        for payer_id, name, payer_class in payers.select("payer_id", "name", "payer_class").iter_rows()
    ]
    return payers.with_columns(pl.Series("payer_class", payer_classes, dtype=pl.String))
