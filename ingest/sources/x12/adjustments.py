"""835: the reasons of an adjustment (CAS, on claim and line) and what was taken from or added to a payment (PLB)."""

import polars as pl

from ingest.sources.x12.elements import component, elements, is_tag, to_date, to_money

# A CAS holds up to six reasons, a PLB up to six pairs.
_TRIPLETS = 6
_PAIRS = 6


def adjustments(segments: pl.DataFrame, separator: str) -> pl.DataFrame:
    """One row a reason: group, reason, amount, quantity, with the numbers of claim and line; line_ordinal 0 on the claim."""
    found = segments.filter(is_tag("CAS") & (pl.col("claim_ordinal") > 0))
    triplets = min(_TRIPLETS, max(1, (_most_elements(found, separator) + 1) // 3))
    cas = elements(found, separator, *range(1, 2 + 3 * triplets))
    parts = []
    for index in range(triplets):
        reason, amount, quantity = (f"e{3 * index + offset}" for offset in (2, 3, 4))
        part = cas.filter(pl.any_horizontal(pl.col(reason, amount).is_not_null()))
        parts.append(
            part.select(
                pl.exclude("^e\\d+$"),
                triplet=pl.lit(index + 1),
                group_code="e1",
                reason_code=reason,
                adjustment_amount=amount,
                quantity=quantity,
            )
        )
    return pl.concat(parts).sort("row", "triplet").with_columns(money=to_money("adjustment_amount"))


def provider_adjustments(segments: pl.DataFrame, separator: str, composite: str) -> pl.DataFrame:
    """One row a pair: provider, fiscal period, reason, reference and amount as sent (positive takes)."""
    found = segments.filter(is_tag("PLB"))
    pairs = min(_PAIRS, max(1, (_most_elements(found, separator) - 1) // 2))
    plb = elements(found, separator, *range(1, 3 + 2 * pairs))
    parts = []
    for index in range(pairs):
        reason, amount = f"e{3 + 2 * index}", f"e{4 + 2 * index}"
        part = plb.filter(pl.any_horizontal(pl.col(reason, amount).is_not_null()))
        parts.append(
            part.select(
                pl.exclude("^e\\d+$"),
                pair=pl.lit(index + 1),
                provider_npi="e1",
                fiscal_period_date=to_date("e2"),
                reason_code=component(reason, composite, 0),
                reference_number=component(reason, composite, 1),
                adjustment_amount=amount,
            )
        )
    return pl.concat(parts).sort("row", "pair").with_columns(money=to_money("adjustment_amount"))


def _most_elements(segments: pl.DataFrame, separator: str) -> int:
    """How many elements the longest of the segments has: columns for more would be empty, and each costs."""
    most = segments["segment"].str.count_matches(separator, literal=True).max()
    return int(str(most)) if most is not None else 0
