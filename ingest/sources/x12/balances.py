"""835: the sums a remittance must hold, checked on every line and claim.

SVC02 = SVC03 + CAS of the line; CLP03 = CLP04 + CAS of the claim and its lines. What does not hold is kept as sent and shown:
line_out_of_balance, claim_out_of_balance. A payment may come in several files: `ingest.landing.payments` checks its sum,
BPR02 = sum of CLP04 - sum of PLB, on all of them.
"""

import polars as pl

from ingest.sources.x12.elements import MONEY, Told, notices_of, to_money


def adjusted_lines(svc: pl.DataFrame, cas: pl.DataFrame) -> pl.DataFrame:
    """Service lines with the sum of their own adjustments as `adjusted`, 0 where there is none."""
    adjusted = _sums(cas.filter(pl.col("line_ordinal") > 0), "line", "adjusted")
    return svc.join(adjusted, on="line", how="left", maintain_order="left").with_columns(
        pl.col("adjusted").fill_null(0)
    )


def line_balance(lines: pl.DataFrame) -> Told:
    """SVC02 less the adjustments of the line is SVC03."""
    checked = lines.with_columns(given=to_money("e2"), less="adjusted", sent=to_money("e3"))
    what = ("line charge", "adjustments", "line payment")
    return _unbalanced(checked, "line_out_of_balance", " CLP {claim_ordinal} SVC {line_ordinal}", what)


def claim_balance(claims: pl.DataFrame, cas: pl.DataFrame) -> Told:
    """CLP03 less all adjustments, of the claim and of its lines, is CLP04."""
    checked = claims.join(_sums(cas, "claim", "less"), on="claim", how="left", maintain_order="left")
    checked = checked.with_columns(pl.col("less").fill_null(0), given=to_money("e3"), sent=to_money("e4"))
    what = ("claim charge", "adjustments", "claim payment")
    return _unbalanced(checked, "claim_out_of_balance", " CLP {claim_ordinal}", what)


def _sums(frame: pl.DataFrame, key: str, name: str) -> pl.DataFrame:
    return frame.group_by(key).agg(pl.col("money").sum().cast(MONEY, strict=False).alias(name))


def _unbalanced(frame: pl.DataFrame, reason: str, place: str, what: tuple[str, str, str]) -> Told:
    """Rows where `given` less `less` is not `sent`."""
    checked = frame.with_columns(expected=(pl.col("given") - pl.col("less")).cast(MONEY, strict=False))
    wrong = checked.filter(pl.col("expected").ne_missing(pl.col("sent")))
    names = ("given", "less", "sent")
    said = pl.format(
        f"{what[0]} {{}} less {what[1]} {{}} is not {what[2]} {{}}",
        *(pl.col(name).cast(pl.String).fill_null("not given") for name in names),
    )
    return notices_of(wrong, reason, said, place)
