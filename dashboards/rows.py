"""The rows behind a figure: paged, with a total that equals the figure, columns by what the person may see."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from dashboards import figures, markup, theme, widgets
from dashboards import format as fmt
from dashboards.data import ROWS_A_PAGE, Source
from dashboards.shell import PageContext
from foundation.errors import AccessError, ClinicmartError
from serving.model import Drill, MetricDefinition

MOST_COLUMNS = 11
# Where a row was read from stands last: the feed and the place in what it brought, which `clinicmart source` opens.
ORIGIN = {"source_system": "Feed", "source_position": "Read from"}
TOKEN_SHOWN = 10
LEFT_OUT = re.compile(r"tenant_id|batch_id|source_.*|is_.*|.*_key|.*_position|local_.*|updated_at|time_zone")
# What a reader of rows looks for, in this order; the row's own number stands before all of it.
ORDER = (
    r"(appointment|service|encounter|bed|claim|snapshot|paid|posted|slot|month_end)_date",
    r".*_date",
    r"service_unit_id",
    r"provider_id",
    r"payer_id",
    r"payer_class",
    r"visit_type_id",
    r"outcome|status|denial_category|.*_status",
    r"(billed|allowed|payer_paid|patient_paid|adjusted|denied)_amount|open_balance",
    r".*_(amount|balance|minutes|days)",
    r"patient_id",
)
DIMENSIONS = {
    "service_unit_id": "service_unit",
    "provider_id": "provider",
    "payer_id": "payer",
    "visit_type_id": "visit_type",
}
WORDS = frozenset(
    {"outcome", "status", "denial_category", "encounter_class", "lead_time_band", "claim_type", "claim_origin"}
)
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
        context.html(_block(metric, "", markup.state("Not available to you", fmt.sentence(str(error)))), "cm_rows")
        return
    table = markup.table(*columns_and_rows(source, drill.frame), caption="Rows", empty="No rows in this period.")
    context.html(_block(metric, _note(metric, drill), table + pager(view.page, drill.total_rows)), "cm_rows")


def _block(metric: MetricDefinition, note: str, content: str) -> str:
    title = f"Rows behind {metric.label[:1].lower()}{metric.label[1:]}"
    close = f'<button type="button" class="cm-rows" data-do="{markup.esc(widgets.move(rows=None))}">Close</button>'
    return f'<div class="cm-rows-head">{markup.section(title, note)}{close}</div>{content}'


def _note(metric: MetricDefinition, drill: Drill) -> str:
    """How many rows, and the figure worked out from them alone; of a rate the rows are what it counts."""
    rows = fmt.plural(drill.total_rows, "row")
    if metric.unit in ("percent", "ratio") or not isinstance(drill.total_value, Decimal | float | int):
        return f"{rows}: {metric.numerator[:1].lower()}{metric.numerator[1:]}" if metric.numerator else rows
    return f"{rows}; {metric.label.lower()} {fmt.exact(drill.total_value, metric.unit)}"


def columns_and_rows(source: Source, frame: pl.DataFrame) -> tuple[list[markup.Column], list[markup.Row]]:
    """A frame of rows as a table: what a reader looks for first, names in place of ids, money and dates as everywhere."""
    names = _chosen(frame)
    lookups = {name: _names_of(source, name) for name in names}
    titles = [markup.Column(_title(name), _unit_of(name, frame.schema[name])) for name in names]
    body = [
        markup.Row(tuple(_plain(name, row[name], lookups[name]) for name in names))
        for row in frame.iter_rows(named=True)
    ]
    return titles, body


def _chosen(frame: pl.DataFrame) -> list[str]:
    """At most so many columns, in the order of `ORDER`; bookkeeping, keys and columns without any value are left out."""
    first = frame.columns[1] if frame.columns and frame.columns[0] == "tenant_id" and frame.width > 1 else ""
    first = first or (frame.columns[0] if frame.columns else "")

    def rank(name: str) -> tuple[int, int]:
        found = next((index for index, pattern in enumerate(ORDER) if re.fullmatch(pattern, name)), len(ORDER))
        return (-1 if name == first else found, frame.columns.index(name))

    wanted = [
        name
        for name in frame.columns
        if not LEFT_OUT.fullmatch(name) and (frame.height == 0 or frame[name].null_count() < frame.height)
    ]
    origin = [name for name in ORIGIN if name in frame.columns and frame[name].null_count() < frame.height]
    return [*sorted(wanted, key=rank)[:MOST_COLUMNS], *(origin if len(origin) == len(ORIGIN) else [])]


def _title(name: str) -> str:
    if name in ORIGIN:
        return ORIGIN[name]
    text = name.removesuffix("_id") if name in DIMENSIONS or name == "patient_id" else name
    return text.replace("_", " ").capitalize().replace(" id", " number")


def _names_of(source: Source, column: str) -> Mapping[str, str]:
    """Names by id for a column of ids; empty for any other, and where the names are not there to see."""
    if column not in DIMENSIONS:
        return {}
    try:
        return source.names(DIMENSIONS[column])
    except ClinicmartError:
        return {}


def _unit_of(name: str, kind: pl.DataType) -> str:
    if not kind.is_numeric():
        return "text"
    if name.endswith(("_amount", "_balance")):
        return "usd"
    return next((unit for unit in ("minutes", "days", "hours") if name.endswith(f"_{unit}")), "count")


def _plain(name: str, value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return fmt.moment(value)
    if isinstance(value, date):
        return fmt.day(value)
    if not isinstance(value, str):
        return value
    if name == "payer_class":
        return theme.payer_label(value)
    if name == "patient_id":
        # A token of 32 digits tells no more than its beginning, which is enough to tell people apart.
        return value[:TOKEN_SHOWN]
    return names.get(value) or (value.replace("_", " ") if name in WORDS else value)


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
