"""Rows of an 835: payments, claims, lines and adjustments under their contracts, with the column `part`."""

import polars as pl

from ingest.sources.x12.elements import payers, position


def _line_id() -> pl.Expr:
    return pl.concat_str("remittance_claim_id", "line_ordinal", separator="-")


def remittance_rows(
    payment: pl.DataFrame, claims: pl.DataFrame, lines: pl.DataFrame, cas: pl.DataFrame, plb: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Rows by entity (payer, remittance, remittance_claim, remittance_line, remittance_adjustment, provider_adjustment) under the
    columns of their contracts, from one frame for each kind of segment: payments (BPR, TRN, N1), claims (CLP), lines (SVC), CAS and
    PLB."""
    updated = pl.col("sent_at").alias("source_updated_at")
    claim_place = position(" CLP {}", "claim_ordinal")
    payment = payment.with_columns(position(""))
    indicators = claims.select("txn", "filing_indicator").unique(maintain_order=True)
    cas_id = pl.concat_str("remittance_claim_id", pl.col("within") - pl.col("claim_within"), "triplet", separator="-")
    plb_id = pl.concat_str("remittance_id", "mark", separator="-")
    return {
        "payer": payers(payment.join(indicators, on="txn", how="left", maintain_order="left")),
        "remittance": payment.select(
            "part",
            "remittance_id",
            "payer_id",
            "payee_npi",
            "payee_tax_token",
            "trace_number",
            updated,
            "source_position",
            "payment_date",
            "produced_date",
            "payment_method",
            "payment_amount",
            source_record_id="remittance_id",
        ),
        "remittance_claim": claims.select(
            "part",
            "remittance_claim_id",
            "remittance_id",
            "payer_id",
            "allowed_amount",
            "service_from_date",
            "service_to_date",
            updated,
            claim_place,
            "claim_id",
            "payer_claim_control_number",
            "claim_status_code",
            "filing_indicator",
            "billed_amount",
            "payer_paid_amount",
            "patient_responsibility_amount",
            original_payer_claim_control_number="original",
            adjudicated_date="default_date",
            source_record_id="remittance_claim_id",
        ),
        "remittance_line": lines.select(
            "part",
            "remittance_claim_id",
            "claim_id",
            "line_control_number",
            "procedure_code",
            "submitted_procedure_code",
            "modifiers",
            "revenue_code",
            "remark_codes",
            "allowed_amount",
            "service_date",
            updated,
            "units_paid",
            "billed_amount",
            "payer_paid_amount",
            position(" CLP {} SVC {}", "claim_ordinal", "line_ordinal"),
            remittance_line_id=_line_id(),
            line_number="line_ordinal",
            source_record_id=_line_id(),
        ),
        "remittance_adjustment": cas.select(
            "part",
            "claim_id",
            "group_code",
            "reason_code",
            "adjustment_amount",
            "quantity",
            updated,
            claim_place,
            "remittance_claim_id",
            remittance_adjustment_id=cas_id,
            remittance_line_id=pl.when(pl.col("line_ordinal") > 0).then(_line_id()),
            source_record_id=cas_id,
        ),
        "provider_adjustment": plb.select(
            "part",
            "remittance_id",
            "provider_npi",
            "reason_code",
            "reference_number",
            "adjustment_amount",
            "fiscal_period_date",
            updated,
            position(" PLB"),
            provider_adjustment_id=plb_id,
            source_record_id=plb_id,
        ),
    }
