"""835: segments of accepted transactions into remittance, remittance_claim, remittance_line, remittance_adjustment,
provider_adjustment and payer.

A payment is named by its content (trace number and a digest), not by its envelope: clearing houses deliver the same
835 again under new control numbers, and money must not count twice. What does not balance is shown as a notice and
kept as sent (`balances`). Nothing that names a patient is taken.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.sources.x12.adjustments import adjustments, provider_adjustments
from ingest.sources.x12.balances import adjusted_lines, claim_balance, line_balance
from ingest.sources.x12.elements import (
    Told,
    bad_dates,
    code,
    component,
    count_unused,
    elements,
    first_of,
    is_tag,
    modifiers,
    notices_of,
    payer_key,
    per_transaction,
    to_date,
    to_money,
)
from ingest.sources.x12.remittance_ids import claim_marks, payment_ids, provider_adjustment_marks
from ingest.sources.x12.remittance_rows import remittance_rows
from ingest.sources.x12.segments import Found, Placed

USED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{tag: frozenset() for tag in ("ST", "SE", "BPR", "TRN", "CLP", "SVC", "CAS", "PLB")},
        "DTM": frozenset({"405", "232", "233", "472", "150", "151"}),
        "N1": frozenset({"PR", "PE"}),
        "REF": frozenset({"2U", "6R", "F8", "TJ"}),
        "AMT": frozenset({"B6"}),
        "LQ": frozenset({"HE"}),
    }
)


def read_remittances(
    segments: pl.DataFrame,
    placed: Sequence[Placed],
    separator: str,
    component_separator: str,
    zone: ZoneInfo,
) -> Found:
    """Rows, notices and counts of 835 transactions that share their separators."""
    shared = per_transaction(placed, zone)
    segments = _levels(segments).join(shared.drop("key", "digest"), on="txn", maintain_order="left")
    payment = _payments(segments, shared, separator)
    names = payment.select("txn", "payer_id", default_date=pl.coalesce("produced_date", "payment_date"))
    segments = segments.join(names, on="txn", maintain_order="left")
    cas = adjustments(segments, separator)
    claims = elements(segments.filter(is_tag("CLP")), separator, 1, 2, 3, 4, 5, 6, 7)
    notices = bad_dates(payment, [("e16", "payment_date"), ("e2", "produced_date")], "payment or production date")
    lines = _lines(segments, cas, separator, component_separator, notices)
    plb = provider_adjustments(segments, separator, component_separator)
    claims = _dates_and_allowed(segments, claims, lines, separator, notices)
    payment, claims, lines, cas, plb = _named(payment, claims, lines, cas, plb)
    notices += line_balance(lines) + claim_balance(claims, cas)
    return Found(
        rows=remittance_rows(payment, claims, lines, cas, plb),
        notices=notices,
        dropped_fields=count_unused(segments, separator, USED),
    )


def _levels(segments: pl.DataFrame) -> pl.DataFrame:
    """Adds claim and line (running numbers) and claim_ordinal and line_ordinal (within transaction and claim; 0 before)."""
    counted = segments.with_columns(claim=is_tag("CLP").cum_sum(), line=is_tag("SVC").cum_sum())
    claim_base = pl.when(is_tag("ST")).then("claim").forward_fill()
    line_base = pl.when(is_tag("ST", "CLP")).then("line").forward_fill()
    return counted.with_columns(claim_ordinal=pl.col("claim") - claim_base, line_ordinal=pl.col("line") - line_base)


def _payments(segments: pl.DataFrame, shared: pl.DataFrame, separator: str) -> pl.DataFrame:
    """One row a transaction, BPR or no BPR, so that claims always have their payment."""
    head = segments.filter(pl.col("claim_ordinal") == 0)
    bpr = elements(head.filter(is_tag("BPR")), separator, 2, 4, 16).unique("txn", keep="first", maintain_order=True)
    trn = elements(head.filter(is_tag("TRN")), separator, 2, 3).filter(pl.col("e2").is_not_null())
    trn = trn.unique("txn", keep="first", maintain_order=True)
    n1 = elements(head.filter(is_tag("N1")), separator, 1, 2, 3, 4)
    payer = n1.filter(pl.col("e1") == "PR").unique("txn", keep="first", maintain_order=True)
    payee = n1.filter((pl.col("e1") == "PE") & (pl.col("e3") == "XX"))
    taxed_payee = n1.filter((pl.col("e1") == "PE") & (pl.col("e3") == "FI"))
    head_ref = elements(head.filter(is_tag("REF")), separator, 1, 2)
    other_id = head_ref.filter(pl.col("e1") == "2U")
    tax_id = head_ref.filter(pl.col("e1") == "TJ")
    produced = elements(head.filter(is_tag("DTM")), separator, 1, 2).filter(pl.col("e1") == "405")
    start = segments.filter(is_tag("ST")).select("txn", "number")
    return (
        shared.join(start, on="txn", maintain_order="left")
        .join(bpr.select("txn", "e4", "e16", amount="e2"), on="txn", how="left", maintain_order="left")
        .join(trn.select("txn", trace_number="e2", company_number="e3"), on="txn", how="left", maintain_order="left")
        .join(payer.select("txn", name="e2", payer_number="e4"), on="txn", how="left", maintain_order="left")
        .join(first_of(other_id, "txn", "e2", "other_number"), on="txn", how="left", maintain_order="left")
        .join(first_of(payee, "txn", "e4", "payee_npi"), on="txn", how="left", maintain_order="left")
        .join(first_of(taxed_payee, "txn", "e4", "named_tax_id"), on="txn", how="left", maintain_order="left")
        .join(first_of(tax_id, "txn", "e2", "other_tax_id"), on="txn", how="left", maintain_order="left")
        .join(first_of(produced, "txn", "e2", "e2"), on="txn", how="left", maintain_order="left")
        .with_columns(electronic_payer_id=pl.coalesce("payer_number", "other_number"))
        .with_columns(
            payer_id=payer_key("electronic_payer_id", "name"),
            payee_tax_token=pl.coalesce("named_tax_id", "other_tax_id"),
            payment_date=to_date("e16"),
            produced_date=to_date("e2"),
        )
    )


def _named(
    payment: pl.DataFrame, claims: pl.DataFrame, lines: pl.DataFrame, cas: pl.DataFrame, plb: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The frames with their ids. What belongs to a claim is named by its place behind the CLP."""
    claims = claims.with_columns(claim_marks(claims, cas).alias("mark"))
    payment = payment.with_columns(payment_ids(payment, claims))
    of_payment = payment.select("txn", "remittance_id")
    claims = claims.join(of_payment, on="txn", maintain_order="left").with_columns(
        remittance_claim_id=pl.concat_str("remittance_id", "mark", separator="-")
    )
    of_claim = claims.select("claim", "remittance_claim_id", claim_id="e1", claim_within="within")
    lines = lines.join(of_claim, on="claim", maintain_order="left")
    cas = cas.join(of_claim, on="claim", maintain_order="left")
    plb = plb.join(of_payment, on="txn", maintain_order="left").with_columns(
        provider_adjustment_marks(plb).alias("mark")
    )
    return payment, claims, lines, cas, plb


