"""277: segments of accepted transactions into claim_status.

Two guides are read. The claim acknowledgement (005010X214, "277CA") says whether the clearing house or the payer accepted a claim;
its TRN02 is the patient control number. The claim status response (005010X212) answers an inquiry, and its TRN02 is the number of
the inquiry: there the patient control number is REF*EJ. A status of a decided claim gives a notice instead of a row, because the
remittance carries the decision.

A record is one TRN at the level of a patient: one claim. Names and numbers of patients and members are not read.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.sources.x12.claim_lines import periods
from ingest.sources.x12.elements import (
    PartNotices,
    component,
    count_unused,
    first_of,
    notices_of,
    per_transaction,
    position,
    to_money,
)
from ingest.sources.x12.guide_segments import BHT, DTP, HL, NM1, REF, STC, TRN, is_tag
from ingest.sources.x12.segments import BatchRows, Placed
from ingest.sources.x12.transactions import CLAIM_LEVELS, local_time

USED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{tag: frozenset() for tag in ("ST", "SE", "BHT", "HL", "TRN", "STC")},
        "NM1": frozenset({"PR", "AY", "85"}),
        "REF": frozenset({"EJ", "1K"}),
        "DTP": frozenset({"472"}),
    }
)
_STAGES = {"PR": "payer", "AY": "clearinghouse"}
# Claim status category codes (X12 external code list 507).
_ACCEPTED = ("A0", "A1", "A2", "A5")  # forwarded, received, accepted, accepted and split
_REJECTED = ("A3", "A4", "A6", "A7", "A8")  # unprocessable, not found, missing, invalid, contradictory information
# The composites of one STC: STC01, STC10, STC11.
_COMPOSITES = ("status_1", "status_2", "status_3")


def read_statuses(
    segments: pl.DataFrame,
    placed: Sequence[Placed],
    separator: str,
    component_separator: str,
    zone: ZoneInfo,
) -> BatchRows:
    """Rows, notices and counts of 277 transactions that share their separators.

    A claim without a patient control number in a status response is left to the contract gate, which quarantines it.
    """
    result = BatchRows()
    shared = per_transaction(placed, zone).with_columns(
        _reported(segments, placed, separator, zone),
        is_response=pl.Series([item.transaction.guide == "X212" for item in placed], dtype=pl.Boolean),
    )
    segments = _levels(segments, separator).join(shared, on="txn", maintain_order="left")
    claims = _claims(segments, separator)
    statuses = _statuses(segments, separator, component_separator)
    of_claims = statuses.filter(pl.col("loop") == "claim").join(claims, on="claim", how="left", maintain_order="left")
    meanings = _meanings(of_claims)
    result.rows = {"claim_status": _rows(meanings.filter("is_status"), zone, result.notices)}
    result.notices += _claim_notices(meanings) + _without_status(claims, of_claims)
    above = statuses.filter(pl.col("loop") == "above")
    result.notices += _above_notices(above, set(claims["txn"].to_list()))
    result.notices += _without_anything(segments, claims, statuses)
    result.dropped_fields = count_unused(segments, separator, USED)
    # The model has statuses of claims only. The status of a line explains that of its claim.
    on_lines = statuses.filter(pl.col("loop") == "line").group_by("part").agg(pl.col("row").n_unique())
    result.dropped_fields += [(part, "STC*line", count) for part, count in on_lines.iter_rows()]
    return result


def _reported(segments: pl.DataFrame, placed: Sequence[Placed], separator: str, zone: ZoneInfo) -> list[pl.Series]:
    """When each transaction was made (BHT04 and BHT05, else the group's), in UTC; and the day BHT04 names."""
    created = BHT.read(segments, separator, "created_date", "created_time")
    created = created.unique("txn", keep="first", maintain_order=True).select("txn", "created_date", "created_time")
    created_at = {txn: (date, time) for txn, date, time in created.rows()}
    made = [item.transaction.sent_at(zone, *created_at.get(index, (None, None))) for index, item in enumerate(placed)]
    days = [created_at.get(index, (None, None))[0] for index in range(len(placed))]
    return [
        pl.Series("made_at", made, dtype=pl.Datetime("us", "UTC")),
        pl.Series("made_day", days, dtype=pl.String),
    ]


def _hierarchy_level(element: str) -> pl.Expr:
    """HL03 of the level each segment lies in; null before the first of a transaction."""
    level_code = pl.col("segment").str.split(element).list.get(HL.number("level_code"), null_on_oob=True)
    own = level_code.str.strip_chars().fill_null("")
    opened = pl.when(pl.col("tag") == "HL").then(own).when(pl.col("tag") == "ST").then(pl.lit(""))
    level = opened.forward_fill()
    return pl.when(level != "").then(level)


def _levels(segments: pl.DataFrame, separator: str) -> pl.DataFrame:
    """Adds claim (running number of the TRN at a patient's level), claim_ordinal (within its transaction), source
    (running number of HL 20), biller (of HL 19) and loop: above, claim or line."""
    level = _hierarchy_level(separator)
    begins = is_tag("TRN") & pl.col("level").is_in(CLAIM_LEVELS).fill_null(False)
    counted = segments.with_columns(level=level).with_columns(
        claim=begins.cum_sum(),
        source=(is_tag("ST") | (is_tag("HL") & (pl.col("level") == "20")).fill_null(False)).cum_sum(),
        biller=(is_tag("ST") | (is_tag("HL") & (pl.col("level") == "19")).fill_null(False)).cum_sum(),
        last_claim=pl.when(begins).then("row").forward_fill().fill_null(-1),
        last_level=pl.when(is_tag("HL", "ST")).then("row").forward_fill().fill_null(-1),
        last_line=pl.when(is_tag("SVC")).then("row").forward_fill().fill_null(-1),
    )
    loop = (
        pl.when(pl.col("last_claim") <= pl.col("last_level"))
        .then(pl.lit("above"))
        .when(pl.col("last_line") > pl.col("last_claim"))
        .then(pl.lit("line"))
        .otherwise(pl.lit("claim"))
    )
    base = pl.when(is_tag("ST")).then("claim").forward_fill()
    levelled = counted.with_columns(loop=loop, claim_ordinal=pl.col("claim") - base)
    return levelled.drop("last_claim", "last_level", "last_line")


def _claims(segments: pl.DataFrame, separator: str) -> pl.DataFrame:
    """One row for each claim: the patient control number as claim_id (null where none is sent), the payer's number, the billing
    provider, the charge and the days of service."""
    on_claim = segments.filter(pl.col("loop") == "claim")
    claims = TRN.read(on_claim, separator, "trace_number")
    ref = REF.read(on_claim, separator, "qualifier", "identifier")
    dtp = DTP.read(on_claim, separator, "qualifier", "period")
    stc = STC.read(on_claim, separator, "billed_amount")
    providers = NM1.read(
        segments.filter(pl.col("level") == "19"), separator, "entity_code", "id_qualifier", "identifier"
    )
    npi = providers.filter((pl.col("entity_code") == "85") & (pl.col("id_qualifier") == "XX"))
    for frame, key in (
        (first_of(ref.filter(pl.col("qualifier") == "EJ"), "claim", "identifier", "control"), "claim"),
        (
            first_of(ref.filter(pl.col("qualifier") == "1K"), "claim", "identifier", "payer_claim_control_number"),
            "claim",
        ),
        (first_of(stc, "claim", "billed_amount", "billed_amount"), "claim"),
        (first_of(npi, "biller", "identifier", "billing_provider_npi"), "biller"),
        (periods(dtp, "claim", "472", "service"), "claim"),
    ):
        claims = claims.join(frame, on=key, how="left", maintain_order="left")
    return claims.with_columns(
        claim_id=pl.when("is_response").then("control").otherwise("trace_number"),
        billed_amount=to_money("billed_amount"),
    )


def _statuses(segments: pl.DataFrame, separator: str, composite: str) -> pl.DataFrame:
    """One row for each status composite: category, status, day (STC02), stage, and its place in the segment."""
    names = NM1.read(segments, separator, "entity_code").filter(
        (pl.col("level") == "20") & pl.col("entity_code").is_in(list(_STAGES))
    )
    stages = names.unique("source", keep="first", maintain_order=True).select(
        "source", stage=pl.col("entity_code").replace_strict(_STAGES, return_dtype=pl.String())
    )
    stc = STC.read(segments, separator, "date", *_COMPOSITES)
    stc = stc.join(stages, on="source", how="left", maintain_order="left")
    parts = []
    for name in _COMPOSITES:
        # An STC without its first status concerns a claim too, but its meaning is not known.
        part = stc if name == _COMPOSITES[0] else stc.filter(pl.col(name).is_not_null())
        parts.append(
            part.select(
                pl.exclude("date", *_COMPOSITES),
                day="date",
                place_in_segment=pl.lit(STC.number(name)),
                category=component(name, composite, 0),
                status=component(name, composite, 1),
            )
        )
    return pl.concat(parts).sort("row", "place_in_segment")


def _category() -> pl.Expr:
    """The category, if it has the form of a category code. Other text is never shown."""
    is_code = pl.col("category").str.contains(r"^[A-Z]\d{1,2}$").fill_null(False)
    return pl.when(is_code).then("category").otherwise(pl.lit("not known"))


def _meanings(statuses: pl.DataFrame) -> pl.DataFrame:
    """Adds is_status (gives a row), is_accepted and, where there is something to show, reason."""
    category = pl.col("category")
    letter = category.str.slice(0, 1)
    is_listed = category.str.contains(r"^(A[0-8]|P\d|R1?\d)$").fill_null(False)
    reason = (
        pl.when(letter == "F")
        .then(pl.lit("claim_already_adjudicated"))
        .when(letter.is_in(["D", "E"]))
        .then(pl.lit("claim_status_not_given"))
        .when(~is_listed)
        .then(pl.lit("status_category_not_known"))
    )
    accepted = (
        # A pending claim (P) is in adjudication, so it was accepted. A request for information (R) does not say whether it was.
        pl.when(category.is_in(_ACCEPTED) | (letter == "P")).then(True).when(category.is_in(_REJECTED)).then(False)
    )
    return statuses.with_columns(
        is_status=~letter.is_in(["F", "D", "E"]).fill_null(False), is_accepted=accepted, reason=reason
    )


def _rows(statuses: pl.DataFrame, zone: ZoneInfo, notices: PartNotices) -> pl.DataFrame:
    """Rows of claim_status, reported on the day of STC02. If that is the day of the transaction, its time is used."""
    days = statuses["day"].drop_nulls().unique().to_list()
    midnight = pl.DataFrame(
        {"day": days, "midnight": [local_time(day, None, zone) for day in days]},
        schema={"day": pl.String, "midnight": pl.Datetime("us", "UTC")},
    )
    dated = statuses.join(midnight, on="day", how="left", maintain_order="left").with_columns(
        ordinal=pl.int_range(1, pl.len() + 1).over("txn", "claim")
    )
    bad = dated.filter(pl.col("day").is_not_null() & pl.col("midnight").is_null())
    detail = "the date of a status (STC02) is not a valid date; the date of the transaction was used"
    notices += notices_of(bad, "date_not_valid", detail)
    same_day = (pl.col("day") == pl.col("made_day")).fill_null(False)
    return dated.select(
        "part",
        claim_status_id=pl.concat_str("digest", "claim_ordinal", "ordinal", separator="-"),
        claim_id="claim_id",
        payer_claim_control_number="payer_claim_control_number",
        billing_provider_npi="billing_provider_npi",
        billed_amount="billed_amount",
        service_from_date="service_from",
        service_to_date="service_to",
        category_code="category",
        status_code="status",
        is_accepted="is_accepted",
        stage="stage",
        reported_at=pl.when(same_day).then("made_at").otherwise(pl.coalesce("midnight", "made_at")),
        source_record_id=pl.concat_str("digest", "claim_ordinal", separator="-"),
        source_updated_at="made_at",
        source_position=position(" TRN {}", "claim_ordinal"),
    )


def _claim_notices(statuses: pl.DataFrame) -> PartNotices:
    """Notices of statuses that give no row, or a row whose meaning is not known."""
    details = {
        "claim_already_adjudicated": "category {} reports a decided claim; it gives no row, because the remittance (835) does",
        "claim_status_not_given": "category {} means that no status could be given for the claim; it gives no row",
        "status_category_not_known": "category {} is not in the code list; whether the claim was accepted was left empty",
    }
    return [
        notice
        for reason, text in details.items()
        for notice in notices_of(statuses.filter(pl.col("reason") == reason), reason, pl.format(text, _category()))
    ]


def _without_status(claims: pl.DataFrame, statuses: pl.DataFrame) -> PartNotices:
    silent = claims.join(statuses.select("claim").unique(), on="claim", how="anti", maintain_order="left")
    return notices_of(silent, "claim_without_status", "a claim has no status (STC)")


def _without_anything(segments: pl.DataFrame, claims: pl.DataFrame, statuses: pl.DataFrame) -> PartNotices:
    """Transactions that name neither a claim nor a status."""
    with_content = pl.concat([claims.select("txn"), statuses.select("txn")])
    silent = segments.filter(is_tag("ST")).join(with_content, on="txn", how="anti", maintain_order="left")
    return notices_of(silent, "submission_status_unclear", "the transaction has neither a claim nor a status")


def _above_notices(above: pl.DataFrame, with_claims: set[int]) -> PartNotices:
    """Notices of statuses of a whole transmission or provider. An acceptance is shown only if no claim with a status follows."""
    category = pl.col("category")
    letter = category.str.slice(0, 1)
    reason = (
        pl.when(category.is_in(_REJECTED))
        .then(pl.lit("submission_rejected"))
        .when(letter.is_in(["D", "E"]))
        .then(pl.lit("claim_status_not_given"))
        .when(category.is_in(_ACCEPTED))
        .then(pl.lit("submission_accepted"))
        .otherwise(pl.lit("submission_status_unclear"))
    )
    level = (
        pl.col("level")
        .replace_strict(
            {"21": "information receiver", "19": "provider", "20": "information source"},
            default="patient without a claim",
            return_dtype=pl.String(),
        )
        .fill_null("transaction")
    )
    shown = above.with_columns(reason=reason)
    detail = pl.format("category {} for the {} as a whole", _category(), level)
    is_covered_by_claims = (
        (pl.col("reason") == "submission_accepted")
        & pl.col("txn").is_in(list(with_claims))
        & pl.col("level").is_in(["20", "21", "19"]).fill_null(False)
    )
    shown = shown.filter(~is_covered_by_claims)
    return [
        notice
        for name in shown["reason"].unique(maintain_order=True)
        for notice in notices_of(shown.filter(pl.col("reason") == name), name, detail)
    ]
