"""Tables of Data health: what matches nothing, what was odd, where feeds disagree, and visits that they number differently."""

from typing import Any

import polars as pl

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.shell import PageContext

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
    "payer_control_number": "By the payer's number of the claim",
    "ambiguous": "Several claims of the number are equally likely",
    "line_control_number": "By line control number",
    "code_modifiers_amount_date": "By code, modifiers, amount and day",
    "code_amount_date": "By code, amount and day",
    "code_date": "By code, modifiers and day; the amount differs",
    "control_number_amount": "By the payer's number and the amounts",
    "claim_amount": "By claim, day and the amounts",
    "control_number_part": "By the payer's number, in part",
    "claim_part": "By claim and day, in part",
    "code_amount": "By code and amount",
    "claim": "The claim is known, but none of its charges fits",
    "none": "The claim is not known",
}


def words(name: str) -> str:
    """A name such as `remittance_line` in words."""
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def unmatched_references(context: PageContext, frame: pl.DataFrame) -> None:
    """References of rows to records that no feed has brought."""
    blocks.section("References that match nothing", "Rows that refer to a record which no feed has brought")
    columns = [
        markup.Column("Feed"),
        markup.Column("Rows of"),
        markup.Column("Refer to"),
        markup.Column("Unmatched", "count"),
        markup.Column("Share", "percent"),
        markup.Column("Distinct ids", "count"),
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
    empty = "Every reference has a match."
    context.html(markup.table(columns, rows, caption="References that match nothing", empty=empty), key="cm_references")


def remittances(context: PageContext, frame: pl.DataFrame) -> None:
    """How the claim or charge behind each payer's answer was found."""
    blocks.section(
        "Remittances and what they answer",
        "Remittances by how their claim, charge or earlier remittance was found",
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
        markup.table(columns, rows, caption="Remittances", empty="No remittance has arrived yet."), key="cm_remittances"
    )


def _found(row: dict[str, Any]) -> str:
    if row["level"] == "reversal" and not row["is_matched"]:
        return "No answer that it takes back"
    return MATCH_METHODS.get(row["match_method"], words(row["match_method"]))


def notices(context: PageContext, frame: pl.DataFrame) -> None:
    """Odd records that were still read, by feed and kind, with the most common detail of each. Accepted transactions are left out."""
    blocks.section("Problems in records that were read", "Readers noticed these problems and still read the records")
    columns = [markup.Column("Feed"), markup.Column("What"), markup.Column("Detail"), markup.Column("Records", "count")]
    kinds = (
        frame.filter(~pl.col("reason").str.ends_with("_accepted"))
        .sort("rows", descending=True)
        .group_by("feed", "reason", maintain_order=True)
        .agg(pl.col("detail").first(), pl.col("rows").sum(), more=pl.len() - 1)
        .sort("rows", descending=True)
    )
    rows = [
        markup.Row((row["feed"], NOTICES.get(row["reason"], words(row["reason"])), _commonest(row), row["rows"]))
        for row in kinds.head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(markup.table(columns, rows, caption="Notices", empty="No problems."), key="cm_notices")


# A role that must not see patients' identity does not see the senders' words.
HIDDEN_WORD = "Not shown to your role: it may be a name"


def unknown_words(context: PageContext, frame: pl.DataFrame) -> None:
    """Words of coded fields that no profile knows, and what their rows have instead."""
    if frame.is_empty():
        return
    blocks.section(
        "Unknown words",
        "Words of coded fields that no profile explains. They count as unknown until the feed's profile teaches them",
    )
    columns = [
        markup.Column("Feed"),
        markup.Column("Field"),
        markup.Column("Word"),
        markup.Column("Meant for"),
        markup.Column("Rows have instead"),
        markup.Column("Rows", "count"),
    ]
    rows = [
        markup.Row(
            (
                row["feed"],
                row["field"],
                HIDDEN_WORD if row["word"] is None else row["word"],
                f"{words(row['entity'])}: {row['column_name'].replace('_', ' ')}",
                row["became"] or "the word, or quarantined",
                row["rows"],
            )
        )
        for row in frame.sort("rows", descending=True).head(blocks.MOST_ROWS).iter_rows(named=True)
    ]
    context.html(markup.table(columns, rows, caption="Unknown words"), key="cm_unknown_words")


def _commonest(row: dict[str, Any]) -> str:
    return f"{row['detail']}; {row['more']:,} more of this kind" if row["more"] else str(row["detail"])


def conflicts(context: PageContext, frame: pl.DataFrame) -> None:
    """Where two feeds contradict each other."""
    if frame.is_empty():
        return
    blocks.section("Where feeds disagree", "Figures use the value of the first feed of each pair")
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
    "ambiguous": "Counted separately: several visits fit",
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
