"""835: segments of accepted transactions into remittance, remittance_claim, remittance_line, remittance_adjustment,
provider_adjustment and payer.

A payment is named by its content (trace number and a digest), not by its envelope: clearing houses deliver the same
835 again under new control numbers, and money must not count twice. What does not balance is shown as a notice and
kept as sent. Nothing that names a patient is taken.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.sources.base import Chunk, Notice
from ingest.sources.x12_elements import (
    MONEY,
    bad_dates,
    code,
    component,
    count_unused,
    elements,
    is_tag,
    modifiers,
    payer_key,
    payers,
    per_transaction,
    position,
    to_date,
    to_money,
)
from ingest.sources.x12_transactions import Transaction

USED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{tag: frozenset() for tag in ("ST", "SE", "BPR", "TRN", "CLP", "SVC", "CAS", "PLB")},
        "DTM": frozenset({"405", "232", "233", "472", "150", "151"}),
        "N1": frozenset({"PR", "PE"}),
        "REF": frozenset({"2U", "6R"}),
        "AMT": frozenset({"B6"}),
        "LQ": frozenset({"HE"}),
    }
)
_TRIPLETS = 6
_PAIRS = 6


def read_remittances(
    segments: pl.DataFrame,
    transactions: Sequence[Transaction],
    separator: str,
    component_separator: str,
    zone: ZoneInfo,
) -> Chunk:
    """Rows, notices and counts of 835 transactions that share their separators."""
    shared = per_transaction(transactions, zone)
    segments = _levels(segments).join(shared.drop("key", "digest"), on="txn", maintain_order="left")
    chunk = Chunk()
    payment = _payments(segments, shared, separator)
    chunk.notices += bad_dates(
        payment, [("e16", "payment_date"), ("e2", "produced_date")], "payment or production date"
    )
    names = payment.select(
        "txn", "remittance_id", "payer_id", default_date=pl.coalesce("produced_date", "payment_date")
    )
    segments = segments.join(names, on="txn", maintain_order="left")
    cas = _adjustments(segments, separator)
    claims = _claims(segments, separator)
    lines = _lines(segments, cas, separator, component_separator, chunk.notices)
    plb = _provider_adjustments(segments, separator, component_separator)
    claims = _dates_and_allowed(segments, claims, lines, separator, chunk.notices)
    chunk.notices += _line_balance(lines, cas) + _claim_balance(claims, cas) + _payment_balance(payment, claims, plb)
    chunk.rows = _rows(payment, claims, lines, cas, plb)
    chunk.dropped_fields = count_unused(segments, separator, USED)
    return chunk


def _levels(segments: pl.DataFrame) -> pl.DataFrame:
    """Adds claim and line (running numbers) and claim_ordinal and line_ordinal (within transaction and claim; 0 before)."""
    counted = segments.with_columns(claim=is_tag("CLP").cum_sum(), line=is_tag("SVC").cum_sum())
    claim_base = pl.when(is_tag("ST")).then("claim").forward_fill()
    line_base = pl.when(is_tag("ST", "CLP")).then("line").forward_fill()
    return counted.with_columns(claim_ordinal=pl.col("claim") - claim_base, line_ordinal=pl.col("line") - line_base)


def _first(segments: pl.DataFrame, key: str, value: str, name: str) -> pl.DataFrame:
    """The first non-null `value` for each `key`, as column `name`."""
    found = segments.filter(pl.col(value).is_not_null()).unique(key, keep="first", maintain_order=True)
    return found.select(key, pl.col(value).alias(name))


def _payments(segments: pl.DataFrame, shared: pl.DataFrame, separator: str) -> pl.DataFrame:
    """One row a transaction, BPR or no BPR, so that claims always have their payment."""
    head = segments.filter(pl.col("claim_ordinal") == 0)
    bpr = elements(head.filter(is_tag("BPR")), separator, 2, 4, 16).unique("txn", keep="first", maintain_order=True)
    trn = elements(head.filter(is_tag("TRN")), separator, 2, 3)
    n1 = elements(head.filter(is_tag("N1")), separator, 1, 2, 3, 4)
    payer = n1.filter(pl.col("e1") == "PR").unique("txn", keep="first", maintain_order=True)
    payee = n1.filter((pl.col("e1") == "PE") & (pl.col("e3") == "XX"))
    other_id = elements(head.filter(is_tag("REF")), separator, 1, 2).filter(pl.col("e1") == "2U")
    produced = elements(head.filter(is_tag("DTM")), separator, 1, 2).filter(pl.col("e1") == "405")
    start = segments.filter(is_tag("ST")).select("txn", "number")
    return (
        shared.join(start, on="txn", maintain_order="left")
        .join(bpr.select("txn", "e4", "e16", amount="e2"), on="txn", how="left", maintain_order="left")
        .join(_first(trn, "txn", "e2", "trace_number"), on="txn", how="left", maintain_order="left")
        .join(payer.select("txn", name="e2", payer_number="e4"), on="txn", how="left", maintain_order="left")
        .join(_first(other_id, "txn", "e2", "other_number"), on="txn", how="left", maintain_order="left")
        .join(_first(payee, "txn", "e4", "payee_npi"), on="txn", how="left", maintain_order="left")
        .join(_first(produced, "txn", "e2", "e2"), on="txn", how="left", maintain_order="left")
        .with_columns(electronic_payer_id=pl.coalesce("payer_number", "other_number"))
        .with_columns(
            remittance_id=pl.concat_str(pl.col("trace_number").fill_null("no-trace"), "digest", separator="-"),
            payer_id=payer_key("electronic_payer_id", "name"),
            payment_date=to_date("e16"),
            produced_date=to_date("e2"),
        )
    )


def _claims(segments: pl.DataFrame, separator: str) -> pl.DataFrame:
    found = elements(segments.filter(is_tag("CLP")), separator, 1, 2, 3, 4, 5, 6, 7)
    return found.with_columns(remittance_claim_id=pl.concat_str("remittance_id", "claim_ordinal", separator="-"))


def _line_id() -> pl.Expr:
    return pl.concat_str("remittance_id", "claim_ordinal", "line_ordinal", separator="-")


def _adjustments(segments: pl.DataFrame, separator: str) -> pl.DataFrame:
    """One row a reason: group, reason, amount, quantity, with the numbers of claim and line; line_ordinal 0 on the claim."""
    indexes = range(1, 2 + 3 * _TRIPLETS)
    cas = elements(segments.filter(is_tag("CAS") & (pl.col("claim_ordinal") > 0)), separator, *indexes)
    parts = []
    for index in range(_TRIPLETS):
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
    return pl.concat(parts).sort("number", "triplet").with_columns(money=to_money("adjustment_amount"))


def _sums(frame: pl.DataFrame, key: str, name: str) -> pl.DataFrame:
    return frame.group_by(key).agg(pl.col("money").sum().cast(MONEY).alias(name))


def _lines(
    segments: pl.DataFrame, cas: pl.DataFrame, separator: str, composite: str, notices: list[Notice]
) -> pl.DataFrame:
    svc = elements(segments.filter(is_tag("SVC") & (pl.col("claim_ordinal") > 0)), separator, 1, 2, 3, 4, 5, 6, 7)
    adjusted = _sums(cas.filter(pl.col("line_ordinal") > 0), "line", "adjusted")
    svc = svc.join(adjusted, on="line", how="left", maintain_order="left").with_columns(pl.col("adjusted").fill_null(0))
    svc = _unshifted(svc, composite, notices)
    in_line = segments.filter(pl.col("line_ordinal") > 0)
    dtm = elements(in_line.filter(is_tag("DTM")), separator, 1, 2)
    ref = elements(in_line.filter(is_tag("REF")), separator, 1, 2).filter(pl.col("e1") == "6R")
    amt = elements(in_line.filter(is_tag("AMT")), separator, 1, 2).filter(pl.col("e1") == "B6")
    lq = elements(in_line.filter(is_tag("LQ")), separator, 1, 2).filter(pl.col("e1") == "HE")
    remarks = lq.group_by("line").agg(remark_codes=pl.col("e2").drop_nulls().str.join(":"))
    for frame in (
        _first(dtm.filter(pl.col("e1").is_in(["472", "150"])), "line", "e2", "from_text"),
        _first(dtm.filter(pl.col("e1") == "151"), "line", "e2", "to_text"),
        _first(ref, "line", "e2", "line_control_number"),
        _first(amt, "line", "e2", "allowed_amount"),
        remarks,
    ):
        svc = svc.join(frame, on="line", how="left", maintain_order="left")
    is_revenue = component("e1", composite, 0).eq("NU").fill_null(False)
    adjudicated = code(component("e1", composite, 1))
    lines = svc.with_columns(
        remittance_line_id=_line_id(),
        remittance_claim_id=pl.concat_str("remittance_id", "claim_ordinal", separator="-"),
        procedure_code=pl.when(~is_revenue).then(adjudicated),
        revenue_code=pl.coalesce(code(pl.col("e4")), pl.when(is_revenue).then(adjudicated)),
        modifiers=modifiers("e1", composite),
        submitted_procedure_code=code(component("e6", composite, 1)),
        service_date=to_date("from_text"),
        last_date=pl.coalesce(to_date("to_text"), to_date("from_text")),
    )
    notices += bad_dates(lines, [("from_text", "service_date")], "service date of a line")
    return lines


def _unshifted(svc: pl.DataFrame, composite: str, notices: list[Notice]) -> pl.DataFrame:
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
    first = wrong.row(0, named=True)
    notices.append(
        Notice(
            position=f"{first['place']} CLP {first['claim_ordinal']} (segment {first['number']})",
            reason="line_elements_shifted",
            detail="the procedure composite is split by the element separator; read moved one element, which balances",
            records=wrong.height,
        )
    )
    is_shifted = pl.col("shifted")
    joined = pl.concat_str("e1", "e2", separator=composite)
    moves = [pl.when(is_shifted).then(f"e{n + 1}").otherwise(f"e{n}").alias(f"e{n}") for n in range(2, 7)]
    return shifted.with_columns(*moves, e1=pl.when(is_shifted).then(joined).otherwise("e1"))


def _dates_and_allowed(
    segments: pl.DataFrame, claims: pl.DataFrame, lines: pl.DataFrame, separator: str, notices: list[Notice]
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
    for frame in (
        _first(dtm.filter(pl.col("e1") == "232"), "claim", "e2", "from_text"),
        _first(dtm.filter(pl.col("e1") == "233"), "claim", "e2", "to_text"),
        _first(amt, "claim", "e2", "claim_allowed"),
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


def _provider_adjustments(segments: pl.DataFrame, separator: str, composite: str) -> pl.DataFrame:
    indexes = range(1, 3 + 2 * _PAIRS)
    plb = elements(segments.filter(is_tag("PLB")), separator, *indexes)
    parts = []
    for index in range(_PAIRS):
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
    return pl.concat(parts).sort("number", "pair").with_columns(money=to_money("adjustment_amount"))


def _unbalanced(frame: pl.DataFrame, reason: str, place: str, what: Sequence[str]) -> list[Notice]:
    """One notice a transaction for the rows where `expected` is not `sent`; the first is described."""
    wrong = frame.filter(pl.col("expected").ne_missing(pl.col("sent")))
    notices = []
    for rows in wrong.partition_by("txn", maintain_order=True):
        first = rows.row(0, named=True)
        given, less, result = (first[name] for name in ("given", "less", "sent"))
        notices.append(
            Notice(
                position=f"{first['place']}{place.format(**first)} (segment {first['number']})",
                reason=reason,
                detail=f"{what[0]} {given} less {what[1]} {less} is not {what[2]} {result}",
                records=rows.height,
            )
        )
    return notices


def _line_balance(lines: pl.DataFrame, cas: pl.DataFrame) -> list[Notice]:
    """SVC02 less the adjustments of the line is SVC03."""
    del cas
    checked = lines.with_columns(given=to_money("e2"), less="adjusted", sent=to_money("e3"))
    checked = checked.with_columns(expected=(pl.col("given") - pl.col("less")).cast(MONEY))
    what = ("line charge", "adjustments", "line payment")
    return _unbalanced(checked, "line_out_of_balance", " CLP {claim_ordinal} SVC {line_ordinal}", what)


def _claim_balance(claims: pl.DataFrame, cas: pl.DataFrame) -> list[Notice]:
    """CLP03 less all adjustments, of the claim and of its lines, is CLP04."""
    checked = claims.join(_sums(cas, "claim", "less"), on="claim", how="left", maintain_order="left")
    checked = checked.with_columns(pl.col("less").fill_null(0), given=to_money("e3"), sent=to_money("e4"))
    checked = checked.with_columns(expected=(pl.col("given") - pl.col("less")).cast(MONEY))
    what = ("claim charge", "adjustments", "claim payment")
    return _unbalanced(checked, "claim_out_of_balance", " CLP {claim_ordinal}", what)


def _payment_balance(payment: pl.DataFrame, claims: pl.DataFrame, plb: pl.DataFrame) -> list[Notice]:
    """The claim payments less the provider adjustments are BPR02."""
    paid = _sums(claims.select("txn", money=to_money("e4")), "txn", "given")
    checked = payment.join(paid, on="txn", how="left", maintain_order="left")
    checked = checked.join(_sums(plb, "txn", "less"), on="txn", how="left", maintain_order="left")
    checked = checked.with_columns(pl.col("given", "less").fill_null(0), sent=to_money("amount"))
    checked = checked.with_columns(expected=(pl.col("given") - pl.col("less")).cast(MONEY))
    what = ("claim payments", "provider adjustments", "payment")
    return _unbalanced(checked, "payment_out_of_balance", "", what)


def _rows(
    payment: pl.DataFrame, claims: pl.DataFrame, lines: pl.DataFrame, cas: pl.DataFrame, plb: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    updated = pl.col("sent_at").alias("source_updated_at")
    claim_place = position(" CLP {}", "claim_ordinal")
    claim_ids = claims.select("claim", claim_id="e1")
    lines = lines.join(claim_ids, on="claim", maintain_order="left")
    cas = cas.join(claim_ids, on="claim", maintain_order="left")
    payment = payment.with_columns(position(""))
    indicators = claims.select("txn", filing_indicator="e6").unique(maintain_order=True)
    cas_id = pl.concat_str("remittance_id", "within", "triplet", separator="-")
    plb_id = pl.concat_str("remittance_id", "within", "pair", separator="-")
    return {
        "payer": payers(payment.join(indicators, on="txn", how="left", maintain_order="left")),
        "remittance": payment.select(
            "remittance_id",
            "payer_id",
            "payee_npi",
            "trace_number",
            updated,
            "source_position",
            "payment_date",
            "produced_date",
            payment_method="e4",
            payment_amount="amount",
            source_record_id="remittance_id",
        ),
        "remittance_claim": claims.select(
            "remittance_claim_id",
            "remittance_id",
            "payer_id",
            "allowed_amount",
            "service_from_date",
            "service_to_date",
            updated,
            claim_place,
            claim_id="e1",
            payer_claim_control_number="e7",
            claim_status_code="e2",
            filing_indicator="e6",
            billed_amount="e3",
            payer_paid_amount="e4",
            patient_responsibility_amount="e5",
            adjudicated_date="default_date",
            source_record_id="remittance_claim_id",
        ),
        "remittance_line": lines.select(
            "remittance_line_id",
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
            position(" CLP {} SVC {}", "claim_ordinal", "line_ordinal"),
            line_number="line_ordinal",
            units_paid="e5",
            billed_amount="e2",
            payer_paid_amount="e3",
            source_record_id="remittance_line_id",
        ),
        "remittance_adjustment": cas.select(
            "claim_id",
            "group_code",
            "reason_code",
            "adjustment_amount",
            "quantity",
            updated,
            claim_place,
            remittance_adjustment_id=cas_id,
            remittance_claim_id=pl.concat_str("remittance_id", "claim_ordinal", separator="-"),
            remittance_line_id=pl.when(pl.col("line_ordinal") > 0).then(_line_id()),
            source_record_id=cas_id,
        ),
        "provider_adjustment": plb.select(
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
