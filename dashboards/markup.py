"""HTML of tiles, tables, breadcrumbs and states. Pure: values in, escaped text out; every dynamic text goes through `esc`.

An element with `data-do` is clickable and sends that text to Python (`dashboards.widgets`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from dashboards import format as fmt
from dashboards.figures import Figure
from serving.model import MetricDefinition


def esc(value: object) -> str:
    return escape(str(value), quote=True)


def _icon(path: str, size: int = 16) -> str:
    return (
        f'<svg class="cm-icon" viewBox="0 0 16 16" width="{size}" height="{size}" aria-hidden="true" fill="none" '
        f'stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">{path}</svg>'
    )


ARROWS = {
    "up": _icon('<path d="M4 12 12 4M6 4h6v6"/>'),
    "down": _icon('<path d="M4 4l8 8M12 6v6H6"/>'),
    "flat": _icon('<path d="M3 8h10"/>'),
}
MARKS = {
    "good": _icon('<path d="M3 8.5 6.5 12 13 4.5"/>'),
    "bad": _icon('<path d="M8 2.5 14.5 13.5h-13zM8 6.5v3.2M8 11.6v.1"/>'),
    "caution": _icon('<circle cx="8" cy="8" r="6"/><path d="M8 4.8v3.6l2.2 1.4"/>'),
}
INFO = _icon('<circle cx="8" cy="8" r="6"/><path d="M8 7.3v3.4M8 5v.1"/>')
CHEVRON = _icon('<path d="M6 3.5 10.5 8 6 12.5"/>', 14)


SPARK_WIDTH, SPARK_HEIGHT = 160, 36
# Room at the sides of a sparkline for the width of its line.
SPARK_LEFT, SPARK_RIGHT = 2, 4


def sparkline(values: Sequence[Any], moving: Sequence[bool] = ()) -> str:
    """A small line of the trend, the last value marked. Empty with fewer than two values.

    Dotted: across months without a value, and to months whose value will still move (`moving`, one for each value).
    """
    points = [index for index, value in enumerate(values) if value is not None]
    if len(points) < 2:
        return '<div class="cm-spark"></div>'
    known = {index: float(values[index]) for index in points}
    low, spread = min(known.values()), (max(known.values()) - min(known.values())) or 1.0

    def place(index: int) -> tuple[float, float]:
        left = index * SPARK_WIDTH / (len(values) - 1)
        return left, SPARK_HEIGHT - 4 - (known[index] - low) / spread * (SPARK_HEIGHT - 8)

    def is_moving(index: int) -> bool:
        return bool(moving) and moving[index]

    lines: list[tuple[str, list[int]]] = []
    for earlier, later in pairwise(points):
        kind = "dotted" if later - earlier > 1 or is_moving(later) else "drawn"
        if lines and lines[-1][0] == kind:
            lines[-1][1].append(later)
        else:
            lines.append((kind, [earlier, later]))
    drawn = "".join(
        f'<polyline class="cm-{kind}" points="{" ".join("{:.1f},{:.1f}".format(*place(index)) for index in line)}"/>'
        for kind, line in lines
    )
    box_width = SPARK_LEFT + SPARK_WIDTH + SPARK_RIGHT
    left, top = place(points[-1])
    end = "cm-spark-end cm-moving" if is_moving(points[-1]) else "cm-spark-end"
    return (
        f'<svg class="cm-spark" viewBox="-{SPARK_LEFT} 0 {box_width} {SPARK_HEIGHT}" preserveAspectRatio="none" '
        f'aria-hidden="true">{drawn}</svg><i class="{end}" '
        f'style="left:{(left + SPARK_LEFT) / box_width * 100:.1f}%;top:{top / SPARK_HEIGHT * 100:.1f}%"></i>'
    )


def definition(metric: MetricDefinition) -> str:
    """What a figure means: shown when its mark is clicked, without a round trip."""
    rows = (
        ("Counts", metric.numerator),
        ("Out of", metric.denominator),
        ("Leaves out", metric.exclusions),
        ("Dated by", metric.date_basis),
        ("When empty", metric.null_rule),
        ("Comes from", metric.source),
        ("Version", metric.version),
    )
    lines = "".join(f"<dt>{name}</dt><dd>{esc(text)}</dd>" for name, text in rows if text)
    return (
        f'<details class="cm-definition" name="definition"><summary aria-label="What {esc(metric.label)} means" '
        f'title="What this means">{INFO}</summary><div><strong>{esc(metric.label)}</strong>'
        f"<p>{esc(metric.description)}</p><dl>{lines}</dl>"
        f'<button type="button" class="cm-rows" data-do="page:lineage?metric={esc(metric.name)}">Where it comes from'
        "</button></div></details>"
    )


def doubt(titles: Sequence[str], action: str = "") -> str:
    """The mark of a figure that a finding of plausibility touches; with an action it leads to Data health. Empty without findings."""
    if not titles:
        return ""
    more = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
    text = esc(f"May be wrong: {titles[0][:1].lower()}{titles[0][1:]}{more}")
    shown = f'<button type="button" data-do="{esc(action)}">{text}</button>' if action else text
    return f'<p class="cm-caution cm-doubt">{MARKS["bad"]}<span>{shown}</span></p>'


def tile(figure: Figure, *, action: str = "", doubt_action: str = "") -> str:
    """One figure: name, value, unit, change in words, sparkline, definition. Grey with a reason where it cannot be trusted."""
    metric = figure.metric
    shown = fmt.parts(None if figure.problem else figure.value, metric.unit)
    change = figure.change
    tone = "none" if figure.problem or figure.caution or figure.doubts else change.tone
    if figure.problem:
        line = f"{MARKS['caution']}<span>{esc(figure.problem)}</span>"
    else:
        mark = MARKS.get(change.tone, ARROWS[change.arrow] if change.tone == "neutral" else "")
        text = change.text
        if (figure.caution or figure.doubts) and change.amount:
            # A figure that will still move, or may be wrong, is neither good nor bad.
            mark, text = ARROWS[change.arrow], f"{change.amount} against {figure.against}"
        line = f"{mark}<span>{esc(text)}</span>"
    caution = (
        f'<p class="cm-caution">{MARKS["caution"]}<span>{esc(figure.caution)}</span></p>' if figure.caution else ""
    )
    caution += doubt(figure.doubts, doubt_action)
    base = f'<p class="cm-base">{esc(figure.counted)}</p>' if figure.counted and not figure.problem else ""
    values = [value for _, value in figure.trend]
    moving = [month in figure.moving for month, _ in figure.trend]
    title = (
        f'<button type="button" data-do="{esc(action)}">{esc(metric.label)}</button>' if action else esc(metric.label)
    )
    return (
        f'<article class="cm-tile cm-{tone}" data-metric="{esc(metric.name)}"><header><h3>{title}</h3>'
        f"{definition(metric)}</header>"
        f'<p class="cm-value"><b>{esc(shown.number)}</b><span>{esc(shown.unit)}</span></p>'
        f'<div><p class="cm-change">{line}</p>{base}{caution}</div>'
        f'<div class="cm-trend" title="Last {len(values)} months">{sparkline(values, moving)}</div></article>'
    )


def tiles(figures: Sequence[Figure], actions: Sequence[str] = (), *, doubt_action: str = "") -> str:
    acts = list(actions) or [""] * len(figures)
    pairs = zip(figures, acts, strict=True)
    inner = "".join(tile(figure, action=action, doubt_action=doubt_action) for figure, action in pairs)
    return f'<section class="cm-tiles" style="--cm-count:{len(figures)}" aria-label="Key figures">{inner}</section>'


@dataclass(frozen=True)
class Column:
    """A column of a table. `unit` is a metric unit, `text`, or `change` (a `fmt.Change`)."""

    title: str
    unit: str = "text"


@dataclass(frozen=True)
class Row:
    """A row of a table: cells for the columns; `action` makes the first cell lead on, `rows_action` opens its rows."""

    cells: tuple[Any, ...]
    action: str = ""
    rows_action: str = ""


def _cell(value: Any, column: Column) -> str:
    if isinstance(value, fmt.Change):
        mark = MARKS.get(value.tone, "") if value.tone in ("good", "bad") else ""
        return f'<td class="num cm-{value.tone}">{mark}{esc(value.amount or ("same" if value.tone == "neutral" else fmt.DASH))}</td>'
    if column.unit == "text":
        return f"<td>{esc(fmt.DASH if value is None or value == '' else value)}</td>"
    return f'<td class="num">{esc(fmt.exact(value, column.unit))}</td>'


def table(
    columns: Sequence[Column], rows: Sequence[Row], *, caption: str = "", total: Row | None = None, empty: str = ""
) -> str:
    """A table with figures right-aligned; rows that lead on look clickable; the total stands last."""
    if not rows:
        return state("Nothing here", empty or "No rows in this period. Choose another period or place.")
    has_rows = any(row.rows_action for row in rows)
    head = "".join(
        f'<th scope="col"{"" if column.unit == "text" else " class=num"}>{esc(column.title)}</th>' for column in columns
    )
    head += '<th scope="col"><span class="cm-hidden">Rows</span></th>' if has_rows else ""
    body = "".join(_row(columns, row, has_rows) for row in rows)
    foot = f"<tfoot>{_row(columns, total, has_rows)}</tfoot>" if total else ""
    name = f'<caption class="cm-hidden">{esc(caption)}</caption>' if caption else ""
    return f'<div class="cm-scroll"><table class="cm-table">{name}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>{foot}</table></div>'


def _row(columns: Sequence[Column], row: Row, has_rows: bool) -> str:
    first, *others = zip(row.cells, columns, strict=True)
    name = esc(fmt.DASH if first[0] in (None, "") else first[0])
    if row.action:
        name = f'<button type="button" class="cm-go" data-do="{esc(row.action)}">{name}{CHEVRON}</button>'
    cells = f'<th scope="row">{name}</th>' + "".join(_cell(value, column) for value, column in others)
    if has_rows:
        button = f'<button type="button" class="cm-rows" data-do="{esc(row.rows_action)}">Rows</button>'
        cells += f"<td>{button if row.rows_action else ''}</td>"
    return f"<tr>{cells}</tr>"


def breadcrumb(steps: Sequence[tuple[str, str]], *, tenant: str = "") -> str:
    """The path to the place: (name, action) from the top; the last is where one is.

    With `tenant` the first step is only a part of that tenant: it is drawn as a chip behind the tenant's name.
    """
    items = []
    for index, (name, action) in enumerate(steps):
        here = index == len(steps) - 1
        items.append(
            f'<li aria-current="page">{esc(name)}</li>'
            if here
            else f'<li><button type="button" data-do="{esc(action)}">{esc(name)}</button></li>'
        )
    before = f'<span class="cm-tenant">{esc(tenant)}</span>' if tenant else ""
    kind = "cm-crumbs cm-part" if tenant else "cm-crumbs"
    return f'{before}<nav class="{kind}" aria-label="Place"><ol>{"".join(items)}</ol></nav>'


def heading(title: str, context: Sequence[str], crumbs: str = "") -> str:
    """The head of a page: where and when, then the finding."""
    line = "".join(f"<span>{esc(text)}</span>" for text in context if text)
    return f'<div class="cm-head"><div class="cm-context">{crumbs}{line}</div><h1>{esc(title)}</h1></div>'


def section(title: str, note: str = "") -> str:
    """The title of a block and, below it, what is drawn and in which unit."""
    return f'<div class="cm-section"><h2>{esc(title)}</h2>{f"<p>{esc(note)}</p>" if note else ""}</div>'


def state(title: str, text: str, *, link: tuple[str, str] | None = None) -> str:
    """An empty, stale, forbidden or failed state: what it means and what to do next."""
    anchor = f'<p><a href="{esc(link[1])}" target="_self">{esc(link[0])}</a></p>' if link else ""
    return f'<div class="cm-state" role="status"><h2>{esc(title)}</h2><p>{esc(text)}</p>{anchor}</div>'


def folded(summary: str, content: str) -> str:
    """Content that opens on a click, without a round trip."""
    return f'<details class="cm-folded"><summary>{esc(summary)}</summary>{content}</details>'


def changes(items: Sequence[tuple[fmt.Change, str, str, str]]) -> str:
    """A list of what changed: (change, headline, detail, action) each."""
    lines = "".join(
        f'<li class="cm-{change.tone}"><button type="button" data-do="{esc(action)}">{MARKS.get(change.tone, ARROWS[change.arrow])}'
        f"<span><b>{esc(headline)}</b><small>{esc(detail)}</small></span>{CHEVRON}</button></li>"
        for change, headline, detail, action in items
    )
    return f'<ul class="cm-changes">{lines}</ul>'
