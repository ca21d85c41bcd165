"""271: what an EB segment says: whether the coverage is active, and the patient's copay, deductible and coinsurance.

Codes are of 005010X279A1: EB01 (code list 1390), EB02 (1207), EB03 (1365), EB06 (615) and EB12 (1073).
"""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from ingest.sources.x12.elements import MONEY, position

ACTIVE = ("1", "2", "3", "4", "5")
INACTIVE = ("6", "7", "8")
BENEFITS: Mapping[str, str] = MappingProxyType({"A": "coinsurance", "B": "copay", "C": "deductible"})
# The coverage of the plan as a whole. An EB without a service type is about it too.
WHOLE_PLAN = "30"
INFORMATION_CODES = (*ACTIVE, *INACTIVE, *"ABCDEFGHIJKLMNOPQRSTUVWXY", "CB", "MC")
SERVICE_TYPE = r"^([1-9]\d?|A[0-9A-R]|B[1-3A-Z]|C[1A-QR]|D[GMS]|G[FNY]|IC|MH|NI|ON|P[TU]|R[NT]|T[CN]|UC)$"
# AAA03 (code list 901).
REJECT_CODES = (
    *("04", "15", "33", "35", "41", "42", "43", "44", "45", "46", "47", "48", "49", "50", "51", "52", "53", "54", "55"),
    *("56", "57", "58", "60", "61", "62", "63", "64", "65", "66", "67", "68", "69", "70", "71", "72", "73", "74", "75"),
    *("76", "77", "78", "79", "80", "84", "88", "95", "97", "98", "T4"),
)
_LEVELS = {"IND": "individual", "FAM": "family"}
_NETWORKS = {"Y": "in", "N": "out", "W": "any"}
_REMAINING, _USED = ("29", "33"), ("24",)


def coverage_states(benefits: pl.DataFrame) -> pl.DataFrame:
    """One row for each answer with an EB: `lines`, `state` (active, inactive; null where no EB says either) and `plan_name`.

    `benefits` are the EB segments by name, with answer, repetition and row. What is said of the whole plan decides. Where nothing is,
    one active kind of service makes the coverage active.
    """
    code, types = pl.col("information"), pl.col("service_types").str.split(pl.col("repetition"))
    statements = benefits.with_columns(
        is_whole=types.list.contains(WHOLE_PLAN).fill_null(True),
        is_active=code.is_in(ACTIVE).fill_null(False),
        is_inactive=code.is_in(INACTIVE).fill_null(False),
    )
    tells = pl.col("is_active") | pl.col("is_inactive")
    counted = statements.group_by("answer", maintain_order=True).agg(
        lines=pl.len(),
        is_told_of_plan=(tells & pl.col("is_whole")).any(),
        is_plan_active=(pl.col("is_active") & pl.col("is_whole")).any(),
        is_any_active=pl.col("is_active").any(),
        is_told=tells.any(),
        plan_name=pl.col("plan_name").filter(pl.col("is_active")).drop_nulls().first(),
    )
    active = pl.when("is_told_of_plan").then("is_plan_active").otherwise("is_any_active")
    state = pl.when(active).then(pl.lit("active")).otherwise(pl.lit("inactive"))
    return counted.select("answer", "lines", "plan_name", state=pl.when("is_told").then(state))


def benefit_rows(benefits: pl.DataFrame, answers: pl.DataFrame) -> pl.DataFrame:
    """Rows of eligibility_benefit: one for each EB of BENEFITS with an amount or a percentage, and each of its service types."""
    shares = benefits.filter(
        pl.col("information").is_in(list(BENEFITS))
        & pl.any_horizontal(pl.col("amount", "percent").is_not_null())
        & pl.col("answer").is_in(answers["answer"].implode())
    )
    shares = shares.with_columns(line=pl.int_range(1, pl.len() + 1).over("txn", "answer"))
    shares = shares.with_columns(service_type_code=pl.col("service_types").str.split(pl.col("repetition")))
    shares = shares.explode("service_type_code")
    shares = shares.with_columns(turn=pl.int_range(1, pl.len() + 1).over("txn", "answer", "line"))
    # EB08 is a part of 1. What is not a number is left to the contract gate.
    percent = (pl.col("percent").cast(MONEY, strict=False) * 100).cast(pl.String)
    key = pl.concat_str("digest", "answer_ordinal", separator="-")
    period = pl.col("period")
    return shares.select(
        "part",
        eligibility_benefit_id=pl.concat_str(key, "line", "turn", separator="-"),
        eligibility_answer_id=key,
        benefit_type=pl.col("information").replace_strict(dict(BENEFITS), return_dtype=pl.String()),
        service_type_code=pl.when(pl.col("service_type_code") != "").then("service_type_code"),
        coverage_level=_word("coverage_level", _LEVELS, "other"),
        network=_word("network", _NETWORKS, "unknown"),
        amount_kind=pl.when(period.is_in(_REMAINING))
        .then(pl.lit("remaining"))
        .when(period.is_in(_USED))
        .then(pl.lit("used"))
        .otherwise(pl.lit("total")),
        benefit_amount="amount",
        benefit_percent=pl.coalesce(percent, "percent"),
        source_record_id=key,
        source_updated_at="submitted_at",
        source_position=position(" HL {} EB {}", "answer_ordinal", "line"),
    )


def _word(column: str, words: Mapping[str, str], other: str) -> pl.Expr:
    """The meaning of a code, `other` for one of no meaning, unknown where none is sent."""
    meaning = pl.col(column).replace_strict(dict(words), default=other, return_dtype=pl.String())
    return pl.when(pl.col(column).is_null()).then(pl.lit("unknown")).otherwise(meaning)
