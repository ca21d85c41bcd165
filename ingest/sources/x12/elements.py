"""Elements of X12 segments as columns: the small vocabulary the claim and remittance readers are written in."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.interface import Notice
from ingest.sources.x12.segments import Placed

MONEY = pl.Decimal(18, 4)
# Payer class by claim filing indicator (SBR09, CLP06). What is not listed says too little about expected payment
# (automobile, liability, "mutually defined") and stays unmapped, for the tenant to decide.
PAYER_CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "09": "self_pay",
        "12": "commercial",  # preferred provider organisation
        "13": "commercial",  # point of service
        "14": "commercial",  # exclusive provider organisation
        "15": "commercial",  # indemnity
        "16": "medicare_advantage",  # health maintenance organisation for Medicare risk
        "BL": "commercial",  # Blue Cross or Blue Shield
        "CH": "tricare",
        "CI": "commercial",
        "DS": "commercial",  # disability
        "FI": "other",  # federal employees
        "HM": "commercial",  # health maintenance organisation
        "MA": "medicare",
        "MB": "medicare",
        "MC": "medicaid",
        "OF": "other",  # other federal programme
        "TV": "other",  # Title V
        "VA": "other",  # Veterans Affairs
        "WC": "workers_compensation",
    }
)
# Stands for "from the beginning" where a source keeps no history, as the contract of payer says.
BEGINNING = "1900-01-01"
# Texts of one reason that are shown each for itself, in one part of a file.
TEXTS_KEPT = 20
OTHERS = "others of this kind"


def is_tag(*tags: str) -> pl.Expr:
    """Rows whose segment identifier is one of `tags`."""
    return pl.col("tag") == tags[0] if len(tags) == 1 else pl.col("tag").is_in(tags)


def elements(segments: pl.DataFrame, separator: str, *indexes: int) -> pl.DataFrame:
    """`segments` with element n of each as column `e<n>`; an element that is empty or not sent is null."""
    parts = [f"e{index}" for index in range(max(indexes) + 2)]
    wanted = [f"e{index}" for index in indexes]
    split = segments.select(
        pl.col("segment").str.split_exact(separator, len(parts) - 1).struct.rename_fields(parts)
    ).unnest("segment")
    return segments.drop("segment").hstack(split.select(empty_to_null(name) for name in wanted))


def empty_to_null(name: str) -> pl.Expr:
    """A text column without its empty texts."""
    return pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)


def component(column: str, separator: str, index: int) -> pl.Expr:
    """Component `index` (from 0) of a composite; null where it is empty or not sent."""
    part = pl.col(column).str.split(separator).list.get(index, null_on_oob=True)
    return pl.when(part != "").then(part)


def code(expression: pl.Expr) -> pl.Expr:
    """A code without the ".00" that translators put behind codes of digits when they take them for numbers: no claim
    frequency, revenue or procedure code has a decimal point."""
    return expression.str.replace(r"^(\d+)\.0+$", "$1")


def modifiers(column: str, separator: str) -> pl.Expr:
    """Components 2 to 5 of a procedure composite, joined by ":"; null where there are none."""
    joined = pl.col(column).str.split(separator).list.slice(2, 4).list.join(":").str.strip_chars(":")
    return pl.when(joined != "").then(joined)


def to_money(column: str) -> pl.Expr:
    """A number as sent, for sums; null where it is none. Rows carry the text, so that the gate judges it."""
    return pl.col(column).cast(MONEY, strict=False)


def to_date(column: str) -> pl.Expr:
    """CCYYMMDD, with whatever time follows, as a date; null where it is none."""
    return pl.col(column).str.slice(0, 8).str.to_date("%Y%m%d", strict=False)


def per_transaction(placed: Sequence[Placed], zone: ZoneInfo) -> pl.DataFrame:
    """What rows of one transaction share: txn, part, place ("ISA 1 GS 1 ST 0001"), sent_at (UTC), key, digest."""
    items = [item.transaction for item in placed]
    return pl.DataFrame(
        {
            "txn": range(len(placed)),
            "part": [item.part for item in placed],
            "place": [item.position for item in items],
            "sent_at": [item.sent_at(zone) for item in items],
            "key": [item.submission_key for item in items],
            "digest": [item.digest for item in items],
        },
        schema={
            "txn": pl.Int32,
            "part": pl.Int32,
            "place": pl.String,
            "sent_at": pl.Datetime("us", "UTC"),
            "key": pl.String,
            "digest": pl.String,
        },
    )


def position(*parts: str) -> pl.Expr:
    """source_position: the place of the transaction, `parts` (a format with column names), the segment."""
    return pl.format("{}" + parts[0] + " (segment {})", "place", *parts[1:], "number").alias("source_position")


Told = list[tuple[int, Notice]]


def notices_of(frame: pl.DataFrame, reason: str, detail: pl.Expr | str, at: str = "") -> Told:
    """One notice a part and text for the rows of `frame`, with their number and the position of the first.

    Texts that name amounts or claims may be as many as the rows: beyond TEXTS_KEPT of a part they are counted together,
    under a text of their own. `at` is a format with column names that stands behind the place ("CLP {claim_ordinal}").
    """
    if frame.is_empty():
        return []
    said = detail if isinstance(detail, pl.Expr) else pl.lit(detail)
    place = pl.col("said").rank("dense").over("part")
    texts = frame.with_columns(said=said.fill_null("")).with_columns(
        said=pl.when(place <= TEXTS_KEPT).then("said").otherwise(pl.lit(OTHERS))
    )
    grouped = texts.group_by("part", "said", maintain_order=True).agg(pl.all().first(), count=pl.len())
    return [
        (
            row["part"],
            Notice(
                position=f"{row['place']}{at.format(**row)} (segment {row['number']})",
                reason=reason,
                detail=row["said"],
                records=row["count"],
            ),
        )
        for row in grouped.iter_rows(named=True)
    ]


def bad_dates(frame: pl.DataFrame, pairs: Sequence[tuple[str, str]], what: str) -> Told:
    """Notices of dates that are not valid: the row stays, the date is left empty. `pairs` are text and date columns."""
    bad = frame.filter(pl.any_horizontal(pl.col(text).is_not_null() & pl.col(date).is_null() for text, date in pairs))
    return notices_of(bad, "date_not_valid", f"the {what} is not a valid date and was left empty")


def payer_key(identifier: str, name: str) -> pl.Expr:
    """The payer's electronic id, else its name in lower case: some payers send no id on a remittance."""
    lowered = pl.col(name).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.coalesce(pl.col(identifier), lowered)


