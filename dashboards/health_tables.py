"""The tables of Data health: what each feed brought, what was kept back, what matches nothing, where feeds disagree."""

from typing import Any

import polars as pl

from dashboards import blocks, markup
from dashboards import format as fmt
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
# The gate's rules, as a sentence about the column; what a protocol found has words of its own.
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


# What readers noticed and read over, as people say it.
NOTICES = {
    "reference_unresolved": "Names a record that has not come",
    "group_not_closed": "The group has no end",
    "interchange_not_closed": "The interchange has no end",
    "transaction_not_closed": "The transaction has no end",
    "not_utf8": "The text is not in the agreed encoding",
    "encoding_differs": "The text is not in the encoding it names",
    "batch_count_wrong": "The batch holds another number of messages than it says",
    "claim_lines_out_of_balance": "The lines of a claim do not add up to its total",
}
MATCH_METHODS = {
    "claim_id": "By claim number",
    "line_control_number": "By line control number",
    "code_modifiers_amount_date": "By code, modifiers, amount and day",
    "code_amount_date": "By code, amount and day",
    "code_date": "By code, modifiers and day; the amount differs",
    "control_number_amount": "By the payer's number and the amounts",
    "claim_amount": "By claim, day and the amounts",
    "control_number_part": "By the payer's number, in part",
    "claim_part": "By claim and day, in part",
    "code_amount": "By code and amount",
    "claim": "The claim is known, none of its charges fits",
    "none": "The claim is not known",
}


