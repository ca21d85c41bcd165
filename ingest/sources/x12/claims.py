"""837: segments of accepted transactions into claim, claim_line, payer and provider.

Loops are told by position, because no segment names its loop: the billing provider holds until the next HL of level 20,
the subscriber's payer until the next of level 22; within a CLM an SBR opens another payer and an LX the lines.
A claim finds its patient through its encounter. What names the patient here is taken as one text, which landing replaces
by a keyed token: it only tells claims of two patients apart that bear one number.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.sources.x12.claim_lines import claim_lines, line_rows, periods
from ingest.sources.x12.elements import (
    Told,
    bad_dates,
    code,
    component,
    count_unused,
    elements,
    first_of,
    is_tag,
    notices_of,
    payer_key,
    payers,
    per_transaction,
    position,
    to_money,
)
from ingest.sources.x12.segments import Found, Placed

USED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{tag: frozenset() for tag in ("ST", "SE", "BHT", "HL", "SBR", "CLM", "LX", "SV1", "SV2", "SV3", "DMG")},
        "NM1": frozenset({"85", "82", "PR", "IL", "QC"}),
        "DTP": frozenset({"472", "434"}),
        "REF": frozenset({"F8", "6R", "EI", "SY"}),
    }
)
_SEQUENCES = {"P": "primary", "S": "secondary", "T": "tertiary"}
# Implementation guides by the number in ST03 or GS08; 004010 guides come first.
_CLAIM_TYPES = {
    "X098": "professional",
    "X222": "professional",
    "X096": "institutional",
    "X223": "institutional",
    "X097": "dental",
    "X224": "dental",
}
_NPI = r"^\d{10}$"


def read_claims(
    segments: pl.DataFrame,
    placed: Sequence[Placed],
    separator: str,
    component_separator: str,
    zone: ZoneInfo,
) -> Found:
    """Rows, notices and counts of 837 transactions that share their separators."""
    shared = per_transaction(placed, zone).with_columns(
        *_control_numbers(placed), claim_type=_claim_types(placed, segments)
    )
    shared = shared.join(_submitted(segments, placed, separator, zone), on="txn", maintain_order="left")
    segments = _levels(segments, separator).join(shared, on="txn", maintain_order="left")
    names = elements(segments.filter(is_tag("NM1")), separator, 1, 2, 3, 4, 8, 9)
    # A payer that is a person (NM102 = 1) is a patient or guarantor: neither name nor number leaves this reader.
    person = (pl.col("e1") == "PR") & (pl.col("e2") == "1")
    names = names.filter(~person.fill_null(False))
    sbr = elements(segments.filter(is_tag("SBR")), separator, 1, 9)
    notices: Told = []
    lines = claim_lines(segments, separator, component_separator, notices)
    claims = _claims(segments, names, sbr, lines, separator, component_separator, notices)
    notices += _line_sums(claims)
    lines = lines.join(
        claims.select("claim", "claim_submission_id", claim_id="e1"), on="claim", how="left", maintain_order="left"
    )
    rows = {
        "payer": payers(_payers(names, sbr)),
        "provider": _providers(names),
        "claim": _claim_rows(claims, component_separator),
        "claim_line": line_rows(lines, component_separator),
    }
    return Found(rows=rows, notices=notices, dropped_fields=count_unused(segments, separator, USED))


def _control_numbers(placed: Sequence[Placed]) -> list[pl.Series]:
    """How acknowledgements name the transaction: ISA13, GS06, ST02, and GS02 who sent it."""
    items = [item.transaction for item in placed]
    columns = {
        "interchange_control_number": [item.interchange.control or None for item in items],
        "group_control_number": [item.group.control or None if item.group else None for item in items],
        "transaction_control_number": [item.control or None for item in items],
        "sender_code": [item.group.sender or None if item.group else None for item in items],
    }
    return [pl.Series(name, values, dtype=pl.String) for name, values in columns.items()]


def _claim_types(placed: Sequence[Placed], segments: pl.DataFrame) -> pl.Series:
    """By the implementation guide; by the lines themselves where the guide is not named."""
    by_line = {"SV1": "professional", "SV2": "institutional", "SV3": "dental"}
    seen = (
        segments.filter(is_tag(*by_line)).unique("txn", keep="first", maintain_order=True).select("txn", "tag").rows()
    )
    by_transaction = {txn: by_line[tag] for txn, tag in seen}
    return pl.Series(
        [
            _CLAIM_TYPES.get(item.transaction.guide) or by_transaction.get(index, "unknown")
            for index, item in enumerate(placed)
        ],
        dtype=pl.String,
    )


def _submitted(segments: pl.DataFrame, placed: Sequence[Placed], separator: str, zone: ZoneInfo) -> pl.DataFrame:
    """When each transaction was made: BHT04 and BHT05, else the group's date and time."""
    bht = (
        elements(segments.filter(is_tag("BHT")), separator, 4, 5).unique("txn", keep="first").select("txn", "e4", "e5")
    )
    given = {txn: (date, time) for txn, date, time in bht.rows()}
    return pl.DataFrame(
        {
            "txn": range(len(placed)),
            "submitted_at": [
                item.transaction.sent_at(zone, *given.get(index, (None, None))) for index, item in enumerate(placed)
            ],
        },
        schema={"txn": pl.Int32, "submitted_at": pl.Datetime("us", "UTC")},
    )


