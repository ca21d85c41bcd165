"""837: the diagnoses of claims (HI). Each HI holds up to twelve composites: qualifier, code, and what else is known of it.

The qualifiers are those of code list 1270 that name diagnoses; an A in front says ICD-10-CM, else the code is of ICD-9-CM. Other
qualifiers name procedures, occurrences, values and conditions.
"""

from collections.abc import Mapping
from types import MappingProxyType

import polars as pl

from ingest.sources.x12.elements import position
from ingest.sources.x12.guide_segments import HI, empty_to_null, is_tag

# Qualifier without its A -> diagnosis_type.
_TYPES: Mapping[str, str] = MappingProxyType(
    {"BK": "principal", "BF": "secondary", "BJ": "admitting", "PR": "reason_for_visit", "BN": "external_cause"}
)
TYPES: Mapping[str, str] = MappingProxyType({**_TYPES, **{f"A{name}": kind for name, kind in _TYPES.items()}})


def claim_diagnoses(segments: pl.DataFrame, separator: str, composite: str) -> pl.DataFrame:
    """One row for each composite of the HI segments of claims: the columns of its segment, `qualifier` and `diagnosis_code` (String)."""
    hi = segments.filter(is_tag(HI.tag) & (pl.col("loop") != ""))
    split = hi.with_columns(code=pl.col("segment").str.split(separator).list.slice(1)).drop("segment").explode("code")
    split = split.filter(pl.col("code").fill_null("") != "")
    parts = pl.col("code").str.split_exact(composite, 1).struct.rename_fields(["qualifier", "diagnosis_code"])
    split = split.with_columns(parts.alias("code")).unnest("code")
    return split.with_columns(empty_to_null("qualifier"), empty_to_null("diagnosis_code"))


def diagnosis_rows(diagnoses: pl.DataFrame, claims: pl.DataFrame) -> pl.DataFrame:
    """Rows of diagnosis. `claims` gives each claim its submission, number and place (`claim`, `claim_submission_id`, `claim_id`)."""
    of_claims = diagnoses.filter(pl.col("qualifier").is_in(list(TYPES)) & pl.col("diagnosis_code").is_not_null())
    of_claims = of_claims.with_columns(sequence_number=pl.int_range(1, pl.len() + 1).over("claim"))
    of_claims = of_claims.join(
        claims.select("claim", "claim_submission_id", "claim_id"), on="claim", how="left", maintain_order="left"
    )
    return of_claims.select(
        "part",
        "claim_submission_id",
        "claim_id",
        "diagnosis_code",
        "sequence_number",
        position(" CLM {}", "claim_ordinal"),
        diagnosis_id=pl.concat_str("claim_submission_id", pl.lit("HI"), "sequence_number", separator="-"),
        code_system=pl.when(pl.col("qualifier").str.starts_with("A"))
        .then(pl.lit("icd10cm"))
        .otherwise(pl.lit("icd9cm")),
        diagnosis_type=pl.col("qualifier").replace_strict(dict(TYPES), return_dtype=pl.String()),
        status=pl.lit("stated"),
        source_record_id=pl.concat_str("claim_submission_id", pl.lit("HI"), "sequence_number", separator="-"),
        source_updated_at="submitted_at",
    )


def unread_composites(diagnoses: pl.DataFrame) -> list[tuple[int, str, int]]:
    """Composites that are no diagnosis: part, "HI*" with the qualifier, number."""
    others = diagnoses.filter(~pl.col("qualifier").fill_null("").is_in(list(TYPES)))
    if others.is_empty():
        return []
    name = pl.col("qualifier").str.extract(r"^([A-Z]{1,3})$")
    counted = others.with_columns(name=name).group_by("part", "name").len()
    return [(part, "HI" if kind is None else f"HI*{kind}", count) for part, kind, count in counted.iter_rows()]
