"""A built report on the page. The kind of chart follows from the question: by month a line for each figure, by one category ordered bars,
by two a table that is shaded."""

from typing import Any

from dashboards import blocks, breakdowns, chart_tables, charts, figures, markup, widgets
from dashboards import format as fmt
from dashboards import period as periods
from dashboards.figures import Figure
from dashboards.reports.answer import Answer, answer
from dashboards.reports.chosen import words
from dashboards.shell import PageContext
from serving.model import MetricDefinition
from serving.report_definition import CHART, CHILDREN, MONTH, ReportDefinition

MOST_ROWS = 200
MOST_COLUMNS = 16
SHADES = 5


def draw(context: PageContext, definition: ReportDefinition, loaded: dict[str, Figure]) -> None:
    """Draws the tiles of the figures, then the chart or the table."""
    blocks.tiles(context, loaded)
    if definition.by:
        broken_down(context, definition, loaded, "cm_built")


def broken_down(context: PageContext, definition: ReportDefinition, loaded: dict[str, Figure], key: str) -> None:
    """Draws the chart or the table of a report with breakdowns. `key` begins the keys of what is drawn."""
    if definition.shown_as == CHART and definition.by not in ((MONTH,), (CHILDREN,)) and len(definition.by) == 1:
        _bars(context, definition, loaded, key)
        return
    asked = answer(context.source, context.view, definition)
    if not asked.lines:
        title, text = "Nothing to show", "There are no rows for this choice. Choose another period or a wider place."
        blocks.empty(context, title, text, f"{key}_empty")
    elif definition.shown_as == CHART and definition.by == (MONTH,):
        for index, metric in enumerate(asked.metrics):
            _line(context, asked, index, metric, f"{key}_{index}")
    elif definition.shown_as == CHART and len(definition.by) == 1:
        _unit_bars(context, asked, key)
    elif definition.shown_as == CHART and len(asked.members(1)) <= MOST_COLUMNS:
        for index, metric in enumerate(asked.metrics):
            _shaded(context, asked, index, metric, f"{key}_{index}")
    else:
        _table(context, asked, loaded, key)


def _line(context: PageContext, asked: Answer, index: int, metric: MetricDefinition, key: str) -> None:
    period, source = context.view.period, context.source
    values = {line.keys[0]: line.values[index] for line in asked.lines}
    months = periods.months_of(period.start, period.end)
    trend = [(month, values.get(month.isoformat())) for month in months]
    hollow = figures.unsettled_months(source, context.view, metric, months[0], months[-1])
    moving = (
        "; hollow: still settling" if hollow.intersection(month for month, value in trend if value is not None) else ""
    )
    blocks.section(metric.label, f"By month, {period.name}{moving}{blocks.closed_note(context, months)}")
    if all(value is None for _, value in trend):
        blocks.empty(
            context,
            "No value in these months",
            context.source.hidden_note or "Choose another period.",
            key,
        )
        return
    option = charts.line_over_time(
        context.look,
        trend,
        name=metric.label,
        unit=metric.unit,
        # Every month shown is of the period: none is shaded.
        chosen=(periods.add_months(period.end, 1), periods.add_months(period.end, 1)),
        hollow=hollow,
        closed=source.closed_months,
        clickable=True,
    )
    marks = blocks.month_marks(metric.name, months)
    table = chart_tables.by_month(trend, name=metric.label, unit=metric.unit, marks=marks)
    context.chart(
        option,
        key=f"{key}_{blocks.view_key(context.view)}",
        height=280,
        alt=f"{metric.label} by month",
        table=table,
        marks=[marks],
    )


def _bars(context: PageContext, definition: ReportDefinition, loaded: dict[str, Figure], key: str) -> None:
    """One ranking for each figure. At the bar stands what a rate was counted from, and its change."""
    dimension = definition.by[0]
    members = breakdowns.by_dimension(context.source, context.view, definition.metrics, dimension)
    for name in definition.metrics:
        metric = context.source.metrics[name]
        title = f"{metric.label} by {words(dimension)}"
        blocks.ranking(context, members, name, title=title, key=f"{key}_{name}", reference=loaded.get(name))
    _say_more(len(members))


