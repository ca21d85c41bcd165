"""835: the reasons of an adjustment (CAS, on claim and line) and what was taken from or added to a payment (PLB)."""

import polars as pl

from ingest.sources.x12.elements import component, to_date, to_money
from ingest.sources.x12.guide_segments import CAS, CAS_REASONS, PLB, PLB_PAIRS, is_tag


def adjustments(segments: pl.DataFrame, separator: str) -> pl.DataFrame:
    """One row for each reason: group_code, reason_code, adjustment_amount, quantity, the numbers of claim and line, and `money`
    (the amount as a number). line_ordinal is 0 for the reasons of a whole claim."""
    in_claims = segments.filter(is_tag(CAS.tag) & (pl.col("claim_ordinal") > 0))
    reasons = min(CAS_REASONS, max(1, (_most_elements(in_claims, separator) + 1) // 3))
    cas = CAS.read(in_claims, separator, *CAS.names[: 1 + 3 * reasons])
    shared = pl.exclude(*CAS.names[1 : 1 + 3 * reasons])
    parts = []
    for turn in range(1, reasons + 1):
        reason, amount, quantity = f"reason_code_{turn}", f"adjustment_amount_{turn}", f"quantity_{turn}"
        part = cas.filter(pl.any_horizontal(pl.col(reason, amount).is_not_null()))
        parts.append(
            part.select(shared, triplet=pl.lit(turn), reason_code=reason, adjustment_amount=amount, quantity=quantity)
        )
    return pl.concat(parts).sort("row", "triplet").with_columns(money=to_money("adjustment_amount"))


def provider_adjustments(segments: pl.DataFrame, separator: str, composite: str) -> pl.DataFrame:
    """One row for each pair of reason and amount: provider_npi, fiscal_period_date, reason_code, reference_number,
    adjustment_amount as sent and as a number (`money`). A positive amount lowers the payment."""
    of_providers = segments.filter(is_tag(PLB.tag))
    pairs = min(PLB_PAIRS, max(1, (_most_elements(of_providers, separator) - 1) // 2))
    plb = PLB.read(of_providers, separator, *PLB.names[: 2 + 2 * pairs])
    shared = pl.exclude(*PLB.names[1 : 2 + 2 * pairs])
    parts = []
    for turn in range(1, pairs + 1):
        reason, amount = f"reason_{turn}", f"adjustment_amount_{turn}"
        part = plb.filter(pl.any_horizontal(pl.col(reason, amount).is_not_null()))
        parts.append(
            part.select(
                shared,
                pair=pl.lit(turn),
                fiscal_period_date=to_date("fiscal_period"),
                reason_code=component(reason, composite, 0),
                reference_number=component(reason, composite, 1),
                adjustment_amount=amount,
            )
        )
    return pl.concat(parts).sort("row", "pair").with_columns(money=to_money("adjustment_amount"))


def _most_elements(segments: pl.DataFrame, separator: str) -> int:
    """The number of elements of the longest segment. More columns would be empty, and each costs time."""
    most = segments["segment"].str.count_matches(separator, literal=True).max()
    return int(str(most)) if most is not None else 0