def _lines(segments: pl.DataFrame, cas: pl.DataFrame, separator: str, composite: str, notices: Told) -> pl.DataFrame:
    svc = elements(segments.filter(is_tag("SVC") & (pl.col("claim_ordinal") > 0)), separator, 1, 2, 3, 4, 5, 6, 7)
    svc = adjusted_lines(svc, cas)
    svc = _unshifted(svc, composite, notices)
    in_line = segments.filter(pl.col("line_ordinal") > 0)
    dtm = elements(in_line.filter(is_tag("DTM")), separator, 1, 2)
    ref = elements(in_line.filter(is_tag("REF")), separator, 1, 2).filter(pl.col("e1") == "6R")
    amt = elements(in_line.filter(is_tag("AMT")), separator, 1, 2).filter(pl.col("e1") == "B6")
    lq = elements(in_line.filter(is_tag("LQ")), separator, 1, 2).filter(pl.col("e1") == "HE")
    remarks = lq.group_by("line").agg(remark_codes=pl.col("e2").drop_nulls().str.join(":"))
    for frame in (
        first_of(dtm.filter(pl.col("e1").is_in(["472", "150"])), "line", "e2", "from_text"),
        first_of(dtm.filter(pl.col("e1") == "151"), "line", "e2", "to_text"),
        first_of(ref, "line", "e2", "line_control_number"),
        first_of(amt, "line", "e2", "allowed_amount"),
        remarks,
    ):
        svc = svc.join(frame, on="line", how="left", maintain_order="left")
    is_revenue = component("e1", composite, 0).eq("NU").fill_null(False)
    adjudicated = code(component("e1", composite, 1))
    lines = svc.with_columns(
        procedure_code=pl.when(~is_revenue).then(adjudicated),
        revenue_code=pl.coalesce(code(pl.col("e4")), pl.when(is_revenue).then(adjudicated)),
        modifiers=modifiers("e1", composite),
        submitted_procedure_code=code(component("e6", composite, 1)),
        service_date=to_date("from_text"),
        last_date=pl.coalesce(to_date("to_text"), to_date("from_text")),
    )
    notices += bad_dates(lines, [("from_text", "service_date")], "service date of a line")
    return lines


