"""Closed months: which months are closed, what they were closed with, what they are now, and why."""

from datetime import UTC
from typing import Any

from dashboards import blocks, closed_notice, markup, shell
from dashboards import format as fmt
from dashboards.shell import PageContext
from serving.closed_months.view import Change
from serving.versions.closes import Close

MOST_MONTHS = 12
MOST_FIGURES = 40
MOST_RECORDS = 25
KINDS = {
    "late": "Came later",
    "related": "Came later, for the same place",
    "deleted": "Deleted at the source",
    "merged": "Patients merged or un-merged",
    "reference": "Payer, provider or unit changed",
    "definition": "Definition changed",
    "unexplained": "Not explained by what arrived",
    "more": "Further records",
}


def draw(context: PageContext) -> None:
    """Draws the closed months, and the later changes of their figures."""
    months = context.source.closed
    changed = {close: context.source.closed_changes(close, None) for close in months.standing}
    context.html(
        markup.heading(_finding(changed), ["Figures as closed and as they are now"], shell.whose(context.source)),
        key="cm_head",
    )
    if not months.closes:
        text = "An administrator closes a month with clinicmart close. From then on every change of its figures is shown here."
        blocks.empty(context, "No month is closed", text, "cm_closed_none")
        return
    for close in sorted(changed, key=lambda item: item.month, reverse=True)[:MOST_MONTHS]:
        if changed[close]:
            _month(context, close, changed[close])
    _closes(context)


def _finding(changed: dict[Close, list[Change]]) -> str:
    names = [f"{close.month:%B %Y}" for close, changes in changed.items() if changes]
    if not changed:
        return "No month is closed"
    if not names:
        return "Closed months are as they were closed"
    return f"{names[-1]} changed after it was closed" if len(names) == 1 else f"{len(names)} closed months changed"


def _on(context: PageContext, moment: Any) -> str:
    return fmt.day(closed_notice.local_day(moment, context.source.reader.tenant.time_zone)) if moment else ""


def _month(context: PageContext, close: Close, changes: list[Change]) -> None:
    """The later changes of the figures of one month, and the records behind them."""
    on = _on(context, close.closed_at)
    blocks.section(
        f"{close.month:%B %Y}", f"Closed on {on} by {close.closed_by}; {fmt.plural(len(changes), 'figure')} changed"
    )
    columns = [
        markup.Column("Figure"),
        markup.Column("As closed"),
        markup.Column("Now"),
        markup.Column("Why"),
    ]
    shown = sorted(changes, key=lambda change: change.label)[:MOST_FIGURES]
    rows = [
        markup.Row(
            (
                change.label,
                fmt.exact(change.closed, change.unit),
                fmt.exact(change.now, change.unit),
                closed_notice.why(change.causes),
            )
        )
        for change in shown
    ]
    context.html(
        markup.table(columns, rows, caption=f"Changed figures of {close.month:%B %Y}"), key=f"cm_closed_{close.name}"
    )
    _records(context, close, changes)


def _records(context: PageContext, close: Close, changes: list[Change]) -> None:
    """The late records: feed, file, record and day, each once."""
    records: dict[tuple[Any, ...], tuple[str, ...]] = {}
    for cause in (cause for change in changes for cause in change.causes if cause["feed"]):
        record = f"{(cause['record_kind'] or '').replace('_', ' ').capitalize()} {cause['record_id'] or ''}".strip()
        cells = (KINDS[cause["kind"]], cause["feed"], cause["file"] or "", record, _on_utc(context, cause["landed_at"]))
        records.setdefault(cells, cells)
    if not records:
        return
    columns = [markup.Column(name) for name in ("What happened", "Feed", "File", "Record", "Landed")]
    rows = [markup.Row(cells) for cells in sorted(records.values())[:MOST_RECORDS]]
    more = f", the first {MOST_RECORDS}" if len(records) > MOST_RECORDS else ""
    table = markup.table(columns, rows, caption="What arrived after the close")
    context.html(
        markup.folded(f"What arrived after the close: {fmt.plural(len(records), 'record')}{more}", table),
        key=f"cm_closed_records_{close.name}",
    )


def _on_utc(context: PageContext, moment: Any) -> str:
    """The tenant's day of a moment that is kept in UTC without saying so."""
    return _on(context, moment.replace(tzinfo=UTC)) if moment else ""


def _closes(context: PageContext) -> None:
    """Every close there was, reopened ones too."""
    blocks.section("All closes", "A month that was opened again keeps its earlier closes")
    names = ("Month", "Close", "Closed on", "By", "Closed although", "In doubt", "Opened again", "Because")
    columns = [markup.Column(name, "count" if name == "Close" else "text") for name in names]
    rows = [
        markup.Row(
            (
                f"{close.month:%B %Y}",
                close.number,
                _on(context, close.closed_at),
                close.closed_by,
                "; ".join(close.missing),
                "; ".join(close.doubts),
                _on(context, close.reopened_at),
                close.reopened_because,
            )
        )
        for close in reversed(context.source.closed.closes)
    ]
    context.html(markup.table(columns, rows, caption="All closes"), key="cm_closes")