def _levels(segments: pl.DataFrame, separator: str) -> pl.DataFrame:
    """Adds, per segment, running numbers and the loop it is in.

    billing, subscriber, patient: running numbers of HL 20, of HL 22 and of either or HL 23 (an ST begins all anew);
    claim, line: of CLM and service lines; claim_ordinal: of the CLM in its transaction; loop: "" before a claim, else
    claim, other_payer or line.
    """
    level = pl.when(is_tag("HL")).then(pl.col("segment").str.split(separator).list.get(3, null_on_oob=True))
    found = segments.with_columns(level=level).with_columns(
        billing=(is_tag("ST") | (pl.col("level") == "20").fill_null(False)).cum_sum(),
        subscriber=(is_tag("ST") | pl.col("level").is_in(["20", "22"]).fill_null(False)).cum_sum(),
        patient=(is_tag("ST") | pl.col("level").is_in(["20", "22", "23"]).fill_null(False)).cum_sum(),
        claim=is_tag("CLM").cum_sum(),
        # LX opens a line; an SV1 without one still is a line, of the LX before or of none.
        line=is_tag("SV1", "SV2", "SV3").cum_sum(),
        opened=is_tag("LX").cum_sum(),
        last_claim=pl.when(is_tag("CLM")).then("row").forward_fill().fill_null(-1),
        last_level=pl.when(is_tag("HL", "ST")).then("row").forward_fill().fill_null(-1),
        last_other=pl.when(is_tag("SBR")).then("row").forward_fill().fill_null(-1),
        last_line=pl.when(is_tag("LX", "SV1", "SV2", "SV3")).then("row").forward_fill().fill_null(-1),
    )
    in_claim = pl.col("last_claim") > pl.col("last_level")
    loop = (
        pl.when(~in_claim)
        .then(pl.lit(""))
        .when(pl.col("last_line") > pl.col("last_claim"))
        .then(pl.lit("line"))
        .when(pl.col("last_other") > pl.col("last_claim"))
        .then(pl.lit("other_payer"))
        .otherwise(pl.lit("claim"))
    )
    base = pl.when(is_tag("ST")).then("claim").forward_fill()
    kept = found.with_columns(loop=loop, claim_ordinal=pl.col("claim") - base)
    return kept.drop("level", "last_claim", "last_level", "last_other", "last_line")


def _npi() -> pl.Expr:
    """NM109 where NM108 says it is an NPI: other qualifiers hold tax and social security numbers."""
    return pl.when(pl.col("e8") == "XX").then(pl.col("e9"))