def _unshifted(svc: pl.DataFrame, composite: str, notices: Told) -> pl.DataFrame:
    """Puts lines right that were written with the element separator inside the procedure composite ("SVC*HC*X1*..").

    Only where SVC01 is a bare qualifier, the line as sent does not balance and the line moved one element does, to the
    cent: then no other reading is possible.
    """
    as_sent = (to_money("e2") - pl.col("adjusted")).eq_missing(to_money("e3"))
    moved = (to_money("e3") - pl.col("adjusted")) == to_money("e4")
    bare = pl.col("e1").str.contains(r"^[A-Z][A-Z0-9]$") & pl.col("e2").is_not_null()
    shifted = svc.with_columns(shifted=(bare & ~as_sent & moved).fill_null(False))
    wrong = shifted.filter("shifted")
    if wrong.is_empty():
        return shifted
    said = "the procedure (SVC01) is split by the element separator; the line was read moved by one element, which balances"
    notices += notices_of(wrong, "line_elements_shifted", said, " CLP {claim_ordinal}")
    is_shifted = pl.col("shifted")
    joined = pl.concat_str("e1", "e2", separator=composite)
    moves = [pl.when(is_shifted).then(f"e{n + 1}").otherwise(f"e{n}").alias(f"e{n}") for n in range(2, 7)]
    return shifted.with_columns(*moves, e1=pl.when(is_shifted).then(joined).otherwise("e1"))


def _dates_and_allowed(
    segments: pl.DataFrame, claims: pl.DataFrame, lines: pl.DataFrame, separator: str, notices: Told
) -> pl.DataFrame:
    """Dates of service and allowed amount of each claim: what it says itself, else what all its lines say together."""
    on_claim = segments.filter((pl.col("claim_ordinal") > 0) & (pl.col("line_ordinal") == 0))
    dtm = elements(on_claim.filter(is_tag("DTM")), separator, 1, 2)
    amt = elements(on_claim.filter(is_tag("AMT")), separator, 1, 2).filter(pl.col("e1") == "B6")
    of_lines = lines.group_by("claim").agg(
        line_from=pl.col("service_date").min(),
        line_to=pl.col("last_date").max(),
        line_allowed=pl.when(pl.col("allowed_amount").is_not_null().all()).then(to_money("allowed_amount").sum()),
    )
    ref = elements(on_claim.filter(is_tag("REF")), separator, 1, 2).filter(pl.col("e1") == "F8")
    for frame in (
        first_of(ref, "claim", "e2", "original"),
        first_of(dtm.filter(pl.col("e1") == "232"), "claim", "e2", "from_text"),
        first_of(dtm.filter(pl.col("e1") == "233"), "claim", "e2", "to_text"),
        first_of(amt, "claim", "e2", "claim_allowed"),
        of_lines,
    ):
        claims = claims.join(frame, on="claim", how="left", maintain_order="left")
    claims = claims.with_columns(from_date=to_date("from_text"), to_date=to_date("to_text"))
    notices += bad_dates(claims, [("from_text", "from_date"), ("to_text", "to_date")], "statement date of a claim")
    return claims.with_columns(
        service_from_date=pl.coalesce("from_date", "line_from"),
        service_to_date=pl.coalesce("to_date", "line_to", "from_date"),
        allowed_amount=pl.coalesce("claim_allowed", pl.col("line_allowed").cast(pl.String)),
    )
