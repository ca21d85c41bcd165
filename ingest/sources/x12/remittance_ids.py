"""835: the ids of payments, claims and provider adjustments. They depend on content alone, not on the file.

The id of a payment comes from its payer (N104 of N1*PR, else the name N102), its trace number (TRN02) and company (TRN03), amount
(BPR02) and date (BPR16): by 005010X221A1 one trace number is one payment. The id of a claim comes from its numbers (CLP01, CLP07),
status (CLP02), first day of service and money. Separators, the production date, REF segments, the order of claims and the files
into which a clearing house cuts a payment play no part. So a payment that comes again has the same ids, and all parts of a
payment have one payment id.

    remittance_id          <TRN02>-<8 hex digits>; without a trace number, the claims take its place
    remittance_claim_id    <remittance_id>-<10 hex digits: which claim>-<10 digits: its money>
    provider_adjustment_id <remittance_id>-plb-<10 hex digits>

If several are equal in one transaction, the second ends in `.2`, the third in `.3`, and so on.
"""

import hashlib
from collections.abc import Iterable, Sequence

import polars as pl

from ingest.sources.x12.elements import MONEY, to_money

NO_TRACE = "no-trace"
_CLAIM_DIGITS = 10
_MONEY_MODULUS = 10**10
# Weights of CLP03, CLP04 and CLP05 in the mark of a claim's money. They differ, so that swapped amounts give another mark.
_WEIGHTS = {"billed_amount": 1_000_003, "payer_paid_amount": 15_485_863, "patient_responsibility_amount": 32_452_843}