def _claims(
    segments: pl.DataFrame,
    names: pl.DataFrame,
    sbr: pl.DataFrame,
    lines: pl.DataFrame,
    separator: str,
    composite: str,
    notices: Told,
) -> pl.DataFrame:
    """One row a CLM with what its loops, and the loops above it, say of it."""
    clm = elements(segments.filter(is_tag("CLM")), separator, 1, 2, 5)
    on_claim = segments.filter(pl.col("loop") == "claim")
    dtp = elements(on_claim.filter(is_tag("DTP")), separator, 1, 2, 3)
    ref = elements(on_claim.filter(is_tag("REF")), separator, 1, 2).filter(pl.col("e1") == "F8")
    people = names.with_columns(npi=_npi())
    above = people.filter(pl.col("loop") == "")
    payer = above.filter(pl.col("e1") == "PR").with_columns(payer_id=payer_key("e9", "e3"))
    rendering = people.filter(pl.col("e1") == "82")
    of_lines = lines.group_by("claim").agg(
        line_from=pl.col("line_from").min(),
        line_to=pl.coalesce("line_to", "line_from").max(),
        line_sum=to_money("billed_amount").sum(),
        lines=pl.len(),
    )
    for frame, key in (
        (first_of(above.filter(pl.col("e1") == "85"), "billing", "npi", "billing_provider_npi"), "billing"),
        (_billing_tax_ids(segments, above, separator), "billing"),
        (first_of(payer, "subscriber", "payer_id", "payer_id"), "subscriber"),
        (_subscribers(segments, above, separator), "subscriber"),
        (_dependents(segments, above, separator), "patient"),
        (first_of(sbr.filter(pl.col("loop") == ""), "subscriber", "e1", "sequence"), "subscriber"),
        (first_of(rendering.filter(pl.col("loop") == "claim"), "claim", "npi", "claim_rendering"), "claim"),
        (first_of(rendering.filter(pl.col("loop") == "line"), "claim", "npi", "line_rendering"), "claim"),
        (periods(dtp, "claim", "434", "statement"), "claim"),
        (periods(dtp, "claim", "472", "service"), "claim"),
        (first_of(ref, "claim", "e2", "original"), "claim"),
        (of_lines, "claim"),
    ):
        clm = clm.join(frame, on=key, how="left", maintain_order="left")
    pairs = [("statement_text", "statement_from"), ("statement_text", "statement_to"), ("service_text", "service_from")]
    notices += bad_dates(clm, pairs, "statement or service date of a claim")
    sequence = pl.col("sequence").replace_strict(_SEQUENCES, default="unknown", return_dtype=pl.String())
    return clm.with_columns(
        claim_submission_id=pl.concat_str("key", "claim_ordinal", pl.col("e1").fill_null(""), separator="-"),
        provider_id=pl.coalesce("claim_rendering", "line_rendering", "billing_provider_npi"),
        payer_sequence=sequence,
        frequency_code=code(component("e5", composite, 2)),
    )


def _billing_tax_ids(segments: pl.DataFrame, above: pl.DataFrame, separator: str) -> pl.DataFrame:
    """The tax id of each billing provider: REF*EI or REF*SY right below its NM1*85. A subscriber may have a REF*SY too."""
    ref = elements(segments.filter(is_tag("REF") & (pl.col("loop") == "")), separator, 1, 2)
    ref = ref.filter(pl.col("e1").is_in(["EI", "SY"])).rename({"e1": "qualifier", "e2": "tax_id"})
    named = above.select("row", "txn", entity="e1")
    ref = ref.join_asof(named, on="row", by="txn", strategy="backward", check_sortedness=False)
    return first_of(ref.filter(pl.col("entity") == "85"), "billing", "tax_id", "billing_tax_token")


def _match_text() -> pl.Expr:
    """How a sender names a patient, less what it writes in several ways: family name, initial, and birth date or member id."""
    family = pl.col("e3").str.to_uppercase().str.replace_all("[^A-Z]", "")
    initial = pl.col("e4").str.to_uppercase().str.slice(0, 1)
    text = pl.concat_str(family, initial, pl.coalesce("born", "e9"), separator="|", ignore_nulls=True)
    return pl.when(text != "").then(text)


