"""271: segments of accepted transactions into eligibility_answer, eligibility_benefit and payer (005010X279A1).

A record is a level of a subscriber (HL03 22) or dependent (23). It gives one answer, except that of a subscriber who only stands above
dependents. Where the payer answers the question as a whole with a rejection (AAA above the patients, and no patient), that is one
answer that names nobody. Names and addresses are not read. The questions (270) are not read either: each answer repeats the trace
number of its question.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.sources.x12.benefits import ACTIVE, BENEFITS, INACTIVE, benefit_rows, coverage_states
from ingest.sources.x12.elements import (
    PartNotices,
    count_unused,
    first_of,
    notices_of,
    payer_key,
    payers,
    per_transaction,
    position,
    submitted,
    to_date,
)
from ingest.sources.x12.guide_segments import AAA, DMG, DTP, EB, HL, NM1, REF, TRN, is_tag
from ingest.sources.x12.segments import BatchRows, Placed
from ingest.sources.x12.transactions import PATIENT_LEVELS

# Who answers (loop 2100A): payer, third-party administrator, employer, gateway provider, plan sponsor.
_SOURCES = ("PR", "2B", "36", "GP", "P5")
# Days of the coverage in the order in which they are taken: eligibility, its begin and end, begin and end of the plan, plan. A span may
# have its first day alone.
_SPANS, _BEGINS, _ENDS = ("307", "291"), ("356", "346"), ("357", "347")
_RANKS = {qualifier: rank for rank, qualifier in enumerate(("307", "356", "357", "346", "347", "291"))}
USED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        **{tag: frozenset() for tag in ("ST", "SE", "BHT", "HL", "TRN", "AAA", "DMG")},
        "NM1": frozenset({"IL", "03", *_SOURCES}),
        "REF": frozenset({"EA"}),
        "DTP": frozenset({*_SPANS, *_BEGINS, *_ENDS}),
        "EB": frozenset({*ACTIVE, *INACTIVE, *BENEFITS}),
    }
)


def read_eligibility(
    segments: pl.DataFrame,
    placed: Sequence[Placed],
    separator: str,
    component_separator: str,
    zone: ZoneInfo,
) -> BatchRows:
    """Rows, notices and counts of 271 transactions that share their separators."""
    del component_separator
    repetitions = [item.transaction.interchange.separators.repetition or "^" for item in placed]
    shared = per_transaction(placed, zone).with_columns(pl.Series("repetition", repetitions, dtype=pl.String))
    shared = shared.join(submitted(segments, placed, separator, zone), on="txn", maintain_order="left")
    segments = _levels(segments, separator).join(shared, on="txn", maintain_order="left")
    names = NM1.read(segments, separator, *NM1.names)
    sources = names.filter((pl.col("loop") == "above") & pl.col("entity_code").is_in(_SOURCES))
    # A source of information that is a person names nobody here.
    sources = sources.filter((pl.col("entity_type") != "1").fill_null(True))
    rejections = AAA.read(segments, separator, "reject_code")
    benefits = EB.read(segments, separator, *EB.names)
    answers = _answers(segments, names, sources, rejections, benefits, separator)
    above = _rejected_as_a_whole(segments, answers, sources, rejections)
    result = BatchRows()
    result.rows = {
        "payer": payers(_payers(sources)),
        "eligibility_answer": pl.concat([_rows(answers), _rows(above)]),
        "eligibility_benefit": benefit_rows(benefits, answers),
    }
    result.notices += _notices(answers, rejections)
    # An EB of its first element alone ends without a separator, which the count looks for.
    closed = segments.with_columns(
        segment=pl.col("segment") + pl.when(is_tag(EB.tag)).then(pl.lit(separator)).otherwise(pl.lit(""))
    )
    result.dropped_fields = count_unused(closed, separator, USED)
    return result


def _levels(segments: pl.DataFrame, separator: str) -> pl.DataFrame:
    """Adds level (HL03), answer (running number of the levels of patients), subscriber (of HL 22), source (of HL 20), answer_ordinal
    (within its transaction) and loop: above (before the patients), patient or benefit (from the first EB on)."""
    code = pl.col("segment").str.split(separator).list.get(HL.number("level_code"), null_on_oob=True)
    opened = pl.when(is_tag("HL")).then(code.str.strip_chars().fill_null("")).when(is_tag("ST")).then(pl.lit(""))
    is_patient = is_tag("HL") & pl.col("level").is_in(PATIENT_LEVELS)
    counted = segments.with_columns(level=opened.forward_fill()).with_columns(
        answer=is_patient.cum_sum(),
        subscriber=(is_tag("ST") | (is_tag("HL") & (pl.col("level") == "22"))).cum_sum(),
        source=(is_tag("ST") | (is_tag("HL") & (pl.col("level") == "20"))).cum_sum(),
        last_level=pl.when(is_tag("HL", "ST")).then("row").forward_fill().fill_null(-1),
        last_benefit=pl.when(is_tag("EB")).then("row").forward_fill().fill_null(-1),
    )
    loop = (
        pl.when(~pl.col("level").is_in(PATIENT_LEVELS))
        .then(pl.lit("above"))
        .when(pl.col("last_benefit") > pl.col("last_level"))
        .then(pl.lit("benefit"))
        .otherwise(pl.lit("patient"))
    )
    base = pl.when(is_tag("ST")).then("answer").forward_fill()
    return counted.with_columns(loop=loop, answer_ordinal=pl.col("answer") - base).drop("last_level", "last_benefit")


def _answers(
    segments: pl.DataFrame,
    names: pl.DataFrame,
    sources: pl.DataFrame,
    rejections: pl.DataFrame,
    benefits: pl.DataFrame,
    separator: str,
) -> pl.DataFrame:
    """One row for each level of a patient that is an answer, with its HL as place."""
    levels = segments.filter(is_tag("HL") & pl.col("level").is_in(PATIENT_LEVELS))
    of_patients = segments.filter(pl.col("loop") == "patient")
    patients = names.filter((pl.col("loop") == "patient") & (pl.col("id_qualifier") == "MI"))
    subscribers = patients.filter(pl.col("entity_code") == "IL")
    traces = TRN.read(of_patients, separator, "trace_type", "trace_number")
    # The answer repeats the number of the question (type 2) and may add another (type 1).
    traces = traces.sort(pl.col("trace_type") != "2", nulls_last=True, maintain_order=True)
    ref = REF.read(of_patients, separator, "qualifier", "identifier").filter(pl.col("qualifier") == "EA")
    born = DMG.read(of_patients, separator, "birth_date").with_columns(year=to_date("birth_date").dt.year())
    payer = sources.with_columns(payer_id=payer_key("identifier", "name"))
    rejected = rejections.filter(pl.col("loop") != "above").group_by("answer").agg(rejections=pl.len())
    for frame, key in (
        (first_of(patients, "answer", "identifier", "own_member"), "answer"),
        (first_of(subscribers, "subscriber", "identifier", "subscriber_member"), "subscriber"),
        (first_of(traces, "answer", "trace_number", "trace_number"), "answer"),
        (first_of(ref, "answer", "identifier", "patient_id"), "answer"),
        (first_of(born, "answer", "year", "birth_year"), "answer"),
        (first_of(payer, "source", "payer_id", "payer_id"), "source"),
        (rejected, "answer"),
        (first_of(rejections.filter(pl.col("loop") != "above"), "answer", "reject_code", "reject_code"), "answer"),
        (coverage_states(benefits), "answer"),
        (_days(segments, benefits, separator), "answer"),
    ):
        levels = levels.join(frame, on=key, how="left", maintain_order="left")
    with_dependents = levels.filter(pl.col("level") == "23").select("subscriber").unique()
    is_heading = (pl.col("level") == "22") & pl.col("subscriber").is_in(with_dependents["subscriber"].implode())
    is_heading &= pl.col("rejections").is_null() & pl.col("lines").is_null()
    return levels.filter(~is_heading).with_columns(
        member_token=pl.coalesce("own_member", "subscriber_member"),
        status=pl.when(pl.col("state").is_not_null())
        .then("state")
        .when(pl.col("rejections").is_not_null())
        .then(pl.lit("error"))
        .otherwise(pl.lit("unknown")),
    )


def _days(segments: pl.DataFrame, benefits: pl.DataFrame, separator: str) -> pl.DataFrame:
    """valid_from and valid_to of each answer: days beside the patient go before days beside an active, then an inactive coverage."""
    dtp = DTP.read(segments.filter(pl.col("loop") != "above"), separator, "qualifier", "period")
    coverages = benefits.select(
        "row",
        "txn",
        depth=pl.when(pl.col("information").is_in(ACTIVE))
        .then(1)
        .when(pl.col("information").is_in(INACTIVE))
        .then(2)
        .otherwise(3),
    )
    dtp = dtp.join_asof(coverages, on="row", by="txn", strategy="backward", check_sortedness=False)
    last = pl.when(pl.col("period").str.contains("-", literal=True)).then(pl.col("period").str.split("-").list.get(1))
    dtp = dtp.with_columns(
        depth=pl.when(pl.col("loop") == "patient").then(0).otherwise("depth"),
        rank=pl.col("qualifier").replace_strict(_RANKS, default=None, return_dtype=pl.Int32()),
        first=to_date("period"),
        last=last.str.slice(0, 8).str.to_date("%Y%m%d", strict=False),
    )
    dtp = dtp.filter((pl.col("depth") < 3) & pl.col("rank").is_not_null()).sort("depth", "rank", maintain_order=True)
    is_span = pl.col("qualifier").is_in(_SPANS)
    starts = dtp.filter(is_span | pl.col("qualifier").is_in(_BEGINS))
    ends = dtp.filter(is_span | pl.col("qualifier").is_in(_ENDS))
    ends = ends.with_columns(end=pl.when(is_span).then("last").otherwise("first"))
    days = first_of(starts, "answer", "first", "valid_from")
    return days.join(first_of(ends, "answer", "end", "valid_to"), on="answer", how="full", coalesce=True)


def _rejected_as_a_whole(
    segments: pl.DataFrame, answers: pl.DataFrame, sources: pl.DataFrame, rejections: pl.DataFrame
) -> pl.DataFrame:
    """A row for each transaction without an answer: its first AAA, else its ST, as place."""
    silent = segments.filter(is_tag("ST")).join(
        answers.select("txn").unique(), on="txn", how="anti", maintain_order="left"
    )
    first = rejections.unique("txn", keep="first", maintain_order=True)
    payer = sources.with_columns(payer_id=payer_key("identifier", "name"))
    silent = silent.join(
        first.select("txn", "reject_code", rejected_at="number"), on="txn", how="left", maintain_order="left"
    ).join(first_of(payer, "txn", "payer_id", "payer_id"), on="txn", how="left", maintain_order="left")
    return silent.with_columns(
        number=pl.coalesce("rejected_at", "number"),
        status=pl.when(pl.col("rejected_at").is_not_null()).then(pl.lit("error")).otherwise(pl.lit("unknown")),
        answer_ordinal=pl.lit(0, pl.Int64),
        **{name: pl.lit(None, pl.String) for name in ("patient_id", "member_token", "plan_name", "trace_number")},
        birth_year=pl.lit(None, pl.Int32),
        **{name: pl.lit(None, pl.Date) for name in ("valid_from", "valid_to")},
    )


def _rows(answers: pl.DataFrame) -> pl.DataFrame:
    """Rows of eligibility_answer. A file that comes again has the same ids: they follow from the content."""
    key = pl.concat_str("digest", "answer_ordinal", separator="-")
    return answers.select(
        "part",
        "patient_id",
        "member_token",
        pl.col("birth_year").cast(pl.Int32),
        "payer_id",
        "plan_name",
        "status",
        "reject_code",
        "valid_from",
        "valid_to",
        "trace_number",
        eligibility_answer_id=key,
        answered_at="submitted_at",
        source_record_id=key,
        source_updated_at="submitted_at",
        source_position=position(" HL {}", "answer_ordinal"),
    )


def _payers(sources: pl.DataFrame) -> pl.DataFrame:
    return sources.select(
        "part",
        "name",
        position(""),
        payer_id=payer_key("identifier", "name"),
        electronic_payer_id="identifier",
        filing_indicator=pl.lit(None, pl.String),
        sent_at="submitted_at",
    )


def _notices(answers: pl.DataFrame, rejections: pl.DataFrame) -> PartNotices:
    """Questions that the payer rejected, by code and level, and answers that say neither active nor inactive."""
    is_code = pl.col("reject_code").str.contains(r"^[0-9A-Z]{2}$").fill_null(False)
    shown = pl.when(is_code).then("reject_code").otherwise(pl.lit("not known"))
    level = pl.col("level").replace_strict(
        {"20": "payer", "21": "provider", "22": "subscriber", "23": "dependent"},
        default="transaction",
        return_dtype=pl.String(),
    )
    detail = pl.format("reason {} for the {}", shown, level)
    unclear = answers.filter(pl.col("status") == "unknown")
    text = "the answer says neither that coverage is active nor that it is inactive"
    return notices_of(rejections, "eligibility_rejected", detail) + notices_of(unclear, "eligibility_unclear", text)
