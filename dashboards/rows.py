"""The rows behind a figure: paged, with a total that equals the figure, columns by what the person may see."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from dashboards import figures, markup, widgets
from dashboards import format as fmt
from dashboards.data import ROWS_A_PAGE
from dashboards.shell import PageContext
from foundation.errors import AccessError
from serving.model import Drill, MetricDefinition

HIDDEN_COLUMNS = frozenset({"tenant_id"})
NO_ROWS = "This figure has no rows of its own for this choice. Choose all payers, or open the rows of another figure."


def draw(context: PageContext) -> None:
    """Draws the rows of the metric that the URL names; nothing where it names none."""
    source, view = context.source, context.view
    metric = source.metrics.get(view.rows or "")
    if metric is None:
        return
    where = figures.filters(view, metric)
    if where is None or not metric.can_drill:
        context.html(_block(metric, "", markup.state("No rows", NO_ROWS)), "cm_rows")
        return
    try:
        drill = source.drill(metric.name, where, view.period.start, view.period.end, view.page)
    except AccessError as error:
        context.html(_block(metric, "", markup.state("Not available to you", str(error))), "cm_rows")
        return
    table = markup.table(*columns_and_rows(drill.frame), caption="Rows", empty="No rows in this period.")
    context.html(_block(metric, _note(metric, drill), table + pager(view.page, drill.total_rows)), "cm_rows")


def _block(metric: MetricDefinition, note: str, content: str) -> str:
    title = f"Rows behind {metric.label[:1].lower()}{metric.label[1:]}"
    close = f'<button type="button" class="cm-rows" data-do="{markup.esc(widgets.move(rows=None))}">Close</button>'
    return f'<div class="cm-rows-head">{markup.section(title, note)}{close}</div>{content}'


def _note(metric: MetricDefinition, drill: Drill) -> str:
    """How many rows, and the figure worked out from them alone."""
    value = drill.total_value if isinstance(drill.total_value, Decimal | float | int) else None
    return f"{fmt.plural(drill.total_rows, 'row')}; {metric.label.lower()} {fmt.exact(value, metric.unit)}"


def columns_and_rows(frame: pl.DataFrame) -> tuple[list[markup.Column], list[markup.Row]]:
    """A frame of rows as a table: names in words, dates and money as everywhere else."""
    names = [name for name in frame.columns if name not in HIDDEN_COLUMNS]
    titles = [markup.Column(name.replace("_", " ").capitalize(), _unit_of(name, frame.schema[name])) for name in names]
    body = [markup.Row(tuple(_plain(row[name]) for name in names)) for row in frame.iter_rows(named=True)]
    return titles, body


def _unit_of(name: str, kind: pl.DataType) -> str:
    if not kind.is_numeric():
        return "text"
    if name.endswith(("_amount", "_balance")):
        return "usd"
    return next((unit for unit in ("minutes", "days", "hours") if name.endswith(f"_{unit}")), "count")


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return fmt.moment(value)
    return fmt.day(value) if isinstance(value, date) else value


def pager(page: int, total: int) -> str:
    """Previous and next, with the place between; nothing where one page holds all."""
    pages = -(-total // ROWS_A_PAGE)
    if pages <= 1:
        return ""

    def button(text: str, to: int, usable: bool) -> str:
        disabled = "" if usable else " disabled"
        action = markup.esc(widgets.move(page=to))
        return f'<button type="button" class="cm-rows" data-do="{action}"{disabled}>{text}</button>'

    return (
        f'<div class="cm-pager">{button("Previous", page - 1, page > 1)}<span>Page {page:,} of {pages:,}</span>'
        f"{button('Next', page + 1, page < pages)}</div>"
    )
