"""What the X12 readers share: components of composites, money, dates, positions, notices, payer rows and counts of unused segments."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from zoneinfo import ZoneInfo

import polars as pl

from ingest.interface import Notice
from ingest.sources.x12.guide_segments import BHT, is_tag
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
# How many different texts of one reason are shown for one part of a file; the others are counted together.
TEXTS_KEPT = 20
OTHERS = "others of this kind"


def component(column: str, separator: str, index: int) -> pl.Expr:
    """Component `index` (from 0) of a composite; null where it is empty or not sent."""
    part = pl.col(column).str.split(separator).list.get(index, null_on_oob=True)
    return pl.when(part != "").then(part)


def code(expression: pl.Expr) -> pl.Expr:
    """A code without the ".00" that some translators add to codes of digits, because they take them for numbers. No claim
    frequency, revenue or procedure code has a decimal point."""
    return expression.str.replace(r"^(\d+)\.0+$", "$1")


def modifiers(column: str, separator: str) -> pl.Expr:
    """Components 2 to 5 of a procedure composite, joined by ":"; null where there are none."""
    joined = pl.col(column).str.split(separator).list.slice(2, 4).list.join(":").str.strip_chars(":")
    return pl.when(joined != "").then(joined)


def to_money(column: str) -> pl.Expr:
    """A text as an amount, for sums; null where it is not a number. Rows keep the text, so that the contract gate judges it."""
    return pl.col(column).cast(MONEY, strict=False)


def to_date(column: str) -> pl.Expr:
    """CCYYMMDD as a date; a time behind it is ignored. Null where it is not a valid date."""
    return pl.col(column).str.slice(0, 8).str.to_date("%Y%m%d", strict=False)


def per_transaction(placed: Sequence[Placed], zone: ZoneInfo) -> pl.DataFrame:
    """The columns that all rows of one transaction share: txn, part, place ("ISA 1 GS 1 ST 0001"), sent_at (UTC), key, digest."""
    transactions = [item.transaction for item in placed]
    return pl.DataFrame(
        {
            "txn": range(len(placed)),
            "part": [item.part for item in placed],
            "place": [transaction.position for transaction in transactions],
            "sent_at": [transaction.sent_at(zone) for transaction in transactions],
            "key": [transaction.submission_key for transaction in transactions],
            "digest": [transaction.digest for transaction in transactions],
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


def submitted(segments: pl.DataFrame, placed: Sequence[Placed], separator: str, zone: ZoneInfo) -> pl.DataFrame:
    """When each transaction was made (`submitted_at`, UTC, by `txn`): BHT04 and BHT05, else the group's date and time."""
    created = BHT.read(segments, separator, "created_date", "created_time").unique("txn", keep="first")
    created_at = {txn: (date, time) for txn, date, time in created.select("txn", "created_date", "created_time").rows()}
    return pl.DataFrame(
        {
            "txn": range(len(placed)),
            "submitted_at": [
                item.transaction.sent_at(zone, *created_at.get(index, (None, None)))
                for index, item in enumerate(placed)
            ],
        },
        schema={"txn": pl.Int32, "submitted_at": pl.Datetime("us", "UTC")},
    )


def position(*parts: str) -> pl.Expr:
    """source_position: the place of the transaction, `parts` (a format with column names), the segment."""
    return pl.format("{}" + parts[0] + " (segment {})", "place", *parts[1:], "number").alias("source_position")


# Notices, each with the part it belongs to.
PartNotices = list[tuple[int, Notice]]


def notices_of(frame: pl.DataFrame, reason: str, detail: pl.Expr | str, at: str = "") -> PartNotices:
    """Notices for the rows of `frame`: one for each part and text, with the number of its rows and the position of the first.

    Texts that name amounts or claims may differ in every row. The first TEXTS_KEPT texts of a part are kept; the other rows are
    counted in one notice. `at` is a format with column names that is added to the place ("CLP {claim_ordinal}").
    """
    if frame.is_empty():
        return []
    text = detail if isinstance(detail, pl.Expr) else pl.lit(detail)
    rank = pl.col("notice_text").rank("dense").over("part")
    texts = frame.with_columns(notice_text=text.fill_null("")).with_columns(
        notice_text=pl.when(rank <= TEXTS_KEPT).then("notice_text").otherwise(pl.lit(OTHERS))
    )
    grouped = texts.group_by("part", "notice_text", maintain_order=True).agg(pl.all().first(), count=pl.len())
    return [
        (
            row["part"],
            Notice(
                position=f"{row['place']}{at.format(**row)} (segment {row['number']})",
                reason=reason,
                detail=row["notice_text"],
                records=row["count"],
            ),
        )
        for row in grouped.iter_rows(named=True)
    ]


def bad_dates(frame: pl.DataFrame, pairs: Sequence[tuple[str, str]], what: str) -> PartNotices:
    """Notices of dates that are not valid: the row stays, the date is left empty. `pairs` are text and date columns."""
    bad = frame.filter(pl.any_horizontal(pl.col(text).is_not_null() & pl.col(date).is_null() for text, date in pairs))
    return notices_of(bad, "date_not_valid", f"the {what} is not a valid date and was left empty")


def payer_key(identifier: str, name: str) -> pl.Expr:
    """The payer's electronic id, else its name in lower case: some payers send no id on a remittance."""
    lowered = pl.col(name).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    return pl.coalesce(pl.col(identifier), lowered)


def payers(named: pl.DataFrame) -> pl.DataFrame:
    """Payer rows, one for each part and id.

    `named` has part, payer_id, electronic_payer_id, name, filing_indicator, sent_at and source_position, a row for each time a
    payer is named. The class is that of the filing indicators where they agree, else unmapped: one payer id may stand for a
    commercial and a Medicare Advantage plan at once.
    """
    classes = pl.col("filing_indicator").replace_strict(dict(PAYER_CLASSES), default=None, return_dtype=pl.String())
    return (
        named.filter(pl.col("payer_id").is_not_null())
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
    """The first `value` that is not null for each `key`, as column `name`."""
    first = segments.filter(pl.col(value).is_not_null()).unique(key, keep="first", maintain_order=True)
    return first.select(key, pl.col(value).alias(name))


def count_unused(
    segments: pl.DataFrame, separator: str, used: Mapping[str, frozenset[str]]
) -> list[tuple[int, str, int]]:
    """Segments that are not used: part, identifier, number of segments. Where only some first elements of a segment are used,
    the identifier names the first element too ("REF*EI").

    `used` maps an identifier to the first elements that are used; with an empty set every segment of it is used.
    """
    wholly = [tag for tag, qualifiers in used.items() if not qualifiers]
    prefixes = [
        f"{tag}{separator}{qualifier}{separator}"
        for tag, qualifiers in used.items()
        for qualifier in sorted(qualifiers)
    ]
    is_used = pl.any_horizontal(is_tag(*wholly), *(pl.col("segment").str.starts_with(prefix) for prefix in prefixes))
    qualifier = pl.col("segment").str.split(separator).list.get(1, null_on_oob=True).str.extract(r"^([A-Z0-9]{1,3})$")
    unused = segments.filter(~is_used).select(
        "part",
        tag=pl.when(pl.col("tag").str.contains(r"^[A-Z][A-Z0-9]{1,2}$")).then("tag").otherwise(pl.lit("unknown")),
        qualifier=pl.when(pl.col("tag").is_in([tag for tag in used if tag not in wholly])).then(qualifier),
    )
    counted = unused.group_by("part", "tag", "qualifier").len()
    return [
        (part, tag if first is None else f"{tag}*{first}", count) for part, tag, first, count in counted.iter_rows()
    ]