def feeds(context: PageContext, frame: pl.DataFrame) -> None:
    """What each feed brought, and how old its newest record was when it was last read."""
    blocks.section(
        "Feeds", "What each feed brought and when; records as the source counts them, read = landed + quarantined"
    )
    columns = [
        markup.Column("Feed"),
        markup.Column("Kind"),
        markup.Column("State"),
        markup.Column("Last read"),
        markup.Column("Newest record"),
        markup.Column("Age at last read"),
        markup.Column("Records read", "count"),
        markup.Column("Landed", "count"),
        markup.Column("Quarantined", "count"),
        markup.Column("Rows landed", "count"),
        markup.Column("Rows quarantined", "count"),
        markup.Column("Files refused", "count"),
    ]
    rows = [
        markup.Row(
            (
                row["feed"],
                KINDS.get(row["kind"], row["kind"]),
                FEED_OUTCOMES.get(row["outcome"], row["outcome"]),
                fmt.moment(row["last_read_at"]),
                fmt.moment(row["newest_record_at"]),
                age(row),
                row["records_read"],
                row["records_landed"],
                row["records_quarantined"],
                row["rows_landed"],
                row["rows_quarantined"],
                row["units_refused"],
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


def unmatched_references(context: PageContext, frame: pl.DataFrame) -> None:
    """What rows name and no feed has brought."""
    blocks.section("References that match nothing", "Rows that name something which no feed has brought")
    columns = [
        markup.Column("Feed"),
        markup.Column("Rows of"),
        markup.Column("That name"),
        markup.Column("Unmatched", "count"),
        markup.Column("Share", "percent"),
        markup.Column("Different ones", "count"),
    ]
    rows = [
        markup.Row(
            (
                row["feed"],
                words(row["entity"]),
                f"{words(row['referenced_entity'])} ({row['column_name'].replace('_', ' ')})",
                row["unmatched_rows"],
                fmt.decimal(row["unmatched_rows"]) / row["rows_with_reference"],
                row["unmatched_ids"],
            )
        )
        for row in frame.sort("unmatched_rows", descending=True).head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    empty = "Everything that rows name has come."
    context.html(markup.table(columns, rows, caption="References that match nothing", empty=empty), key="cm_references")


def remittances(context: PageContext, frame: pl.DataFrame) -> None:
    """How the claim or charge behind each payer's answer was found."""
    blocks.section(
        "Remittances and what they answer",
        "Payers' answers by how the claim, the charge or the earlier answer behind them was found",
    )
    columns = [
        markup.Column("Feed"),
        markup.Column("About a"),
        markup.Column("Found"),
        markup.Column("Answers", "count"),
        markup.Column("Billed", "usd"),
        markup.Column("Paid", "usd"),
    ]
    rows = [
        markup.Row(
            (
                row["feed"],
                row["level"],
                _found(row),
                row["records"],
                row["billed_amount"],
                row["payer_paid_amount"],
            )
        )
        for row in frame.sort("level", "is_matched", "records", descending=[False, False, True]).iter_rows(named=True)
    ]
    context.html(
        markup.table(columns, rows, caption="Remittances", empty="No remittance has come yet."), key="cm_remittances"
    )


def _found(row: dict[str, Any]) -> str:
    if row["level"] == "reversal" and not row["is_matched"]:
        return "No answer that it takes back"
    return MATCH_METHODS.get(row["match_method"], words(row["match_method"]))


def notices(context: PageContext, frame: pl.DataFrame) -> None:
    """What was odd and read all the same."""
    blocks.section("Odd, but read", "What readers noticed and read over; nothing was kept back for it")
    columns = [markup.Column("Feed"), markup.Column("What"), markup.Column("Detail"), markup.Column("Records", "count")]
    rows = [
        markup.Row((row["feed"], NOTICES.get(row["reason"], words(row["reason"])), row["detail"], row["rows"]))
        for row in frame.sort("rows", descending=True).head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(markup.table(columns, rows, caption="Notices", empty="Nothing was odd."), key="cm_notices")


def conflicts(context: PageContext, frame: pl.DataFrame) -> None:
    """Where two feeds contradict each other."""
    if frame.is_empty():
        return
    blocks.section("Where feeds disagree", "The first feed of each pair is the record: figures hold what it says")
    columns = [
        markup.Column("What"),
        markup.Column("Record"),
        markup.Column("Other feed"),
        markup.Column("Disagreements", "count"),
    ]
    rows = [
        markup.Row(
            (
                f"{words(row['entity'])}: {row['column_name'].replace('_', ' ')}",
                row["record_feed"],
                row["other_feed"],
                row["keys_in_conflict"],
            )
        )
        for row in frame.sort("keys_in_conflict", descending=True).head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(markup.table(columns, rows, caption="Conflicts"), key="cm_conflicts")


MATCH_RULES = {
    "appointment": "Both name the same appointment",
    "time": "Same patient, unit, kind of visit and time",
}
MATCH_OUTCOMES = {
    "matched": "Counted once",
    "ambiguous": "Counted each: more than one visit fits",
}


def visits(context: PageContext, frame: pl.DataFrame) -> None:
    """Visits that feeds know under different numbers, and what became of them."""
    if frame.is_empty():
        return
    blocks.section(
        "One visit under several numbers", "Visits that two feeds number differently, by how they were found to be one"
    )
    columns = [markup.Column("Found by"), markup.Column("Outcome"), markup.Column("Visit numbers", "count")]
    rows = [
        markup.Row(
            (
                MATCH_RULES.get(row["match_rule"], words(row["match_rule"])),
                MATCH_OUTCOMES.get(row["outcome"], words(row["outcome"])),
                row["encounters"],
            )
        )
        for row in frame.sort("match_rule", "outcome").iter_rows(named=True)
    ]
    context.html(markup.table(columns, rows, caption="One visit"), key="cm_visits")


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
    told = {"reported": "The source said so", "absent": "No longer in a full read"}
    rows = [
        markup.Row((row["feed"], words(row["entity"]), told.get(row["found_by"], row["found_by"]), row["records"]))
        for row in frame.iter_rows(named=True)
    ]
    context.html(markup.table(columns, rows, caption="Deleted records"), key="cm_deleted")


def quarantine(context: PageContext, frame: pl.DataFrame) -> None:
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


def words(name: str) -> str:
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def refused(context: PageContext, frame: pl.DataFrame) -> None:
    blocks.section("Refused files", "Not read at all; the rest of the run went on")
    columns = [markup.Column("Feed"), markup.Column("File"), markup.Column("Why, and what to do")]
    rows = [
        markup.Row((row["feed"], _place(row), _sentences(row["problem"], row["remedy"])))
        for row in frame.head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(
        markup.table(columns, rows, caption="Refused files", empty="No file was refused."), key="cm_refused_files"
    )


def _sentences(*texts: str | None) -> str:
    """Texts of the ledger as sentences, each with its full stop."""
    return " ".join(fmt.sentence(text) for text in texts if text)


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
                fmt.moment(row["landed_at"]),
                row["rows_read"],
                row["rows_landed"],
                row["rows_quarantined"],
            )
        )
        for row in summed.iter_rows(named=True)
    ]
    table = markup.table(columns, rows, caption="The last run", empty="No batch yet.")
    context.html(markup.folded(f"Show {fmt.plural(len(rows), 'line')}", table), key="cm_batches")