def _people(segments: pl.DataFrame, above: pl.DataFrame, separator: str, entity: str) -> pl.DataFrame:
    """Subscribers (IL) or dependents (QC) above the claims, with `text` that tells one from another."""
    born = elements(segments.filter(is_tag("DMG") & (pl.col("loop") == "")), separator, 2)
    named = above.filter(pl.col("e1") == entity)
    named = named.join(first_of(born, "patient", "e2", "born"), on="patient", how="left", maintain_order="left")
    return named.with_columns(text=_match_text())


def _subscribers(segments: pl.DataFrame, above: pl.DataFrame, separator: str) -> pl.DataFrame:
    return first_of(_people(segments, above, separator, "IL"), "subscriber", "text", "subscriber_name")


def _dependents(segments: pl.DataFrame, above: pl.DataFrame, separator: str) -> pl.DataFrame:
    return first_of(_people(segments, above, separator, "QC"), "patient", "text", "dependent")


def _payers(names: pl.DataFrame, sbr: pl.DataFrame) -> pl.DataFrame:
    """Every payer named, the destination and the others, with the filing indicator of the SBR it belongs to."""
    indicator = sbr.select("row", "txn", sbr_loop="loop", filing_indicator="e9")
    found = names.filter((pl.col("e1") == "PR") & (pl.col("loop") != "line"))
    # The SBR before a payer is its own: of the subscriber in loop 2000B, of the other subscriber in loop 2320.
    found = found.select("row", "number", "txn", "part", "loop", "place", "e3", "e9", sent_at="submitted_at").join_asof(
        indicator, on="row", by="txn", strategy="backward", check_sortedness=False
    )
    same_loop = (pl.col("loop") == "") == (pl.col("sbr_loop") == "")
    return found.with_columns(
        position(""),
        payer_id=payer_key("e9", "e3"),
        electronic_payer_id="e9",
        name="e3",
        filing_indicator=pl.when(same_loop).then("filing_indicator"),
    )


def _providers(names: pl.DataFrame) -> pl.DataFrame:
    """Billing and rendering providers that have an NPI, one row each; a person's name is given name first."""
    person = pl.concat_str("e4", "e3", separator=" ", ignore_nulls=True)
    return (
        names.filter(pl.col("e1").is_in(["85", "82"]) & (pl.col("loop") != "other_payer"))
        .with_columns(npi=_npi())
        .filter(pl.col("npi").str.contains(_NPI))
        .unique(["part", "npi"], keep="last", maintain_order=True)
        .select(
            "part",
            "npi",
            position(""),
            provider_id="npi",
            display_name=pl.when(pl.col("e2") == "1").then(person).otherwise("e3"),
            source_record_id="npi",
            source_updated_at="submitted_at",
        )
    )


def _claim_rows(claims: pl.DataFrame, composite: str) -> pl.DataFrame:
    return claims.select(
        "part",
        "claim_submission_id",
        "payer_id",
        "provider_id",
        "billing_provider_npi",
        "billing_tax_token",
        "claim_type",
        "frequency_code",
        "payer_sequence",
        "submitted_at",
        "interchange_control_number",
        "group_control_number",
        "transaction_control_number",
        "sender_code",
        position(" CLM {}", "claim_ordinal"),
        claim_id="e1",
        original_payer_claim_control_number="original",
        patient_match_token=pl.coalesce("dependent", "subscriber_name"),
        place_of_service=component("e5", composite, 0),
        billed_amount="e2",
        service_from_date=pl.coalesce("statement_from", "service_from", "line_from"),
        service_to_date=pl.coalesce("statement_to", "service_to", "line_to"),
        source_record_id="claim_submission_id",
        source_updated_at="submitted_at",
    )


def _line_sums(claims: pl.DataFrame) -> Told:
    """Claims whose lines do not add up to CLM02: they are billed by CLM02, and the gap is shown."""
    wrong = claims.filter((pl.col("lines") > 0) & (to_money("e2") - pl.col("line_sum")).ne(0).fill_null(True))
    said = "the charges of the lines do not add up to the total charge (CLM02); the total was used"
    return notices_of(wrong, "claim_lines_out_of_balance", said, " CLM {claim_ordinal}")
