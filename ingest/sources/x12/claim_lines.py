"""837: service lines of claims (SV1, SV2, SV3 with what follows them) and the dates a claim and a line may have."""

import polars as pl

from ingest.sources.x12.elements import (
    PartNotices,
    bad_dates,
    code,
    component,
    first_of,
    modifiers,
    position,
    to_date,
)
from ingest.sources.x12.guide_segments import DTP, LX, REF, SV1, SV2, SV3


def _period(column: str) -> tuple[pl.Expr, pl.Expr]:
    """First and last day of D8, DT ("20260102...") or RD8 ("20260102-20260105")."""
    last = pl.when(pl.col(column).str.contains("-", literal=True)).then(pl.col(column).str.split("-").list.get(1))
    return to_date(column), pl.coalesce(last, column).str.slice(0, 8).str.to_date("%Y%m%d", strict=False)


def periods(dtp: pl.DataFrame, key: str, qualifier: str, prefix: str) -> pl.DataFrame:
    """One row for each key: `<prefix>_text`, `<prefix>_from`, `<prefix>_to` of its first DTP with this qualifier."""
    texts = first_of(dtp.filter(pl.col("qualifier") == qualifier), key, "period", f"{prefix}_text")
    start, end = _period(f"{prefix}_text")
    return texts.with_columns(start.alias(f"{prefix}_from"), end.alias(f"{prefix}_to"))


def claim_lines(segments: pl.DataFrame, separator: str, composite: str, notices: PartNotices) -> pl.DataFrame:
    """Service lines, one row for each SV1, SV2 or SV3; `procedure` is the composite of its code and modifiers."""
    in_line = segments.filter(pl.col("loop") == "line")
    professional = SV1.read(in_line, separator, "procedure", "billed_amount", "units", "place_of_service")
    institutional = SV2.read(in_line, separator, "revenue_code", "procedure", "billed_amount", "units")
    dental = SV3.read(in_line, separator, "procedure", "billed_amount", "place_of_service", "units")
    kinds = (
        professional,
        institutional.with_columns(revenue_code=code(pl.col("revenue_code"))),
        dental.with_columns(place_of_service=component("place_of_service", composite, 0)),
    )
    # What a kind of line does not have is null: place of service or revenue code.
    lines = pl.concat(kinds, how="diagonal")
    lx = LX.read(in_line, separator, "line_number")
    dtp = DTP.read(in_line, separator, "qualifier", "period")
    ref = REF.read(in_line, separator, "qualifier", "identifier").filter(pl.col("qualifier") == "6R")
    for frame, key in (
        (first_of(lx, "opened", "line_number", "lx"), "opened"),
        (periods(dtp, "line", "472", "line"), "line"),
        (first_of(ref, "line", "identifier", "line_control_number"), "line"),
    ):
        lines = lines.join(frame, on=key, how="left", maintain_order="left")
    lines = lines.sort("row").with_columns(line_number=_line_number())
    notices += bad_dates(lines, [("line_text", "line_from"), ("line_text", "line_to")], "service date of a line")
    return lines


def _line_number() -> pl.Expr:
    """LX01 where it gives every line of the claim a different number, else the place of the line: the number is in the key."""
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
        procedure_code=code(component("procedure", composite, 1)),
        modifiers=modifiers("procedure", composite),
        service_date="line_from",
        service_to_date=pl.coalesce("line_to", "line_from"),
        source_record_id=pl.concat_str("claim_submission_id", "line_number", separator="-"),
        source_updated_at="submitted_at",
    )
