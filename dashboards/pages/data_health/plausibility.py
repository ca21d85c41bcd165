"""Plausibility on Data health: what the feeds say that cannot be, with its rows and money and the figures it touches."""

from collections.abc import Sequence

import polars as pl
from markupsafe import Markup

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.pages.data_health.matches import words
from dashboards.shell import PageContext
from serving.model import Health
from serving.plausibility import Finding

MOST_LABELS = 4


def tile(findings: Sequence[Finding]) -> tuple[str, str, str]:
    """Name, value and note for the row of tiles."""
    if not findings:
        return ("Plausible", "Yes", "feeds agree with each other")
    metrics = {name for finding in findings for name in finding.metrics}
    return ("Plausible", fmt.plural(len(findings), "doubt"), f"{fmt.plural(len(metrics), 'figure')} touched")


def section(context: PageContext, health: Health) -> None:
    """Every finding in a sentence with what to do, and the rows behind them behind a fold; one line where there is none."""
    findings = context.source.findings
    if not findings:
        blocks.section(
            "Plausibility: the feeds agree with each other", "No check of the feeds against each other found anything"
        )
        return
    blocks.section(
        f"Plausibility: {fmt.plural(len(findings), 'finding')} across feeds",
        "Figures that rest on such rows carry a mark. They stay as they are until the cause is corrected",
    )
    labels = {name: metric.label for name, metric in context.source.metrics.items()}
    context.html(markup.alerts(_item(finding, labels) for finding in findings), key="cm_plausibility")
    if health.plausibility_rows.height:
        table = _rows(health.plausibility_rows)
        context.html(markup.folded("Show the rows behind them", table), key="cm_plausibility_rows")


def _item(finding: Finding, labels: dict[str, str]) -> tuple[str, str]:
    """The headline of a finding; its meaning and remedy."""
    touched = [labels[name] for name in finding.metrics if name in labels]
    more = f" and {len(touched) - MOST_LABELS} more figures" if len(touched) > MOST_LABELS else ""
    touches = f" Touches {', '.join(touched[:MOST_LABELS])}{more}." if touched else ""
    return finding.headline(), f"{finding.meaning} {finding.remedy}{touches} ({finding.code})"


def _rows(frame: pl.DataFrame) -> Markup:
    columns = [
        markup.Column("Check"),
        markup.Column("Feed"),
        markup.Column("Against feed"),
        markup.Column("Rows of"),
        markup.Column("Where"),
        markup.Column("Day"),
        markup.Column("Amount", "usd"),
    ]
    rows = [
        markup.Row(
            (
                row["code"],
                row["feed"],
                row["other_feed"],
                words(row["entity"]),
                row["source_position"],
                fmt.day(row["found_day"]),
                row["found_amount"],
            )
        )
        for row in frame.sort("code", "feed", "other_feed", "entity", "row_rank").iter_rows(named=True)
    ]
    return markup.table(columns, rows, caption="Rows behind the findings of plausibility")