def payers(found: pl.DataFrame) -> pl.DataFrame:
    """Payer rows, one per part and id, from rows of part, payer_id, electronic_payer_id, name, filing_indicator, sent_at, source_position.

    The class is that of the filing indicators where they agree, else unmapped: one payer id may stand for a commercial
    and a Medicare Advantage plan at once.
    """
    classes = pl.col("filing_indicator").replace_strict(dict(PAYER_CLASSES), default=None, return_dtype=pl.String())
    return (
        found.filter(pl.col("payer_id").is_not_null())
        .with_columns(payer_class=classes)
        .group_by("part", "payer_id", maintain_order=True)
        .agg(
            pl.col("electronic_payer_id").drop_nulls().first(),
            pl.col("name").drop_nulls().last(),
            pl.col("payer_class").drop_nulls().unique(),
            source_updated_at=pl.col("sent_at").max(),
            source_position=pl.col("source_position").first(),
        )
        .with_columns(
            name=pl.coalesce("name", "payer_id"),
            payer_class=pl.when(pl.col("payer_class").list.len() == 1)
            .then(pl.col("payer_class").list.first())
            .otherwise(pl.lit("unmapped")),
            effective_from=pl.lit(BEGINNING).str.to_date(),
            source_record_id=pl.col("payer_id"),
        )
    )


def first_of(segments: pl.DataFrame, key: str, value: str, name: str) -> pl.DataFrame:
    """The first non-null `value` for each `key`, as column `name`."""
    found = segments.filter(pl.col(value).is_not_null()).unique(key, keep="first", maintain_order=True)
    return found.select(key, pl.col(value).alias(name))


def count_unused(
    segments: pl.DataFrame, separator: str, used: Mapping[str, frozenset[str]]
) -> list[tuple[int, str, int]]:
    """Segments nothing is taken from: part, identifier (with the first element where only some are used: "REF*EI"), number.

    `used` maps an identifier to the first elements that are used; an empty set uses all of them.
    """
    wholly = [tag for tag, qualifiers in used.items() if not qualifiers]
    prefixes = [f"{tag}{separator}{qualifier}{separator}" for tag, found in used.items() for qualifier in sorted(found)]
    taken = pl.any_horizontal(is_tag(*wholly), *(pl.col("segment").str.starts_with(prefix) for prefix in prefixes))
    qualifier = pl.col("segment").str.split(separator).list.get(1, null_on_oob=True).str.extract(r"^([A-Z0-9]{1,3})$")
    rest = segments.filter(~taken).select(
        "part",
        tag=pl.when(pl.col("tag").str.contains(r"^[A-Z][A-Z0-9]{1,2}$")).then("tag").otherwise(pl.lit("unknown")),
        qualifier=pl.when(pl.col("tag").is_in([tag for tag in used if tag not in wholly])).then(qualifier),
    )
    counted = rest.group_by("part", "tag", "qualifier").len()
    return [
        (part, tag if found is None else f"{tag}*{found}", count) for part, tag, found, count in counted.iter_rows()
    ]
