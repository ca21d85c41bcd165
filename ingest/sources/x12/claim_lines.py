"""837: service lines of claims (SV1, SV2, SV3 with what follows them) and the dates a claim and a line may have."""

import polars as pl

from ingest.sources.x12.elements import (
    Told,
    bad_dates,
    code,
    component,
    elements,
    first_of,
    is_tag,
    modifiers,
    position,
    to_date,
)


def _period(column: str) -> tuple[pl.Expr, pl.Expr]:
    """First and last day of D8, DT ("20260102...") or RD8 ("20260102-20260105")."""
    last = pl.when(pl.col(column).str.contains("-", literal=True)).then(pl.col(column).str.split("-").list.get(1))
    return to_date(column), pl.coalesce(last, column).str.slice(0, 8).str.to_date("%Y%m%d", strict=False)


def periods(dtp: pl.DataFrame, key: str, qualifier: str, prefix: str) -> pl.DataFrame:
    """One row a key: `<prefix>_text`, `<prefix>_from`, `<prefix>_to` of its first DTP with this qualifier."""
    found = first_of(dtp.filter(pl.col("e1") == qualifier), key, "e3", f"{prefix}_text")
    start, end = _period(f"{prefix}_text")
    return found.with_columns(start.alias(f"{prefix}_from"), end.alias(f"{prefix}_to"))


def claim_lines(segments: pl.DataFrame, separator: str, composite: str, notices: Told) -> pl.DataFrame:
    """Service lines with their own columns; `code` is the procedure composite."""
    in_claim = segments.filter(pl.col("loop") == "line")
    professional = elements(in_claim.filter(is_tag("SV1")), separator, 1, 2, 4, 5)
    institutional = elements(in_claim.filter(is_tag("SV2")), separator, 1, 2, 3, 5)
    dental = elements(in_claim.filter(is_tag("SV3")), separator, 1, 2, 3, 6)
    rest = pl.exclude("^e\\d+$")
    none = pl.lit(None, dtype=pl.String)
    kinds = (
        (professional, "e1", "e2", "e4", pl.col("e5"), none),
        (institutional, "e2", "e3", "e5", none, code(pl.col("e1"))),
        (dental, "e1", "e2", "e6", component("e3", composite, 0), none),
    )
    parts = [
        frame.select(
            rest, code=composites, billed_amount=billed, units=units, place_of_service=place, revenue_code=revenue
        )
        for frame, composites, billed, units, place, revenue in kinds
    ]
    sv = pl.concat(parts)
    lx = elements(in_claim.filter(is_tag("LX")), separator, 1)
    dtp = elements(in_claim.filter(is_tag("DTP")), separator, 1, 2, 3)
    ref = elements(in_claim.filter(is_tag("REF")), separator, 1, 2).filter(pl.col("e1") == "6R")
    for frame, key in (
        (first_of(lx, "opened", "e1", "lx"), "opened"),
        (periods(dtp, "line", "472", "line"), "line"),
        (first_of(ref, "line", "e2", "line_control_number"), "line"),
    ):
        sv = sv.join(frame, on=key, how="left", maintain_order="left")
    sv = sv.sort("row").with_columns(line_number=_line_number())
    notices += bad_dates(sv, [("line_text", "line_from"), ("line_text", "line_to")], "service date of a line")
    return sv


def _line_number() -> pl.Expr:
    """LX01 where it numbers the lines of a claim, each once; else their order: the number is part of the line's key."""
    number = pl.col("lx").cast(pl.Int64, strict=False)
    numbered = (number.n_unique() == pl.len()) & number.is_not_null().all()
    return pl.when(numbered.over("claim")).then(number).otherwise(pl.int_range(1, pl.len() + 1).over("claim"))


def line_rows(lines: pl.DataFrame, composite: str) -> pl.DataFrame:
    """Rows of claim_line."""
    return lines.select(
        "part",
        "claim_submission_id",
        "line_number",
        "claim_id",
        "line_control_number",
        "revenue_code",
        "place_of_service",
        "units",
        "billed_amount",
        position(" CLM {} line {}", "claim_ordinal", "line_number"),
        procedure_code=code(component("code", composite, 1)),
        modifiers=modifiers("code", composite),
        service_date="line_from",
        service_to_date=pl.coalesce("line_to", "line_from"),
        source_record_id=pl.concat_str("claim_submission_id", "line_number", separator="-"),
        source_updated_at="submitted_at",
    )