def _say_more(bars: int) -> None:
    """Says that not all bars are drawn, where there are more than MOST_BARS."""
    if bars > blocks.MOST_BARS:
        blocks.small_print(f"The first {blocks.MOST_BARS} are drawn. The table and the files hold all {bars:,}.")


def _unit_bars(context: PageContext, asked: Answer, key: str) -> None:
    """Bars of the units below the place, each figure with its own."""
    for index, metric in enumerate(asked.metrics):
        shown = sorted(
            (line for line in asked.lines if line.values[index] is not None),
            key=lambda line: -fmt.decimal(line.values[index]),
        )[: blocks.MOST_BARS]
        title = f"{metric.label} by {words(asked.by[0])}"
        blocks.section(title, context.view.period.name)
        if not shown:
            blocks.empty(context, "Nothing to compare", f"No {metric.label.lower()} in this period.", f"{key}_{index}")
            continue
        ranks = [charts.Rank(line.names[0], line.values[index]) for line in shown]
        marks = [widgets.passport(metric.name, line.moves) if line.moves else "" for line in shown]
        option = charts.ranked_bars(context.look, ranks, unit=metric.unit, clickable=any(marks))
        table = chart_tables.of_ranks(ranks, name=metric.label, unit=metric.unit, caption=title, marks=marks)
        place = f"{key}_{index}_{blocks.view_key(context.view)}"
        context.chart(option, key=place, height=max(28 * len(ranks) + 16, 96), alt=title, table=table, marks=[marks])
    _say_more(len(asked.lines))


def _shaded(context: PageContext, asked: Answer, index: int, metric: MetricDefinition, key: str) -> None:
    """The first breakdown down, the second across; the darker a cell, the higher its value."""
    down, across = asked.members(0), asked.members(1)
    lines = {line.keys: line for line in asked.lines}
    values = [fmt.decimal(line.values[index]) for line in asked.lines if line.values[index] is not None]
    least, most = min(values, default=fmt.decimal(0)), max(values, default=fmt.decimal(0))

    def cell(row_key: str, column_key: str) -> Any:
        line = lines.get((row_key, column_key))
        if line is None or line.values[index] is None:
            return None
        share = (fmt.decimal(line.values[index]) - least) / (most - least) if most > least else fmt.decimal(0)
        action = widgets.passport(metric.name, line.moves) if line.moves else ""
        return markup.Shaded(line.values[index], round(share * SHADES), action)

    title = f"{metric.label} by {words(asked.by[0])} and {words(asked.by[1])}"
    blocks.section(title, f"{context.view.period.name}; the darker, the higher")
    columns = [markup.Column(words(asked.by[0]).capitalize())]
    columns += [markup.Column(name, metric.unit) for name in across.values()]
    rows = [markup.Row((name, *(cell(key, other) for other in across))) for key, name in list(down.items())[:MOST_ROWS]]
    context.html(markup.table(columns, rows, caption=title), key=key)


def _table(context: PageContext, asked: Answer, loaded: dict[str, Figure], key: str) -> None:
    """One row for each value of the breakdowns, one column for each figure, and all together."""
    nouns = [words(breakdown) for breakdown in asked.by]
    note = f"{context.view.period.name}; exact values"
    if len(asked.lines) > MOST_ROWS:
        note += f"; the first {MOST_ROWS} of {len(asked.lines):,} rows, the files hold all"
    blocks.section(f"By {' and '.join(nouns)}", note)
    columns = [markup.Column(noun.capitalize()) for noun in nouns]
    columns += [markup.Column(metric.label, metric.unit) for metric in asked.metrics]
    rows = []
    for line in asked.lines[:MOST_ROWS]:
        moves = line.moves
        cells = [
            value if moves is None else markup.Link(value, widgets.passport(metric.name, moves))
            for metric, value in zip(asked.metrics, line.values, strict=True)
        ]
        rows.append(markup.Row((*line.names, *cells)))
    totals = [markup.Link(loaded[metric.name].value, widgets.passport(metric.name)) for metric in asked.metrics]
    total = markup.Row(("All", *[""] * (len(nouns) - 1), *totals))
    caption = f"Figures by {' and '.join(nouns)}"
    context.html(markup.table(columns, rows, caption=caption, total=total), key=f"{key}_table")