def digests(texts: Iterable[str | None], size_bytes: int = _CLAIM_DIGITS // 2) -> list[str]:
    """A short hexadecimal mark of each text: the same for every release and machine."""
    return [hashlib.blake2b((text or "").encode(), digest_size=size_bytes).hexdigest() for text in texts]


def normal_amount(column: str) -> pl.Expr:
    """An amount as text that is the same for 80, 80.0 and +80.00; a text that is not a number stays as it was sent."""
    return pl.coalesce(to_money(column).cast(pl.String), trimmed(column), pl.lit(""))


def trimmed(column: str) -> pl.Expr:
    """A text without the blanks around it; empty for null."""
    return pl.col(column).cast(pl.String).str.strip_chars().fill_null("")


def payment_ids(payment: pl.DataFrame, claims: pl.DataFrame) -> pl.Series:
    """remittance_id of each payment.

    `payment` has txn, trace_number, company_number (TRN03), payer_number (N104), name (N102), payment_amount (BPR02),
    payment_date and payment_date_text (BPR16 as sent); `claims` has txn and `mark`.
    """
    texts = payment.select(
        pl.concat_str(
            pl.when(trimmed("payer_number") != "")
            .then(trimmed("payer_number"))
            .otherwise(trimmed("name").str.to_lowercase().str.replace_all(r"\s+", " ")),
            trimmed("company_number"),
            trimmed("trace_number"),
            normal_amount("payment_amount"),
            pl.coalesce(pl.col("payment_date").cast(pl.String), trimmed("payment_date_text")),
            separator="\x1f",
        )
    ).to_series()
    untraced = payment.filter(trimmed("trace_number") == "")["txn"].to_list()
    content: dict[int, str] = {}
    for txn, mark in claims.filter(pl.col("txn").is_in(untraced)).sort("txn", "mark").select("txn", "mark").iter_rows():
        content[txn] = f"{content.get(txn, '')}\x1f{mark}"
    whole = [text + content.get(txn, "") for txn, text in zip(payment["txn"], texts, strict=True)]
    traces = payment.select(
        pl.when(trimmed("trace_number") != "").then(trimmed("trace_number")).otherwise(pl.lit(NO_TRACE))
    )
    return pl.Series(
        "remittance_id",
        [f"{trace}-{mark}" for trace, mark in zip(traces.to_series(), digests(whole, 4), strict=True)],
        dtype=pl.String,
    )


def claim_marks(claims: pl.DataFrame, cas: pl.DataFrame) -> pl.Series:
    """The part of a remittance_claim_id that names the claim within its payment.

    `claims` has the elements of CLP, txn, claim and service_from_date; `cas` has their adjustments: claim, group_code,
    reason_code and money.
    """
    with_money = claims.join(_adjustment_marks(cas), on="claim", how="left", maintain_order="left")
    amounts = [_cents(to_money(name)) * weight for name, weight in _WEIGHTS.items()]
    money = (pl.sum_horizontal(amounts) + pl.col("adjusted").fill_null(0)) % _MONEY_MODULUS
    parts = with_money.select(
        money.cast(pl.String).str.zfill(10).alias("money"),
        pl.concat_str(
            trimmed("claim_id"),
            trimmed("claim_status_code"),
            trimmed("payer_claim_control_number"),
            pl.col("service_from_date").cast(pl.String).fill_null(""),
            separator="\x1f",
        ).alias("which"),
    )
    marks = pl.DataFrame(
        {"txn": claims["txn"], "which": pl.Series(digests(parts["which"]), dtype=pl.String), "money": parts["money"]}
    ).select("txn", mark=pl.concat_str("which", "money", separator="-"))
    return numbered(marks, "mark")


def _cents(money: pl.Expr) -> pl.Expr:
    """An amount in hundredths of a cent, modulo 10^10, so that its product with a weight fits into 64 bits; 0 for null."""
    return money.cast(MONEY).fill_null(0).to_physical().cast(pl.Int64) % _MONEY_MODULUS


def _adjustment_marks(cas: pl.DataFrame) -> pl.DataFrame:
    """One number for the adjustments of each claim by group and reason. Their order and place do not change it."""
    reasons = cas.select("group_code", "reason_code").unique()
    names = reasons.select(pl.concat_str(trimmed("group_code"), trimmed("reason_code"), separator="\x1f")).to_series()
    weights = [int(mark, 16) for mark in digests(names, 3)]
    weighed = cas.join(
        reasons.with_columns(pl.Series("weight", weights, dtype=pl.Int64)),
        on=["group_code", "reason_code"],
        how="left",
        nulls_equal=True,
    )
    return weighed.group_by("claim").agg(adjusted=(_cents(pl.col("money")) * pl.col("weight") % _MONEY_MODULUS).sum())


def provider_adjustment_marks(plb: pl.DataFrame) -> pl.Series:
    """The part of a provider_adjustment_id that names an adjustment within its payment."""
    texts = plb.select(
        pl.concat_str(
            trimmed("provider_npi"),
            pl.col("fiscal_period_date").cast(pl.String).fill_null(""),
            trimmed("reason_code"),
            trimmed("reference_number"),
            normal_amount("adjustment_amount"),
            separator="\x1f",
        )
    ).to_series()
    marks = pl.DataFrame({"txn": plb["txn"], "mark": pl.Series(digests(texts), dtype=pl.String)})
    return numbered(marks.with_columns(pl.format("plb-{}", "mark").alias("mark")), "mark")


def claim_of_mark(mark: str) -> str:
    """The part of a claim's mark that says which claim it is, without its money."""
    return mark[:_CLAIM_DIGITS]


def old_style_marks(claims: pl.DataFrame) -> pl.Series:
    """Marks of rows of remittance_claim of one transaction, from columns that rows of an earlier release have too, because the ids
    of that release do not name the claim. They leave out the adjustments that `claim_marks` counts."""
    which = claims.select(
        pl.concat_str(
            trimmed("claim_id"),
            trimmed("claim_status_code"),
            trimmed("payer_claim_control_number"),
            pl.col("service_from_date").cast(pl.String).fill_null(""),
            separator="\x1f",
        )
    ).to_series()
    amounts = ("billed_amount", "payer_paid_amount", "patient_responsibility_amount")
    money = claims.select(
        pl.concat_str(*(to_money(name).cast(pl.String).fill_null("0.0000") for name in amounts), separator="/")
    ).to_series()
    marks = pl.DataFrame({"which": pl.Series(digests(which), dtype=pl.String), "money": money})
    return numbered(marks.select(mark=pl.concat_str("which", "money", separator="-")), "mark", within=())


def numbered(frame: pl.DataFrame, name: str, within: Sequence[str] = ("txn",)) -> pl.Series:
    """A column of marks. If several are equal in one transaction, the second ends in .2, the third in .3, and so on."""
    keys = [*within, name]
    if frame.select(keys).n_unique() == frame.height:
        return frame[name]
    place = pl.int_range(1, pl.len() + 1).over(keys)
    return frame.select(
        pl.when(place == 1).then(name).otherwise(pl.format("{}.{}", name, place)).alias(name)
    ).to_series()
