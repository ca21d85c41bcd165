"""Reconciliation on Data health: the bridge from what sources sent to what the pages show, in rows and in money."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.pages.data_health.matches import words
from dashboards.shell import PageContext
from serving.model import Health
from serving.publish.reconciliation import ROWS, bridge, summary

# Entity and measure as people say them, in the order of the work.
MEASURES = {
    ("appointment", ROWS): "Appointments",
    ("encounter", ROWS): "Encounters",
    ("charge", ROWS): "Charges",
    ("claim", ROWS): "Claims sent",
    ("claim_line", ROWS): "Claim lines",
    ("remittance", ROWS): "Payers' payments",
    ("remittance_claim", ROWS): "Payers' answers to claims",
    ("remittance_line", ROWS): "Payers' answers to lines",
    ("remittance_adjustment", ROWS): "Payers' adjustments",
    ("provider_adjustment", ROWS): "Adjustments of whole payments",
    ("patient_payment", ROWS): "Patients' payments",
    ("charge", "billed_amount"): "Billed on charges",
    ("claim", "billed_amount"): "Billed on claims",
    ("claim_line", "billed_amount"): "Billed on claim lines",
    ("remittance", "payment_amount"): "Paid by payers, by payment",
    ("remittance_claim", "payer_paid_amount"): "Paid by payers, by claim",
    ("remittance_line", "payer_paid_amount"): "Paid by payers, by line",
    ("remittance_claim", "billed_amount"): "Billed, as payers answer claims",
    ("remittance_line", "billed_amount"): "Billed, as payers answer lines",
    ("remittance_adjustment", "adjustment_amount"): "Adjusted by payers",
    ("provider_adjustment", "adjustment_amount"): "Adjusted on whole payments",
    ("patient_payment", "payment_amount"): "Paid by patients",
    ("adjustment", "adjustment_amount"): "Adjusted by the practice",
}
STEPS = {
    "stated": "Sent, as the source counts it",
    "given": "Read of that",
    "read": "Read",
    "quarantined": "In quarantine",
    "landed": "Landed",
    "filed": "In the landed files",
    "left": "Not current",
    "raw": "Current",
    "current": "Current, all feeds",
    "merged": "One and the same",
    "left_out": "Not counted",
    "marts": "In the figures' tables",
    "published": "Published",
}
REASONS = {
    "came_again": "came again unchanged",
    "newer_version": "replaced by a newer version",
    "deleted_at_source": "deleted by its source",
    "superseded": "no longer part of its record",
    "part_of_a_row": "several messages say one row",
    "waits_for_another_part": "waits for another message",
    "told_by_several_feeds": "several feeds report it",
    "not_posted": "charge void or not posted",
    "told_by_another_feed": "another feed's claims count",
    "billed_by_charges": "the charges carry the billing",
    "billed_by_another_feed": "another feed bills the same service",
    "of_no_claim": "no claim it belongs to",
    "of_a_void_claim": "claim void",
    "of_another_submission": "another submission of the claim counts",
    "of_no_claim_payment": "no answer it belongs to",
    "told_by_a_remittance_too": "a remittance says the same",
    "of_nothing": "an amount of 0",
    "numbered_otherwise": "the visit under another number",
    "released": "released from quarantine since",
}


def section(context: PageContext, health: Health, alerts: Sequence[dict[str, Any]]) -> None:
    """The bridge in two tables, rows and money; all its steps by feed and reason behind a fold."""
    lines = bridge(health.reconciliation, health.reconciliation_checks)
    if lines.is_empty():
        return
    measures, is_open = summary(health.reconciliation_checks)
    blocks.section(_title(measures, is_open), _note(measures, lines.height, alerts))
    for unit, title in (("count", "Rows"), ("usd", "Money")):
        chosen = lines.filter((pl.col("measure") == ROWS) == (unit == "count"))
        context.html(_bridge(chosen, unit, title), key=f"cm_bridge_{unit}")
    table = _details(health.reconciliation)
    context.html(markup.folded("Show every step by feed and reason", table), key="cm_bridge_steps")


def tile(health: Health) -> tuple[str, str, str]:
    """Name, value and note for the row of tiles."""
    measures, is_open = summary(health.reconciliation_checks)
    if not measures:
        return ("Reconciled", fmt.DASH, "not compared in this version")
    note = f"{fmt.plural(is_open, 'measure')} open" if is_open else "measures of rows and money agree"
    return ("Reconciled", f"{measures - is_open} of {measures}", note)


def _title(measures: int, is_open: int) -> str:
    if is_open:
        return f"Reconciliation: {is_open} of {fmt.plural(measures, 'measure')} do not agree"
    return f"Reconciliation: all {fmt.plural(measures, 'measure')} of rows and money agree"


def _note(measures: int, shown: int, alerts: Sequence[dict[str, Any]]) -> str:
    note = "Counted again at every station from source to published file; what leaves on the way has a reason"
    if measures > shown:
        note += (
            f". {shown} measures reach the pages and are shown; {measures - shown} more agree up to the current rows"
        )
    silent = sorted({alert["feed"] for alert in alerts})
    if silent:
        # What never came is missing on both sides: agreement says nothing of it.
        names = ", ".join(silent)
        note += f". What {names} should have sent and did not is in none of these numbers"
    return note


def _bridge(lines: pl.DataFrame, unit: str, title: str) -> Markup:
    order = list(MEASURES)
    columns = [
        markup.Column(title),
        markup.Column("Read", unit),
        markup.Column("In quarantine", unit),
        markup.Column("Replaced or deleted", unit),
        markup.Column("Same by several feeds", unit),
        markup.Column("Not counted", unit),
        markup.Column("In the tables", unit),
        markup.Column("Published", unit),
        markup.Column("Unexplained", unit),
    ]
    named = [
        (MEASURES.get(key, f"{words(key[0])}, {key[1].replace('_', ' ')}"), key, row)
        for row in lines.iter_rows(named=True)
        for key in [(row["entity"], row["measure"])]
    ]
    named.sort(key=lambda item: (order.index(item[1]) if item[1] in MEASURES else len(order), item[0]))
    off = ("quarantined", "left", "merged", "left_out")
    rows = [
        markup.Row(
            (
                name,
                row["read"],
                *(-row[step] or None for step in off),
                row["marts"],
                row["published"],
                row["difference"],
            )
        )
        for name, _, row in named
    ]
    return markup.table(columns, rows, caption=f"Reconciliation, {title.lower()}")


def _details(steps: pl.DataFrame) -> Markup:
    columns = [
        markup.Column("What"),
        markup.Column("Feed"),
        markup.Column("Step"),
        markup.Column("Because"),
        markup.Column("Rows", "count"),
        markup.Column("Amount", "usd"),
    ]
    order = list(STEPS)
    shown = sorted(
        steps.iter_rows(named=True),
        key=lambda row: (
            row["entity"],
            row["measure"] != ROWS,
            row["measure"],
            order.index(row["step"]),
            row["feed"],
            row["reason"],
        ),
    )
    rows = [
        markup.Row(
            (
                words(row["entity"])
                if row["measure"] == ROWS
                else f"{words(row['entity'])}: {row['measure'].replace('_', ' ')}",
                row["feed"] or "all",
                STEPS[row["step"]],
                "" if row["step"] == "stated" else REASONS.get(row["reason"], row["reason"].replace("_", " ")),
                row["total"] if row["measure"] == ROWS else None,
                row["total"] if row["measure"] != ROWS else None,
            )
        )
        for row in shown
    ]
    return markup.table(columns, rows, caption="Reconciliation, every step")
