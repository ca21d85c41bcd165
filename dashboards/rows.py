"""The rows behind a figure: paged, with a total that equals the figure, columns by what the person may see."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import polars as pl
import streamlit as st
from markupsafe import Markup

from dashboards import figures, markup, theme, widgets
from dashboards import format as fmt
from dashboards.data import ROWS_A_PAGE, Source
from dashboards.filters import missing
from dashboards.shell import PageContext
from dashboards.view import ALL_ROWS, COUNTED_ROWS, View
from foundation.errors import ClinicmartError
from serving.model import Drill, Listing, MetricDefinition
from serving.people.rights import TRACED_LEVELS
from serving.rows.chosen_columns import LEFT_OUT, ORIGIN, chosen_columns

SEARCH, LONGEST_SEARCH = "cm_rows_search", 80
FORMATS = {"csv": "CSV", "xlsx": "Excel (XLSX)", "parquet": "Parquet"}
ORIGIN_TITLES = dict(zip(ORIGIN, ("Feed", "Read from"), strict=True))
TOKEN_SHOWN = 10
DIMENSIONS = {
    "service_unit_id": "service_unit",
    "provider_id": "provider",
    "payer_id": "payer",
    "visit_type_id": "visit_type",
}
WORDS = frozenset(
    {"outcome", "status", "denial_category", "encounter_class", "lead_time_band", "claim_type", "claim_origin"}
)
NO_ROWS = "This figure is computed from totals, for example of beds or of hours on duty. It has no rows to show."


def draw(context: PageContext, page_view: View, view: View, metric: MetricDefinition) -> None:
    """Draws the rows behind a figure in the drawer, with search, sort, choice of columns and files to take away. `view` is what the
    figure is about, `page_view` says which page of rows is shown and how it is sorted."""
    source = context.source
    where = figures.filters(view, metric)
    if not source.sees_rows:
        role = source.principal.role.replace("_", " ")
        text = f"Your role ({role}) shows figures and not the rows behind them. An administrator of your organization can change roles."
        _put(context, _titled("", markup.state("Not available to you", text)))
        return
    if not metric.can_drill or where is None:
        text = NO_ROWS if where is not None else f"{missing(view, metric)}."
        _put(context, _titled("", markup.state("No rows", text)))
        return
    listing = _listing(source, page_view)
    try:
        drill = _drill(source, page_view, view, metric, where, listing)
    except ClinicmartError as error:
        _put(context, _titled("", markup.state("Not available to you", fmt.sentence(str(error)))))
        return
    _put(context, _titled(_note(source, view, metric, drill), _toggle(page_view, metric, drill)))
    columns = _tools(context, page_view, view, metric, where, listing, drill)
    table = markup.table(
        *columns_and_rows(source, drill.frame, columns, sort=page_view.sort),
        caption="Rows",
        empty="No row holds that text." if listing.search else "No rows in this period.",
    )
    rows_found = markup.EMPTY
    if listing.search:
        rows_found = Markup('<p class="cm-note">{} found</p>').format(fmt.plural(drill.listed_rows, "row"))
    block = Markup('<div class="cm-rows-block">{}{}{}{}</div>').format(
        rows_found, table, pager(page_view, drill.listed_rows), _message(source, drill)
    )
    _put(context, block, "cm_rows_table")


def _message(source: Source, drill: Drill) -> Markup:
    """How to open the message behind a row, for people with that right. The process that serves pages cannot open it: it reads no
    feeds."""
    if not drill.source_key or source.reader.scope.identity_level not in TRACED_LEVELS:
        return markup.EMPTY
    key = _title(drill.source_key).lower()
    return Markup(
        '<p class="cm-note">The masked message behind a row, on the server: <code>clinicmart source {} ID</code>, with its {}.</p>'
    ).format(drill.table, key)


def _put(context: PageContext, text: Markup, key: str = "cm_rows") -> None:
    widgets.html(Markup('<div class="cm-passport">{}</div>').format(text), key=key, as_of=context.today)


def _titled(note: str, content: Markup) -> Markup:
    return Markup(
        '<section class="cm-pass-part cm-rows-block"><h3>Rows</h3><p class="cm-rows-note">{}</p>{}</section>'
    ).format(note, content)


def _drill(
    source: Source, page_view: View, view: View, metric: MetricDefinition, where: Mapping[str, Any], listing: Listing
) -> Drill:
    return source.drill(
        metric.name,
        where,
        view.period.start,
        view.period.end,
        page_view.page,
        counted_only=page_view.counted_only,
        listing=listing,
    )


def _listing(source: Source, page_view: View) -> Listing:
    """Search and order of the rows, from the search field and the address. The search text is not in the address: it may name a
    person."""
    text = str(st.session_state.get(SEARCH) or "").strip()[:LONGEST_SEARCH]
    by_name = {column: _names_of(source, column) for column in DIMENSIONS}
    ids = {
        column: [key for key, name in names.items() if text.lower() in name.lower()]
        for column, names in by_name.items()
    }
    sort = page_view.sort or ""
    names = by_name.get(sort.removeprefix("-"), {})
    return Listing(
        search=text,
        search_ids=ids if text else {},
        order_by=sort,
        order_ids=sorted(names, key=lambda key: names[key]),
    )


def _tools(
    context: PageContext,
    page_view: View,
    view: View,
    metric: MetricDefinition,
    where: Mapping[str, Any],
    listing: Listing,
    drill: Drill,
) -> list[str]:
    """Search, choice of columns and files of the rows; the columns that are shown."""
    source, usual = context.source, chosen_columns(drill.frame)
    every = [*usual, *(n for n in drill.frame.columns if n not in usual and not LEFT_OUT.fullmatch(n))]

    def searched() -> None:
        widgets.go(widgets.current_view(context.today).moved())

    with st.container(horizontal=True, vertical_alignment="bottom", key="cm_rows_tools", gap="small"):
        st.text_input("Search in these rows", key=SEARCH, max_chars=LONGEST_SEARCH, on_change=searched, width="stretch")
        with st.popover("Columns", key="cm_rows_columns"):
            columns = st.multiselect(
                "Columns", every, default=usual, format_func=_title, key=f"cm_columns_{drill.table or metric.name}"
            )
        with st.popover("Export", key="cm_rows_export"):
            st.caption(f"{fmt.plural(drill.listed_rows, 'row')} with the columns chosen. The export is recorded.")
            for file_format, name in FORMATS.items():
                st.download_button(
                    name,
                    source.rows_file(
                        metric.name,
                        where,
                        view.period.start,
                        view.period.end,
                        file_format=file_format,
                        columns=columns or usual,
                        counted_only=page_view.counted_only,
                        listing=listing,
                    ),
                    file_name=f"{metric.name}_{view.period.start}_{view.period.end}.{file_format}",
                    key=f"cm_export_{file_format}",
                    on_click="ignore",
                )
    return columns or usual


def _note(source: Source, view: View, metric: MetricDefinition, drill: Drill) -> str:
    """The figure as numerator and denominator; then the number of listed rows."""
    rows = fmt.plural(drill.total_rows, "row")
    if drill.counted_rows is not None and drill.base_rows is not None:
        above = f"{drill.counted_rows:,} {fmt.lower_first(metric.numerator)}"
        below = f"{drill.base_rows:,} {fmt.lower_first(metric.denominator)}"
        return f"{above}, out of {below}: {fmt.exact(_number(drill.total_value), metric.unit)}"
    value = _number(drill.total_value)
    if value is None:
        return rows
    if drill.figure_of in ("", metric.name):
        above = f"{fmt.lower_first(metric.label)} {fmt.exact(value, metric.unit)}"
        return (
            f"{above}; from {drill.total_rows:,} {fmt.lower_first(metric.denominator)}"
            if metric.denominator
            else f"{rows}; {above}"
        )
    return _ratio_note(source, view, metric, drill, value, rows)


def _ratio_note(
    source: Source, view: View, metric: MetricDefinition, drill: Drill, value: fmt.Number, rows: str
) -> str:
    """Of a ratio the rows are the numerator. The denominator follows from it and from the figure, which is exact."""
    numerator = source.metrics.get(drill.figure_of)
    unit = numerator.unit if numerator else "usd" if isinstance(value, Decimal) else "count"
    loaded = figures.values(source, view, [metric.name])[metric.name][0]
    above = f"{metric.numerator or metric.label}: {fmt.exact(value, unit)} ({rows})"
    if not loaded or not metric.denominator:
        return above
    below = fmt.decimal(value) / fmt.decimal(loaded)
    shown = fmt.exact(fmt.rounded(below, 0) if unit == "count" else below, unit)
    return f"{above}. {metric.denominator}: {shown}. {metric.label}: {fmt.exact(loaded, metric.unit)}"


def _number(value: object) -> fmt.Number | None:
    return value if isinstance(value, Decimal | float | int) else None


def _toggle(view: View, metric: MetricDefinition, drill: Drill) -> Markup:
    """Of a share of rows: a button to the rows below the line as well, or back to those above it."""
    if drill.counted_rows is None or drill.base_rows is None:
        return markup.EMPTY
    if view.counted_only:
        text, which = f"Show all {drill.base_rows:,} {fmt.lower_first(metric.denominator)}", ALL_ROWS
    else:
        text, which = f"Show only the {drill.counted_rows:,} {fmt.lower_first(metric.numerator)}", COUNTED_ROWS
    button = markup.button(text, widgets.move(which=which), "cm-rows")
    return Markup('<p class="cm-note">{}</p>').format(button)


def columns_and_rows(
    source: Source, frame: pl.DataFrame, names: Sequence[str], *, sort: str | None = None
) -> tuple[list[markup.Column], list[markup.Row]]:
    """Columns of a frame of rows as a table: names in place of ids, money and dates as everywhere. `sort` is the column that they are
    sorted by; titles lead to sorting by them."""
    lookups = {name: _names_of(source, name) for name in names}
    titles = [markup.Column(_title(name), _unit_of(name, frame.schema[name]), *_sorting(name, sort)) for name in names]
    body = [
        markup.Row(tuple(_plain(name, row[name], lookups[name], source.time_zone) for name in names))
        for row in frame.iter_rows(named=True)
    ]
    return titles, body


def _sorting(name: str, sort: str | None) -> tuple[str, str]:
    """(action, how it is sorted now): first ascending, then descending, then as usual."""
    following = {name: f"-{name}", f"-{name}": None}.get(sort or "", name)
    now = {name: "ascending", f"-{name}": "descending"}.get(sort or "", "")
    return widgets.move(sort=following), now


def _title(name: str) -> str:
    if name in ORIGIN_TITLES:
        return ORIGIN_TITLES[name]
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
        # The beginning of a token of 32 digits is enough to distinguish people.
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
