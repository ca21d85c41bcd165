"""837: segments of accepted transactions into claim, claim_line, diagnosis, payer and provider.

No segment names its loop, so loops follow from the order of segments. A billing provider holds until the next HL of level 20,
the payer of a subscriber until the next HL of level 22. Within a CLM an SBR begins another payer and an LX the lines.
A claim finds its patient through its encounter. The text that names the patient here is replaced by a keyed token when it lands. It
serves one purpose: to tell claims of two patients apart that have the same number.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.sources.x12.claim_diagnoses import claim_diagnoses, diagnosis_rows, unread_composites
from ingest.sources.x12.claim_lines import claim_lines, line_rows, periods
from ingest.sources.x12.elements import (
    PartNotices,
    bad_dates,
    code,
    component,
    count_unused,
    first_of,
    notices_of,
    payer_key,
    payers,
    per_transaction,
    position,
    submitted,
    to_money,
)
from ingest.sources.x12.guide_segments import CLM, DMG, DTP, HL, NM1, REF, SBR, is_tag
from ingest.sources.x12.segments import BatchRows, Placed

USED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{tag: frozenset() for tag in ("ST", "SE", "BHT", "HL", "SBR", "CLM", "HI", "LX", "SV1", "SV2", "SV3", "DMG")},
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
) -> BatchRows:
    """Rows, notices and counts of 837 transactions that share their separators."""
    shared = per_transaction(placed, zone).with_columns(
        *_control_numbers(placed), claim_type=_claim_types(placed, segments)
    )
    shared = shared.join(submitted(segments, placed, separator, zone), on="txn", maintain_order="left")
    segments = _levels(segments, separator).join(shared, on="txn", maintain_order="left")
    names = NM1.read(segments, separator, *NM1.names)
    # A payer that is a person (NM102 = 1) is a patient or guarantor: neither name nor number leaves this reader.
    is_person = (pl.col("entity_code") == "PR") & (pl.col("entity_type") == "1")
    names = names.filter(~is_person.fill_null(False))
    sbr = SBR.read(segments, separator, "payer_sequence", "filing_indicator")
    notices: PartNotices = []
    lines = claim_lines(segments, separator, component_separator, notices)
    claims = _claims(segments, names, sbr, lines, separator, component_separator, notices)
    notices += _line_sums(claims)
    lines = lines.join(
        claims.select("claim", "claim_submission_id", "claim_id"), on="claim", how="left", maintain_order="left"
    )
    rows = {
        "payer": payers(_payers(names, sbr)),
        "provider": _providers(names),
        "claim": _claim_rows(claims, component_separator),
        "claim_line": line_rows(lines, component_separator),
    }
    dropped_fields = count_unused(segments, separator, USED)
    diagnoses = claim_diagnoses(segments, separator, component_separator)
    if not diagnoses.is_empty():
        rows["diagnosis"] = diagnosis_rows(diagnoses, claims)
        dropped_fields += unread_composites(diagnoses)
    return BatchRows(rows=rows, notices=notices, dropped_fields=dropped_fields)


def _control_numbers(placed: Sequence[Placed]) -> list[pl.Series]:
    """How acknowledgements name the transaction: ISA13, GS06, ST02, and GS02 who sent it."""
    transactions = [item.transaction for item in placed]
    groups = [transaction.group for transaction in transactions]
    columns = {
        "interchange_control_number": [transaction.interchange.control or None for transaction in transactions],
        "group_control_number": [group.control or None if group else None for group in groups],
        "transaction_control_number": [transaction.control or None for transaction in transactions],
        "sender_code": [group.sender or None if group else None for group in groups],
    }
    return [pl.Series(name, values, dtype=pl.String) for name, values in columns.items()]


def _claim_types(placed: Sequence[Placed], segments: pl.DataFrame) -> pl.Series:
    """The claim type of each transaction: by its implementation guide, else by its first service line."""
    by_line = {"SV1": "professional", "SV2": "institutional", "SV3": "dental"}
    first_lines = segments.filter(is_tag(*by_line)).unique("txn", keep="first", maintain_order=True)
    by_transaction = {txn: by_line[tag] for txn, tag in first_lines.select("txn", "tag").rows()}
    return pl.Series(
        [
            _CLAIM_TYPES.get(item.transaction.guide) or by_transaction.get(index, "unknown")
            for index, item in enumerate(placed)
        ],
        dtype=pl.String,
    )


def _levels(segments: pl.DataFrame, separator: str) -> pl.DataFrame:
    """Adds, per segment, running numbers and the loop it is in.

    billing, subscriber, patient: running numbers of HL 20, of HL 20 or 22, and of HL 20, 22 or 23; each ST begins new ones;
    claim, line: of CLM and service lines; claim_ordinal: of the CLM in its transaction; loop: "" before a claim, else
    claim, other_payer or line.
    """
    level = pl.when(is_tag("HL")).then(
        pl.col("segment").str.split(separator).list.get(HL.number("level_code"), null_on_oob=True)
    )
    counted = segments.with_columns(level=level).with_columns(
        billing=(is_tag("ST") | (pl.col("level") == "20").fill_null(False)).cum_sum(),
        subscriber=(is_tag("ST") | pl.col("level").is_in(["20", "22"]).fill_null(False)).cum_sum(),
        patient=(is_tag("ST") | pl.col("level").is_in(["20", "22", "23"]).fill_null(False)).cum_sum(),
        claim=is_tag("CLM").cum_sum(),
        # LX opens a line. An SV1 without an LX is a line too: of the LX before it, or of none.
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
    levelled = counted.with_columns(loop=loop, claim_ordinal=pl.col("claim") - base)
    return levelled.drop("level", "last_claim", "last_level", "last_other", "last_line")


def _npi() -> pl.Expr:
    """NM109 where NM108 says it is an NPI: other qualifiers hold tax and social security numbers."""
    return pl.when(pl.col("id_qualifier") == "XX").then(pl.col("identifier"))


def _claims(
    segments: pl.DataFrame,
    names: pl.DataFrame,
    sbr: pl.DataFrame,
    lines: pl.DataFrame,
    separator: str,
    composite: str,
    notices: PartNotices,
) -> pl.DataFrame:
    """One row for each CLM, with what its own loops and the loops above it hold."""
    claims = CLM.read(segments, separator, "claim_id", "billed_amount", "service_location")
    on_claim = segments.filter(pl.col("loop") == "claim")
    dtp = DTP.read(on_claim, separator, "qualifier", "period")
    ref = REF.read(on_claim, separator, "qualifier", "identifier").filter(pl.col("qualifier") == "F8")
    people = names.with_columns(npi=_npi())
    above = people.filter(pl.col("loop") == "")
    payer = above.filter(pl.col("entity_code") == "PR").with_columns(payer_id=payer_key("identifier", "name"))
    rendering = people.filter(pl.col("entity_code") == "82")
    of_lines = lines.group_by("claim").agg(
        line_from=pl.col("line_from").min(),
        line_to=pl.coalesce("line_to", "line_from").max(),
        line_sum=to_money("billed_amount").sum(),
        lines=pl.len(),
    )
    for frame, key in (
        (first_of(above.filter(pl.col("entity_code") == "85"), "billing", "npi", "billing_provider_npi"), "billing"),
        (_billing_tax_ids(segments, above, separator), "billing"),
        (first_of(payer, "subscriber", "payer_id", "payer_id"), "subscriber"),
        (_subscribers(segments, above, separator), "subscriber"),
        (_dependents(segments, above, separator), "patient"),
        (first_of(sbr.filter(pl.col("loop") == ""), "subscriber", "payer_sequence", "sequence"), "subscriber"),
        (first_of(rendering.filter(pl.col("loop") == "claim"), "claim", "npi", "claim_rendering"), "claim"),
        (first_of(rendering.filter(pl.col("loop") == "line"), "claim", "npi", "line_rendering"), "claim"),
        (periods(dtp, "claim", "434", "statement"), "claim"),
        (periods(dtp, "claim", "472", "service"), "claim"),
        (first_of(ref, "claim", "identifier", "original"), "claim"),
        (of_lines, "claim"),
    ):
        claims = claims.join(frame, on=key, how="left", maintain_order="left")
    pairs = [("statement_text", "statement_from"), ("statement_text", "statement_to"), ("service_text", "service_from")]
    notices += bad_dates(claims, pairs, "statement or service date of a claim")
    sequence = pl.col("sequence").replace_strict(_SEQUENCES, default="unknown", return_dtype=pl.String())
    return claims.with_columns(
        claim_submission_id=pl.concat_str("key", "claim_ordinal", pl.col("claim_id").fill_null(""), separator="-"),
        provider_id=pl.coalesce("claim_rendering", "line_rendering", "billing_provider_npi"),
        payer_sequence=sequence,
        frequency_code=code(component("service_location", composite, 2)),
    )


def _billing_tax_ids(segments: pl.DataFrame, above: pl.DataFrame, separator: str) -> pl.DataFrame:
    """The tax id of each billing provider: REF*EI or REF*SY right below its NM1*85. A subscriber may have a REF*SY too."""
    ref = REF.read(segments.filter(is_tag(REF.tag) & (pl.col("loop") == "")), separator, "qualifier", "identifier")
    ref = ref.filter(pl.col("qualifier").is_in(["EI", "SY"]))
    named = above.select("row", "txn", "entity_code")
    ref = ref.join_asof(named, on="row", by="txn", strategy="backward", check_sortedness=False)
    return first_of(ref.filter(pl.col("entity_code") == "85"), "billing", "identifier", "billing_tax_token")


def _match_text() -> pl.Expr:
    """How a sender names a patient, without the parts that one sender spells in several ways: family name (letters alone),
    initial, and birth date or else member id."""
    family = pl.col("name").str.to_uppercase().str.replace_all("[^A-Z]", "")
    initial = pl.col("first_name").str.to_uppercase().str.slice(0, 1)
    text = pl.concat_str(family, initial, pl.coalesce("birth_date", "identifier"), separator="|", ignore_nulls=True)
    return pl.when(text != "").then(text)


def _people(segments: pl.DataFrame, above: pl.DataFrame, separator: str, entity: str) -> pl.DataFrame:
    """Subscribers (IL) or dependents (QC) above the claims, with the `text` of `_match_text`."""
    demographics = DMG.read(segments.filter(is_tag(DMG.tag) & (pl.col("loop") == "")), separator, "birth_date")
    birth_dates = first_of(demographics, "patient", "birth_date", "birth_date")
    named = above.filter(pl.col("entity_code") == entity)
    named = named.join(birth_dates, on="patient", how="left", maintain_order="left")
    return named.with_columns(text=_match_text())


def _subscribers(segments: pl.DataFrame, above: pl.DataFrame, separator: str) -> pl.DataFrame:
    return first_of(_people(segments, above, separator, "IL"), "subscriber", "text", "subscriber_name")


def _dependents(segments: pl.DataFrame, above: pl.DataFrame, separator: str) -> pl.DataFrame:
    return first_of(_people(segments, above, separator, "QC"), "patient", "text", "dependent")


def _payers(names: pl.DataFrame, sbr: pl.DataFrame) -> pl.DataFrame:
    """Every payer that is named, the destination payer and others, with the filing indicator of the SBR it belongs to."""
    indicator = sbr.select("row", "txn", "filing_indicator", sbr_loop="loop")
    payers_named = names.filter((pl.col("entity_code") == "PR") & (pl.col("loop") != "line")).select(
        "row",
        "number",
        "txn",
        "part",
        "loop",
        "place",
        "name",
        electronic_payer_id="identifier",
        sent_at="submitted_at",
    )
    # A payer belongs to the SBR before it: of the subscriber in loop 2000B, of the other subscriber in loop 2320.
    payers_named = payers_named.join_asof(indicator, on="row", by="txn", strategy="backward", check_sortedness=False)
    same_loop = (pl.col("loop") == "") == (pl.col("sbr_loop") == "")
    return payers_named.with_columns(
        position(""),
        payer_id=payer_key("electronic_payer_id", "name"),
        filing_indicator=pl.when(same_loop).then("filing_indicator"),
    )


def _providers(names: pl.DataFrame) -> pl.DataFrame:
    """Billing and rendering providers that have an NPI, one row for each. A person's name has the first name first."""
    person_name = pl.concat_str("first_name", "name", separator=" ", ignore_nulls=True)
    return (
        names.filter(pl.col("entity_code").is_in(["85", "82"]) & (pl.col("loop") != "other_payer"))
        .with_columns(npi=_npi())
        .filter(pl.col("npi").str.contains(_NPI))
        .unique(["part", "npi"], keep="last", maintain_order=True)
        .select(
            "part",
            "npi",
            position(""),
            provider_id="npi",
            display_name=pl.when(pl.col("entity_type") == "1").then(person_name).otherwise("name"),
            source_record_id="npi",
            source_updated_at="submitted_at",
        )
    )


def _claim_rows(claims: pl.DataFrame, composite: str) -> pl.DataFrame:
    return claims.select(
        "part",
        "claim_submission_id",
        "claim_id",
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
        "billed_amount",
        position(" CLM {}", "claim_ordinal"),
        original_payer_claim_control_number="original",
        patient_match_token=pl.coalesce("dependent", "subscriber_name"),
        place_of_service=component("service_location", composite, 0),
        service_from_date=pl.coalesce("statement_from", "service_from", "line_from"),
        service_to_date=pl.coalesce("statement_to", "service_to", "line_to"),
        source_record_id="claim_submission_id",
        source_updated_at="submitted_at",
    )


def _line_sums(claims: pl.DataFrame) -> PartNotices:
    """Notices of claims whose lines do not add up to CLM02. Such a claim is billed by CLM02."""
    difference = to_money("billed_amount") - pl.col("line_sum")
    wrong = claims.filter((pl.col("lines") > 0) & difference.ne(0).fill_null(True))
    detail = "the charges of the lines do not add up to the total charge (CLM02); the total was used"
    return notices_of(wrong, "claim_lines_out_of_balance", detail, " CLM {claim_ordinal}")
