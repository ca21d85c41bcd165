"""Tables of Data health: what each feed brought, what its source deleted, what was kept back and what was refused."""

from typing import Any

import polars as pl

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.pages.data_health.matches import words
from dashboards.shell import PageContext

FEED_OUTCOMES = {
    "landed": "Read whole",
    "unchanged": "Nothing new",
    "partly": "Read in part",
    "unreadable": "Not read",
}
KINDS = {
    "pm_database": "PM database",
    "fhir": "FHIR",
    "hl7v2": "HL7 v2",
    "x12": "X12",
    "reference_file": "Reference file",
}
PROTOCOL_REASONS = {
    "no_msh": "The message has no MSH segment",
    "transaction_not_closed": "The transaction has no end",
    "group_not_closed": "The group has no end",
    "interchange_not_closed": "The interchange has no end",
    "not_json": "The line is not JSON",
    "no_resource_type": "The line names no resource type",
    "resource_type_not_in_model": "A resource that the model does not take",
    "transaction_not_in_model": "A transaction that the model does not take",
}
# The gate's rules, as a sentence about the column; problems of a protocol have other words.
RULES = {
    "required": "is missing",
    "valid_values": "is not one of the allowed values",
    "pattern": "does not have the agreed form",
    "range": "is out of range",
    "order": "is before what must come first",
    "type": "cannot be read as what it should be",
    "reference": "names nothing that is known",
    "unique": "is there twice",
}


def feeds(context: PageContext, frame: pl.DataFrame) -> None:
    """The rows of each feed, and the age of its newest record at the last read."""
    blocks.section(
        "Feeds", "What each feed brought and when; records as the source counts them, read = landed + quarantined"
    )
    # Who sees a part of the tenant gets no rows of the whole.
    counts = {
        "records_read": "Records read",
        "records_landed": "Landed",
        "records_quarantined": "Quarantined",
        "rows_landed": "Rows landed",
        "rows_quarantined": "Rows quarantined",
        "units_refused": "Files refused",
    }
    shown = [name for name in counts if name in frame.columns]
    columns = [
        *map(markup.Column, ("Feed", "Kind", "State", "Last read", "Newest record", "Age at last read")),
        *(markup.Column(counts[name], "count") for name in shown),
    ]
    rows = [
        markup.Row(
            (
                row["feed"],
                KINDS.get(row["kind"], row["kind"]),
                FEED_OUTCOMES.get(row["outcome"], row["outcome"]),
                fmt.moment(row["last_read_at"], context.source.time_zone),
                fmt.moment(row["newest_record_at"], context.source.time_zone),
                age(row),
                *(row[name] for name in shown),
            )
        )
        for row in frame.sort("feed").iter_rows(named=True)
    ]
    empty = "No feed has been read yet. The first pipeline run fills this table."
    context.html(markup.table(columns, rows, caption="Feeds", empty=empty), key="cm_feeds")


def age(row: dict[str, Any]) -> str:
    """How old a feed's newest record was at its last read: hours up to two days, then days."""
    newest, judged = row.get("newest_record_at"), row.get("judged_at")
    if newest is None or judged is None:
        return fmt.DASH
    hours = max(0, round((judged - newest).total_seconds() / 3600))
    return fmt.plural(hours, "hour") if hours <= 48 else fmt.plural(round(hours / 24), "day")


def deleted(context: PageContext, frame: pl.DataFrame) -> None:
    """Records that their source has deleted."""
    if frame.is_empty():
        return
    blocks.section("Deleted by their source", "Out of every figure; a record that comes again counts again")
    columns = [
        markup.Column("Feed"),
        markup.Column("Entity"),
        markup.Column("Known"),
        markup.Column("Records", "count"),
    ]
    reasons = {"reported": "The source said so", "absent": "No longer in a full read"}
    rows = [
        markup.Row((row["feed"], words(row["entity"]), reasons.get(row["found_by"], row["found_by"]), row["records"]))
        for row in frame.iter_rows(named=True)
    ]
    context.html(markup.table(columns, rows, caption="Deleted records"), key="cm_deleted")


def quarantine(context: PageContext, frame: pl.DataFrame) -> None:
    """Rows in quarantine by feed, entity and reason, the most first."""
    blocks.section("In quarantine, by reason", "Kept out of every figure until its reason is mended and it is released")
    columns = [markup.Column("Feed"), markup.Column("Entity"), markup.Column("Reason"), markup.Column("Rows", "count")]
    rows = [
        markup.Row((row["feed"], words(row["entity"]), _reason(row), row["rows"]))
        for row in frame.sort("rows", descending=True).head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(
        markup.table(columns, rows, caption="Quarantine", empty="Every row met its contract."), key="cm_quarantine"
    )


def _reason(row: dict[str, Any]) -> str:
    """`Service date is missing`; a protocol's own reason as it stands."""
    reason, column = str(row["reason"]), row.get("column_name")
    if column:
        return f"{words(column)} {RULES.get(reason, reason.replace('_', ' '))}"
    return PROTOCOL_REASONS.get(reason, words(reason))


def refused(context: PageContext, frame: pl.DataFrame) -> None:
    """Files that were refused whole: feed, mark of the file, problem, remedy and code."""
    blocks.section("Refused files", "Not read at all; the rest of the run went on")
    columns = [markup.Column("Feed"), markup.Column("File"), markup.Column("Why, and what to do")]
    rows = [
        markup.Row((row["feed"], _place(row), _why(row))) for row in frame.head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(
        markup.table(columns, rows, caption="Refused files", empty="No file was refused."), key="cm_refused_files"
    )


def _why(row: dict[str, Any]) -> str:
    """The problem, its remedy and its code, by which docs/problems.md lists it. Versions of earlier releases hold no code."""
    sentences = " ".join(fmt.sentence(text) for text in (row["problem"], row["remedy"]) if text)
    return f"{sentences} ({row['code']})" if row.get("code") else sentences


def _place(row: dict[str, Any]) -> str:
    unit, position = str(row["unit"]).rsplit("/", 1)[-1], row.get("position")
    return f"{unit} ({position})" if position else unit


def batches(context: PageContext, frame: pl.DataFrame) -> None:
    """The last run's rows by feed and entity."""
    blocks.section("What the last run brought", "Rows by feed and entity; read = landed + quarantined in each")
    columns = [
        markup.Column("Feed"),
        markup.Column("Entity"),
        markup.Column("Landed at"),
        markup.Column("Rows read", "count"),
        markup.Column("Landed", "count"),
        markup.Column("Quarantined", "count"),
    ]
    latest = frame.filter(pl.col("run_id") == frame.sort("landed_at")["run_id"][-1]) if frame.height else frame
    summed = (
        latest.group_by("feed", "entity")
        .agg(pl.col("landed_at").max(), pl.col("rows_read", "rows_landed", "rows_quarantined").sum())
        .sort("feed", "entity")
    )
    rows = [
        markup.Row(
            (
                row["feed"],
                words(row["entity"]),
                fmt.moment(row["landed_at"], context.source.time_zone),
                row["rows_read"],
                row["rows_landed"],
                row["rows_quarantined"],
            )
        )
        for row in summed.iter_rows(named=True)
    ]
    table = markup.table(columns, rows, caption="The last run", empty="No batch yet.")
    context.html(markup.folded(f"Show {fmt.plural(len(rows), 'line')}", table), key="cm_batches")
