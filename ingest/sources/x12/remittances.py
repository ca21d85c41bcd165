"""835: segments of accepted transactions into remittance, remittance_claim, remittance_line, remittance_adjustment,
provider_adjustment and payer.

The id of a payment comes from its content (trace number and a digest), not from its envelope: clearing houses deliver the same
835 again under new control numbers, and money must not count twice. Amounts that do not balance are kept as sent, with a notice
(`balances`). Nothing that names a patient is read.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.sources.x12.adjustments import adjustments, provider_adjustments
from ingest.sources.x12.balances import adjusted_lines, claim_balance, line_balance
from ingest.sources.x12.elements import (
    PartNotices,
    bad_dates,
    code,
    component,
    count_unused,
    first_of,
    modifiers,
    notices_of,
    payer_key,
    per_transaction,
    to_date,
    to_money,
)
from ingest.sources.x12.guide_segments import AMT, BPR, CLP, DTM, LQ, N1, REF, SVC, TRN, is_tag
from ingest.sources.x12.remittance_ids import claim_marks, payment_ids, provider_adjustment_marks
from ingest.sources.x12.remittance_rows import remittance_rows
from ingest.sources.x12.segments import BatchRows, Placed

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
) -> BatchRows:
    """Rows, notices and counts of 835 transactions that share their separators."""
    shared = per_transaction(placed, zone)
    segments = _levels(segments).join(shared.drop("key", "digest"), on="txn", maintain_order="left")
    payment = _payments(segments, shared, separator)
    names = payment.select("txn", "payer_id", default_date=pl.coalesce("produced_date", "payment_date"))
    segments = segments.join(names, on="txn", maintain_order="left")
    cas = adjustments(segments, separator)
    claims = CLP.read(segments, separator, *CLP.names)
    dates = [("payment_date_text", "payment_date"), ("produced_text", "produced_date")]
    notices = bad_dates(payment, dates, "payment or production date")
    lines = _lines(segments, cas, separator, component_separator, notices)
    plb = provider_adjustments(segments, separator, component_separator)
    claims = _dates_and_allowed(segments, claims, lines, separator, notices)
    payment, claims, lines, cas, plb = _with_ids(payment, claims, lines, cas, plb)
    notices += line_balance(lines) + claim_balance(claims, cas)
    return BatchRows(
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
    """One row for each transaction, even without a BPR, so that every claim has its payment."""
    head = segments.filter(pl.col("claim_ordinal") == 0)
    bpr = BPR.read(head, separator, *BPR.names).unique("txn", keep="first", maintain_order=True)
    trn = TRN.read(head, separator, *TRN.names).filter(pl.col("trace_number").is_not_null())
    trn = trn.unique("txn", keep="first", maintain_order=True)
    n1 = N1.read(head, separator, *N1.names)
    payer = n1.filter(pl.col("entity_code") == "PR").unique("txn", keep="first", maintain_order=True)
    payee = n1.filter((pl.col("entity_code") == "PE") & (pl.col("id_qualifier") == "XX"))
    taxed_payee = n1.filter((pl.col("entity_code") == "PE") & (pl.col("id_qualifier") == "FI"))
    head_ref = REF.read(head, separator, *REF.names)
    other_id = head_ref.filter(pl.col("qualifier") == "2U")
    tax_id = head_ref.filter(pl.col("qualifier") == "TJ")
    produced = DTM.read(head, separator, *DTM.names).filter(pl.col("qualifier") == "405")
    start = segments.filter(is_tag("ST")).select("txn", "number")
    return (
        shared.join(start, on="txn", maintain_order="left")
        .join(
            bpr.select("txn", "payment_method", "payment_amount", payment_date_text="payment_date"),
            on="txn",
            how="left",
            maintain_order="left",
        )
        .join(trn.select("txn", "trace_number", "company_number"), on="txn", how="left", maintain_order="left")
        .join(payer.select("txn", "name", payer_number="identifier"), on="txn", how="left", maintain_order="left")
        .join(first_of(other_id, "txn", "identifier", "other_number"), on="txn", how="left", maintain_order="left")
        .join(first_of(payee, "txn", "identifier", "payee_npi"), on="txn", how="left", maintain_order="left")
        .join(first_of(taxed_payee, "txn", "identifier", "named_tax_id"), on="txn", how="left", maintain_order="left")
        .join(first_of(tax_id, "txn", "identifier", "other_tax_id"), on="txn", how="left", maintain_order="left")
        .join(first_of(produced, "txn", "date", "produced_text"), on="txn", how="left", maintain_order="left")
        .with_columns(electronic_payer_id=pl.coalesce("payer_number", "other_number"))
        .with_columns(
            payer_id=payer_key("electronic_payer_id", "name"),
            payee_tax_token=pl.coalesce("named_tax_id", "other_tax_id"),
            payment_date=to_date("payment_date_text"),
            produced_date=to_date("produced_text"),
        )
    )


def _with_ids(
    payment: pl.DataFrame, claims: pl.DataFrame, lines: pl.DataFrame, cas: pl.DataFrame, plb: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """The frames with their ids. The id of an adjustment names its place behind the CLP of the claim."""
    claims = claims.with_columns(claim_marks(claims, cas).alias("mark"))
    payment = payment.with_columns(payment_ids(payment, claims))
    of_payment = payment.select("txn", "remittance_id")
    claims = claims.join(of_payment, on="txn", maintain_order="left").with_columns(
        remittance_claim_id=pl.concat_str("remittance_id", "mark", separator="-")
    )
    of_claim = claims.select("claim", "remittance_claim_id", "claim_id", claim_within="within")
    lines = lines.join(of_claim, on="claim", maintain_order="left")
    cas = cas.join(of_claim, on="claim", maintain_order="left")
    plb = plb.join(of_payment, on="txn", maintain_order="left").with_columns(
        provider_adjustment_marks(plb).alias("mark")
    )
    return payment, claims, lines, cas, plb


def _lines(
    segments: pl.DataFrame, cas: pl.DataFrame, separator: str, composite: str, notices: PartNotices
) -> pl.DataFrame:
    """One row for each SVC of a claim, with its dates, control number, allowed amount and remark codes."""
    lines = SVC.read(segments.filter(pl.col("claim_ordinal") > 0), separator, *SVC.names)
    lines = adjusted_lines(lines, cas)
    lines = _unshifted(lines, composite, notices)
    in_line = segments.filter(pl.col("line_ordinal") > 0)
    dtm = DTM.read(in_line, separator, *DTM.names)
    ref = REF.read(in_line, separator, *REF.names).filter(pl.col("qualifier") == "6R")
    amt = AMT.read(in_line, separator, *AMT.names).filter(pl.col("qualifier") == "B6")
    lq = LQ.read(in_line, separator, *LQ.names).filter(pl.col("qualifier") == "HE")
    remarks = lq.group_by("line").agg(remark_codes=pl.col("code").drop_nulls().str.join(":"))
    for frame in (
        first_of(dtm.filter(pl.col("qualifier").is_in(["472", "150"])), "line", "date", "from_text"),
        first_of(dtm.filter(pl.col("qualifier") == "151"), "line", "date", "to_text"),
        first_of(ref, "line", "identifier", "line_control_number"),
        first_of(amt, "line", "amount", "allowed_amount"),
        remarks,
    ):
        lines = lines.join(frame, on="line", how="left", maintain_order="left")
    is_revenue = component("procedure", composite, 0).eq("NU").fill_null(False)
    adjudicated = code(component("procedure", composite, 1))
    lines = lines.with_columns(
        procedure_code=pl.when(~is_revenue).then(adjudicated),
        revenue_code=pl.coalesce(code(pl.col("revenue_code")), pl.when(is_revenue).then(adjudicated)),
        modifiers=modifiers("procedure", composite),
        submitted_procedure_code=code(component("submitted_procedure", composite, 1)),
        service_date=to_date("from_text"),
        last_date=pl.coalesce(to_date("to_text"), to_date("from_text")),
    )
    notices += bad_dates(lines, [("from_text", "service_date")], "service date of a line")
    return lines


def _unshifted(lines: pl.DataFrame, composite: str, notices: PartNotices) -> pl.DataFrame:
    """Repairs lines that have the element separator inside the procedure composite ("SVC*HC*X1*..").

    A line is moved by one element only where SVC01 is a bare qualifier, the line as sent does not balance, and the moved line
    balances to the cent: then no other reading is possible.
    """
    charge, paid, moved_paid = (to_money(name) for name in ("billed_amount", "payer_paid_amount", "revenue_code"))
    as_sent = (charge - pl.col("adjusted")).eq_missing(paid)
    moved = (paid - pl.col("adjusted")) == moved_paid
    bare = pl.col("procedure").str.contains(r"^[A-Z][A-Z0-9]$") & pl.col("billed_amount").is_not_null()
    shifted = lines.with_columns(shifted=(bare & ~as_sent & moved).fill_null(False))
    wrong = shifted.filter("shifted")
    if wrong.is_empty():
        return shifted
    detail = "the procedure (SVC01) is split by the element separator; the line was read moved by one element, which balances"
    notices += notices_of(wrong, "line_elements_shifted", detail, " CLP {claim_ordinal}")
    is_shifted = pl.col("shifted")
    joined = pl.concat_str("procedure", "billed_amount", separator=composite)
    moves = [pl.when(is_shifted).then(right).otherwise(left).alias(left) for left, right in pairwise(SVC.names[1:])]
    return shifted.with_columns(*moves, procedure=pl.when(is_shifted).then(joined).otherwise("procedure"))


def _dates_and_allowed(
    segments: pl.DataFrame, claims: pl.DataFrame, lines: pl.DataFrame, separator: str, notices: PartNotices
) -> pl.DataFrame:
    """Dates of service and allowed amount of each claim: its own values, else those of all its lines together."""
    on_claim = segments.filter((pl.col("claim_ordinal") > 0) & (pl.col("line_ordinal") == 0))
    dtm = DTM.read(on_claim, separator, *DTM.names)
    amt = AMT.read(on_claim, separator, *AMT.names).filter(pl.col("qualifier") == "B6")
    of_lines = lines.group_by("claim").agg(
        line_from=pl.col("service_date").min(),
        line_to=pl.col("last_date").max(),
        line_allowed=pl.when(pl.col("allowed_amount").is_not_null().all()).then(to_money("allowed_amount").sum()),
    )
    ref = REF.read(on_claim, separator, *REF.names).filter(pl.col("qualifier") == "F8")
    for frame in (
        first_of(ref, "claim", "identifier", "original"),
        first_of(dtm.filter(pl.col("qualifier") == "232"), "claim", "date", "from_text"),
        first_of(dtm.filter(pl.col("qualifier") == "233"), "claim", "date", "to_text"),
        first_of(amt, "claim", "amount", "claim_allowed"),
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
