"""835: checks the sums of every line and claim.

SVC02 = SVC03 + CAS of the line; CLP03 = CLP04 + CAS of the claim and its lines (005010X221A1, 1.10.2.1). A line or claim that does
not add up is kept as sent, with a notice: line_out_of_balance, claim_out_of_balance. A payment may come in several files:
`ingest.landing.payments` checks its sum, BPR02 = sum of CLP04 - sum of PLB, over all of them.
"""

import polars as pl

from ingest.sources.x12.elements import MONEY, PartNotices, notices_of, to_money


def adjusted_lines(svc: pl.DataFrame, cas: pl.DataFrame) -> pl.DataFrame:
    """Service lines with the sum of their adjustments as `adjusted`, 0 where there is none."""
    adjusted = _sums(cas.filter(pl.col("line_ordinal") > 0), "line", "adjusted")
    return svc.join(adjusted, on="line", how="left", maintain_order="left").with_columns(
        pl.col("adjusted").fill_null(0)
    )


def line_balance(lines: pl.DataFrame) -> PartNotices:
    """SVC02 less the adjustments of the line is SVC03."""
    checked = lines.with_columns(charge=to_money("billed_amount"), less="adjusted", paid=to_money("payer_paid_amount"))
    return _unbalanced(checked, "line_out_of_balance", " CLP {claim_ordinal} SVC {line_ordinal}", "line")


def claim_balance(claims: pl.DataFrame, cas: pl.DataFrame) -> PartNotices:
    """CLP03 less all adjustments, of the claim and of its lines, is CLP04."""
    checked = claims.join(_sums(cas, "claim", "less"), on="claim", how="left", maintain_order="left")
    checked = checked.with_columns(
        pl.col("less").fill_null(0), charge=to_money("billed_amount"), paid=to_money("payer_paid_amount")
    )
    return _unbalanced(checked, "claim_out_of_balance", " CLP {claim_ordinal}", "claim")


def _sums(frame: pl.DataFrame, key: str, name: str) -> pl.DataFrame:
    return frame.group_by(key).agg(pl.col("money").sum().cast(MONEY, strict=False).alias(name))


def _unbalanced(frame: pl.DataFrame, reason: str, place: str, noun: str) -> PartNotices:
    """Notices of rows where `charge` less `less` (the adjustments) is not `paid`."""
    checked = frame.with_columns(expected=(pl.col("charge") - pl.col("less")).cast(MONEY, strict=False))
    wrong = checked.filter(pl.col("expected").ne_missing(pl.col("paid")))
    detail = pl.format(
        f"{noun} charge {{}} less adjustments {{}} is not {noun} payment {{}}",
        *(pl.col(name).cast(pl.String).fill_null("not given") for name in ("charge", "less", "paid")),
    )
    return notices_of(wrong, reason, detail, place)
