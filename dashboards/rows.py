"""The rows behind a figure: paged, with a total that equals the figure, columns by what the person may see."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
from markupsafe import Markup

from dashboards import figures, markup, theme, widgets
from dashboards import format as fmt
from dashboards.data import ROWS_A_PAGE, Source
from dashboards.shell import PageContext
from dashboards.view import ALL_ROWS, COUNTED_ROWS, View
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
NOT_SPLIT = "These rows are not split by {what}. Choose {all}, or open the rows of another figure."
NO_ROWS = "This figure is computed from totals, for example of beds or of hours on duty. It has no rows to show."


def draw(context: PageContext) -> None:
    """Draws the rows of the metric that the URL names; nothing where it names none."""
    source, view = context.source, context.view
    metric = source.metrics.get(view.rows or "")
    if metric is None:
        return
    where = figures.filters(view, metric)
    if not source.sees_rows:
        role = source.principal.role.replace("_", " ")
        text = f"Your role ({role}) shows figures and not the rows behind them. An administrator of your organization can change roles."
        context.html(_block(metric, "", markup.state("Not available to you", text)), "cm_rows")
        return
    if not metric.can_drill or where is None:
        context.html(
            _block(metric, "", markup.state("No rows", NO_ROWS if where is not None else _not_split(context, metric))),
            "cm_rows",
        )
        return
    try:
        drill = source.drill(
            metric.name, where, view.period.start, view.period.end, view.page, counted_only=view.counted_only
        )
    except AccessError as error:
        context.html(_block(metric, "", markup.state("Not available to you", fmt.sentence(str(error)))), "cm_rows")
        return
    table = markup.table(*columns_and_rows(source, drill.frame), caption="Rows", empty="No rows in this period.")
    note = _note(context, metric, drill)
    content = _toggle(context, metric, drill) + table + pager(view, drill.total_rows)
    context.html(_block(metric, note, content), "cm_rows")


def _not_split(context: PageContext, metric: MetricDefinition) -> str:
    """Which chosen filter the rows do not have, and what to do."""
    view = context.view
    choices = (
        ("payer class", "all payers", view.payer, "payer_class"),
        ("provider", "all providers", view.provider, "provider"),
    )
    for what, every, chosen, dimension in choices:
        if chosen and dimension not in metric.dimensions:
            return NOT_SPLIT.format(what=what, all=every)
    return NOT_SPLIT.format(what="unit", all="a wider place")


def _block(metric: MetricDefinition, note: str, content: Markup) -> Markup:
    title = f"Rows behind {_lower(metric.label)}"
    close = markup.button("Close", widgets.move(rows=None), "cm-rows")
    return Markup('<div class="cm-rows-head">{}{}</div>{}').format(markup.section(title, note), close, content)


def _lower(text: str) -> str:
    return f"{text[:1].lower()}{text[1:]}"


def _note(context: PageContext, metric: MetricDefinition, drill: Drill) -> str:
    """The figure as its two parts: what is above the line, and out of what; then how many rows are listed."""
    rows = fmt.plural(drill.total_rows, "row")
    if drill.counted_rows is not None and drill.base_rows is not None:
        parts = f"{drill.counted_rows:,} {_lower(metric.numerator)}, out of {drill.base_rows:,} {_lower(metric.denominator)}"
        return f"{parts}: {fmt.exact(_number(drill.total_value), metric.unit)}"
    value = _number(drill.total_value)
    if value is None:
        return rows
    if drill.figure_of in ("", metric.name):
        above = f"{_lower(metric.label)} {fmt.exact(value, metric.unit)}"
        return (
            f"{above}; from {drill.total_rows:,} {_lower(metric.denominator)}"
            if metric.denominator
            else f"{rows}; {above}"
        )
    return _ratio_note(context, metric, drill, value, rows)


def _ratio_note(context: PageContext, metric: MetricDefinition, drill: Drill, value: fmt.Number, rows: str) -> str:
    """Of a ratio the rows are the numerator. The denominator follows from it and from the figure, which is exact."""
    numerator = context.source.metrics.get(drill.figure_of)
    unit = numerator.unit if numerator else "usd" if isinstance(value, Decimal) else "count"
    loaded = figures.load(context.source, context.view, [metric.name], trend=False)[metric.name].value
    above = f"{metric.numerator or metric.label}: {fmt.exact(value, unit)} ({rows})"
    if not loaded or not metric.denominator:
        return above
    below = fmt.decimal(value) / fmt.decimal(loaded)
    shown = fmt.exact(fmt.rounded(below, 0) if unit == "count" else below, unit)
    return f"{above}. {metric.denominator}: {shown}. {metric.label}: {fmt.exact(loaded, metric.unit)}"


def _number(value: object) -> fmt.Number | None:
    return value if isinstance(value, Decimal | float | int) else None


def _toggle(context: PageContext, metric: MetricDefinition, drill: Drill) -> Markup:
    """Of a share of rows: a button to the rows below the line as well, or back to those above it."""
    if drill.counted_rows is None or drill.base_rows is None:
        return markup.EMPTY
    if context.view.counted_only:
        text, which = f"Show all {drill.base_rows:,} {_lower(metric.denominator)}", ALL_ROWS
    else:
        text, which = f"Show only the {drill.counted_rows:,} {_lower(metric.numerator)}", COUNTED_ROWS
    button = markup.button(text, widgets.move(rows=metric.name, which=which), "cm-rows")
    return Markup('<p class="cm-note">{}</p>').format(button)


def columns_and_rows(source: Source, frame: pl.DataFrame) -> tuple[list[markup.Column], list[markup.Row]]:
    """A frame of rows as a table: what a reader looks for first, names in place of ids, money and dates as everywhere."""
    names = _chosen(frame)
    lookups = {name: _names_of(source, name) for name in names}
    titles = [markup.Column(_title(name), _unit_of(name, frame.schema[name])) for name in names]
    body = [
        markup.Row(tuple(_plain(name, row[name], lookups[name], source.time_zone) for name in names))
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


def _plain(name: str, value: Any, names: Mapping[str, str], time_zone: str) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return fmt.moment(value, time_zone)
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


def pager(view: View, total: int) -> Markup:
    """Previous and next, with the place between; nothing where one page holds all."""
    page = view.page
    pages = -(-total // ROWS_A_PAGE)
    if pages <= 1:
        return markup.EMPTY

    def button(text: str, to: int, is_usable: bool) -> Markup:
        return markup.button(text, widgets.move(page=to), "cm-rows", is_usable=is_usable)

    return Markup('<div class="cm-pager">{}<span>Page {:,} of {:,}</span>{}</div>').format(
        button("Previous", page - 1, page > 1), page, pages, button("Next", page + 1, page < pages)
    )
