"""The block of things that end soon (credentials, authorisations): one row for each place, the largest first."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from dashboards import blocks, figures, filters, markup, widgets
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.data import UNKNOWN
from dashboards.shell import PageContext


@dataclass(frozen=True, kw_only=True)
class Ending:
    """What the block lists. `by` and `metrics` are (name in the registry, title of the column); the first metric counts what ends,
    and `largest` is the metric that orders the rows. `note` ends the line below the title; `none` begins the sentence where
    nothing ends."""

    title: str
    note: str
    by: Mapping[str, str]
    metrics: Mapping[str, str]
    largest: str
    none: str
    most_rows: int
    key: str


def draw(context: PageContext, ending: Ending, first: date, last: date) -> None:
    """Draws what ends from `first` to `last`. Each row leads to its passport and its rows."""
    source, view = context.source, context.view
    counted, *_ = ending.metrics
    days = f"{fmt.day(first)} to {fmt.day(last)}"
    where = figures.filters(view, source.metrics[counted])
    if where is None:
        blocks.section(ending.title, days)
        blocks.empty(context, "Not by this filter", f"{filters.missing(view, source.metrics[counted])}.", ending.key)
        return
    names = list(ending.metrics)
    frame = source.query(names, by=tuple(ending.by), where=where, start=first, end=last)
    rows = [row for row in frame.iter_rows(named=True) if row[counted]]
    rows.sort(key=lambda row: -(row[ending.largest] or 0))
    more = f"; the first {ending.most_rows} of {len(rows):,} are listed" if len(rows) > ending.most_rows else ""
    blocks.section(ending.title, f"{days}{ending.note}{more}")
    if not rows:
        text = source.hidden_note or f"{ending.none} from {days}."
        blocks.empty(context, "Nothing to list", text, ending.key)
        return
    total = source.query(names, where=where, start=first, end=last).row(0, named=True)
    columns = [markup.Column(title) for title in ending.by.values()]
    columns += [markup.Column(title, source.metrics[name].unit) for name, title in ending.metrics.items()]
    period = periods.range_key(first, last)
    every = ("All", *[""] * (len(ending.by) - 1), *_figures(ending, total, {"period": period}))
    table = markup.table(
        columns,
        [markup.Row(_cells(ending, row, period)) for row in rows[: ending.most_rows]],
        caption=ending.title,
        total=markup.Row(every),
    )
    context.html(table, key=ending.key)
    if source.hides_few and any(frame[name].null_count() for name in names):
        blocks.small_print(f"The rows may add up to less than All. {source.hidden_note}")


def _cells(ending: Ending, row: Mapping[str, Any], period: str) -> tuple[Any, ...]:
    place = {"period": period, "place": row["service_unit"]}
    if row.get("provider", UNKNOWN) != UNKNOWN:
        place["provider"] = row["provider"]
    return (*[row[f"{name}_name"] for name in ending.by], *_figures(ending, row, place))


def _figures(ending: Ending, row: Mapping[str, Any], narrowed_by: Mapping[str, str]) -> list[markup.Link]:
    return [markup.Link(row[name], widgets.passport(name, narrowed_by)) for name in ending.metrics]
