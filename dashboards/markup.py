"""HTML of tiles, tables, breadcrumbs and states. Pure: values in, `Markup` out.

A template is `Markup("<p>{}</p>").format(value)`: values are escaped unless they are Markup themselves (markupsafe). An f-string
is a plain `str`: drawn, it shows its tags as text, and mypy refuses it where Markup is asked for.

An element with `data-do` is clickable and sends that text to Python (`dashboards.widgets`).
"""

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from markupsafe import Markup
from markupsafe import escape as esc

from dashboards import format as fmt
from dashboards.figures import Figure
from serving.model import MetricDefinition

EMPTY = Markup("")


def join(parts: Iterable[str]) -> Markup:
    """The parts one after the other; a part that is not Markup is escaped."""
    return EMPTY.join(parts)


def _icon(path: Markup, size: int = 16) -> Markup:
    return Markup(
        '<svg class="cm-icon" viewBox="0 0 16 16" width="{size}" height="{size}" aria-hidden="true" fill="none" '
        'stroke="currentColor" stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round">{path}</svg>'
    ).format(size=size, path=path)


ARROWS = {
    "up": _icon(Markup('<path d="M4 12 12 4M6 4h6v6"/>')),
    "down": _icon(Markup('<path d="M4 4l8 8M12 6v6H6"/>')),
    "flat": _icon(Markup('<path d="M3 8h10"/>')),
}
MARKS = {
    "good": _icon(Markup('<path d="M3 8.5 6.5 12 13 4.5"/>')),
    "bad": _icon(Markup('<path d="M8 2.5 14.5 13.5h-13zM8 6.5v3.2M8 11.6v.1"/>')),
    "caution": _icon(Markup('<circle cx="8" cy="8" r="6"/><path d="M8 4.8v3.6l2.2 1.4"/>')),
}
INFO = _icon(Markup('<circle cx="8" cy="8" r="6"/><path d="M8 7.3v3.4M8 5v.1"/>'))
CROSS = _icon(Markup('<path d="M4.5 4.5l7 7M11.5 4.5l-7 7"/>'), 14)
CHEVRON = _icon(Markup('<path d="M6 3.5 10.5 8 6 12.5"/>'), 14)


SPARK_WIDTH, SPARK_HEIGHT = 160, 36
# Room at the sides of a sparkline for the width of its line.
SPARK_LEFT, SPARK_RIGHT = 2, 4


def sparkline(values: Sequence[Any], moving: Sequence[bool] = ()) -> Markup:
    """A small line of the trend, the last value marked. Empty with fewer than two values.

    Dotted: across months without a value, and to months whose value will still move (`moving`, one for each value).
    """
    points = [index for index, value in enumerate(values) if value is not None]
    if len(points) < 2:
        return Markup('<div class="cm-spark"></div>')
    numbers = {index: float(values[index]) for index in points}
    low, spread = min(numbers.values()), (max(numbers.values()) - min(numbers.values())) or 1.0

    def place(index: int) -> tuple[float, float]:
        left = index * SPARK_WIDTH / (len(values) - 1)
        return left, SPARK_HEIGHT - 4 - (numbers[index] - low) / spread * (SPARK_HEIGHT - 8)

    def is_moving(index: int) -> bool:
        return bool(moving) and moving[index]

    lines: list[tuple[str, list[int]]] = []
    for earlier, later in pairwise(points):
        kind = "dotted" if later - earlier > 1 or is_moving(later) else "drawn"
        if lines and lines[-1][0] == kind:
            lines[-1][1].append(later)
        else:
            lines.append((kind, [earlier, later]))
    drawn = join(
        Markup('<polyline class="cm-{}" points="{}"/>').format(
            kind, " ".join("{:.1f},{:.1f}".format(*place(index)) for index in line)
        )
        for kind, line in lines
    )
    box_width = SPARK_LEFT + SPARK_WIDTH + SPARK_RIGHT
    left, top = place(points[-1])
    end = "cm-spark-end cm-moving" if is_moving(points[-1]) else "cm-spark-end"
    return Markup(
        '<svg class="cm-spark" viewBox="-{side} 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">{drawn}</svg>'
        '<i class="{end}" style="left:{left:.1f}%;top:{top:.1f}%"></i>'
    ).format(
        side=SPARK_LEFT,
        width=box_width,
        height=SPARK_HEIGHT,
        drawn=drawn,
        end=end,
        left=(left + SPARK_LEFT) / box_width * 100,
        top=top / SPARK_HEIGHT * 100,
    )


def definition_terms(metric: MetricDefinition) -> tuple[tuple[str, str], ...]:
    """(term, text) of a definition; a text may be empty."""
    return (
        ("Counts", metric.numerator),
        ("Out of", metric.denominator),
        ("Leaves out", metric.exclusions),
        ("Dated by", metric.date_basis),
        ("When empty", metric.null_rule),
        ("Comes from", metric.source),
    )


def definition(metric: MetricDefinition) -> Markup:
    """The meaning of a figure: shown when its mark is clicked, without a request to the server."""
    rows = (*definition_terms(metric), ("Version", metric.version))
    return Markup(
        '<details class="cm-definition" name="definition"><summary aria-label="What {label} means" '
        'title="What this means">{icon}</summary><div><strong>{label}</strong><p>{description}</p>{terms}'
        '<button type="button" class="cm-rows" data-do="page:lineage?metric={name}">Where it comes from'
        "</button></div></details>"
    ).format(label=metric.label, icon=INFO, description=metric.description, terms=terms(rows), name=metric.name)


def terms(rows: Iterable[tuple[str, str]]) -> Markup:
    """A list of (term, text); terms without a text are left out."""
    lines = join(Markup("<dt>{}</dt><dd>{}</dd>").format(name, text) for name, text in rows if text)
    return Markup("<dl>{}</dl>").format(lines)


def doubt(titles: Sequence[str], action: str = "") -> Markup:
    """The mark of a figure that a finding of plausibility touches; with an action it leads to Data health. Empty without findings."""
    if not titles:
        return EMPTY
    more = f" and {len(titles) - 1} more" if len(titles) > 1 else ""
    text = f"May be wrong: {fmt.lower_first(titles[0])}{more}"
    shown = button(text, action) if action else text
    return Markup('<p class="cm-caution cm-doubt">{}<span>{}</span></p>').format(MARKS["bad"], shown)


def button(text: str, action: str, kind: str = "", *, is_usable: bool = True) -> Markup:
    """A button that sends `action` to Python when it is clicked; `kind` is its CSS class."""
    return Markup('<button type="button"{}{}{}>{}</button>').format(
        Markup(' class="{}"').format(kind) if kind else "",
        Markup(' data-do="{}"').format(action),
        "" if is_usable else " disabled",
        text,
    )


def tile(figure: Figure, *, action: str = "", doubt_action: str = "") -> Markup:
    """One figure: name, value, unit, change in words, sparkline, definition. Grey with a reason where it cannot be trusted."""
    metric = figure.metric
    shown = fmt.parts(None if figure.problem else figure.value, metric.unit)
    change = figure.change
    tone = "none" if figure.problem or figure.caution or figure.doubts else change.tone
    if figure.problem:
        mark, text = MARKS["caution"], figure.problem
    else:
        mark = MARKS.get(change.tone, ARROWS[change.arrow] if change.tone == "neutral" else EMPTY)
        text = change.text
        if (figure.caution or figure.doubts) and change.amount:
            # A figure that will still move, or may be wrong, is neither good nor bad.
            mark, text = ARROWS[change.arrow], f"{change.amount} against {figure.against}"
    caution = EMPTY
    if figure.caution:
        caution = Markup('<p class="cm-caution">{}<span>{}</span></p>').format(MARKS["caution"], figure.caution)
    caution += doubt(figure.doubts, doubt_action)
    base = EMPTY
    if figure.counted and not figure.problem:
        base = Markup('<p class="cm-base">{}</p>').format(figure.counted)
    values = [value for _, value in figure.trend]
    moving = [month in figure.moving for month, _ in figure.trend]
    return Markup(
        '<article class="cm-tile cm-{tone}" data-metric="{name}"><header><h3>{title}</h3>{definition}</header>'
        '<p class="cm-value"{lead}><b>{number}</b><span>{unit}</span></p>'
        '<div><p class="cm-change">{mark}<span>{text}</span></p>{base}{caution}</div>'
        '<div class="cm-trend"{lead} title="Last {months} months">{trend}</div></article>'
    ).format(
        tone=tone,
        name=metric.name,
        title=button(metric.label, action) if action else metric.label,
        # The name is the way by keyboard; value and trend are larger targets for a pointer.
        lead=Markup(' data-do="{}"').format(action) if action else "",
        definition=definition(metric),
        number=shown.number,
        unit=shown.unit,
        mark=mark,
        text=text,
        base=base,
        caution=caution,
        months=len(values),
        trend=sparkline(values, moving),
    )


def tiles(figures: Sequence[Figure], actions: Sequence[str] = (), *, doubt_action: str = "") -> Markup:
    """A row of tiles as HTML."""
    acts = list(actions) or [""] * len(figures)
    pairs = zip(figures, acts, strict=True)
    return tile_row([tile(figure, action=action, doubt_action=doubt_action) for figure, action in pairs])


def tile_row(drawn: Sequence[Markup], name: str = "Key figures") -> Markup:
    """Drawn tiles side by side; `name` is the label for screen readers."""
    return Markup('<section class="cm-tiles" style="--cm-count:{}" aria-label="{}">{}</section>').format(
        len(drawn), name, join(drawn)
    )


def facts(items: Iterable[tuple[str, str, str]], name: str) -> Markup:
    """Tiles of (title, value, note) that are no metrics: no change, no definition."""
    drawn = [
        Markup(
            '<article class="cm-tile cm-fact"><header><h3>{}</h3></header><p class="cm-value"><b>{}</b></p>'
            '<p class="cm-base">{}</p></article>'
        ).format(*item)
        for item in items
    ]
    return tile_row(drawn, name)


@dataclass(frozen=True)
class Column:
    """A column of a table. `unit` is a metric unit, `text`, or `change` (a `fmt.Change`). `action` sorts by it; `sorted` is
    ascending, descending or empty."""

    title: str
    unit: str = "text"
    action: str = ""
    sorted: str = ""


@dataclass(frozen=True)
class Link:
    """A value of a cell that leads on."""

    value: Any
    action: str


@dataclass(frozen=True)
class Shaded:
    """A value of a cell on a ground from 0 (the least) to SHADES (the most); `action` leads on."""

    value: Any
    level: int
    action: str = ""


@dataclass(frozen=True)
class Row:
    """A row of a table: cells for the columns, a `Link` where one leads on; `action` makes the first cell lead on."""

    cells: tuple[Any, ...]
    action: str = ""


def _cell(value: Any, column: Column) -> Markup:
    if isinstance(value, Shaded):
        text = esc(fmt.exact(value.value, column.unit))
        shown = button(text, value.action, "cm-open") if value.action else text
        return Markup('<td class="num cm-shade-{}">{}</td>').format(value.level, shown)
    if isinstance(value, Link):
        if value.value is None or not value.action:
            return _cell(value.value, column)
        is_text = column.unit == "text"
        shown = button(value.value if is_text else fmt.exact(value.value, column.unit), value.action, "cm-open")
        return Markup("<td{}>{}</td>").format("" if is_text else Markup(' class="num"'), shown)
    if isinstance(value, fmt.Change):
        mark = MARKS.get(value.tone, EMPTY) if value.tone in ("good", "bad") else EMPTY
        amount = value.amount or ("same" if value.tone == "neutral" else fmt.DASH)
        return Markup('<td class="num cm-{}">{}{}</td>').format(value.tone, mark, amount)
    if column.unit == "text":
        return Markup("<td>{}</td>").format(fmt.DASH if value is None or value == "" else value)
    return Markup('<td class="num">{}</td>').format(fmt.exact(value, column.unit))


def table(
    columns: Sequence[Column], rows: Sequence[Row], *, caption: str = "", total: Row | None = None, empty: str = ""
) -> Markup:
    """A table with figures right-aligned; rows that lead on look clickable; the total stands last."""
    if not rows:
        return state("Nothing here", empty or "No rows in this period. Choose another period or place.")
    head = join(_title(column) for column in columns)
    return Markup(
        '<div class="cm-scroll"><table class="cm-table">{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody>{foot}'
        "</table></div>"
    ).format(
        caption=Markup('<caption class="cm-hidden">{}</caption>').format(caption) if caption else "",
        head=head,
        body=join(_row(columns, row) for row in rows),
        foot=Markup("<tfoot>{}</tfoot>").format(_row(columns, total)) if total else "",
    )


def _title(column: Column) -> Markup:
    kind = "" if column.unit == "text" else " class=num"
    if not column.action:
        return Markup('<th scope="col"{}>{}</th>').format(kind, column.title)
    order = Markup(' aria-sort="{}"').format(column.sorted) if column.sorted else ""
    arrow = {"ascending": " \u2191", "descending": " \u2193"}.get(column.sorted, "")
    return Markup('<th scope="col"{}{}>{}</th>').format(
        kind, order, button(f"{column.title}{arrow}", column.action, "cm-sort")
    )


def _row(columns: Sequence[Column], row: Row) -> Markup:
    first, *others = zip(row.cells, columns, strict=True)
    name = esc(fmt.DASH if first[0] in (None, "") else first[0])
    if row.action:
        name = button(name + CHEVRON, row.action, "cm-go")
    cells = Markup('<th scope="row">{}</th>').format(name) + join(_cell(value, column) for value, column in others)
    return Markup("<tr>{}</tr>").format(cells)


def breadcrumb(steps: Sequence[tuple[str, str]], *, tenant: str = "") -> Markup:
    """The path to the place: (name, action) from the top; the last is where one is.

    With `tenant` the first step is only a part of that tenant: it is drawn as a chip behind the tenant's name.
    """
    items = []
    for index, (name, action) in enumerate(steps):
        here = index == len(steps) - 1
        items.append(
            Markup('<li aria-current="page">{}</li>').format(name)
            if here
            else Markup("<li>{}</li>").format(button(name, action))
        )
    before = Markup('<span class="cm-tenant">{}</span>').format(tenant) if tenant else EMPTY
    return before + Markup('<nav class="{}" aria-label="Place"><ol>{}</ol></nav>').format(
        "cm-crumbs cm-part" if tenant else "cm-crumbs", join(items)
    )


def heading(title: str, context: Sequence[str], crumbs: Markup = EMPTY) -> Markup:
    """The head of a page: where and when, then the finding."""
    line = join(Markup("<span>{}</span>").format(text) for text in context if text)
    return Markup('<div class="cm-head"><div class="cm-context">{}{}</div><h1>{}</h1></div>').format(
        crumbs, line, title
    )


def section(title: str, note: str = "") -> Markup:
    """The title of a block, and below it its content and unit."""
    below = Markup("<p>{}</p>").format(note) if note else EMPTY
    return Markup('<div class="cm-section"><h2>{}</h2>{}</div>').format(title, below)


def chips(items: Sequence[tuple[str, str, str]]) -> Markup:
    """Filters in force: (what, value, action that takes it away) each."""
    lines = join(
        Markup(
            '<li><span>{name}: <b>{value}</b></span><button type="button" data-do="{action}" '
            'aria-label="Remove filter {name}: {value}">{cross}</button></li>'
        ).format(name=name, value=value, action=action, cross=CROSS)
        for name, value, action in items
    )
    return Markup('<ul class="cm-chips" aria-label="Filters">{}</ul>').format(lines)


def state(title: str, text: str, *, link: tuple[str, str] | None = None) -> Markup:
    """An empty, stale, forbidden or failed state: its meaning and the next step. `link` is (text, address)."""
    anchor = Markup('<p><a href="{}" target="_self">{}</a></p>').format(link[1], link[0]) if link else EMPTY
    return Markup('<div class="cm-state" role="status"><h2>{}</h2><p>{}</p>{}</div>').format(title, text, anchor)


def folded(summary: str, content: Markup) -> Markup:
    """Content that opens on a click, without a round trip."""
    return Markup('<details class="cm-folded"><summary>{}</summary>{}</details>').format(summary, content)


def logo(picture: bytes) -> Markup:
    """A logo (PNG) within the page itself: it has no address that others could open. The name stands beside it."""
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return Markup('<img class="cm-logo" src="{}" alt="">').format(source)


def notice(sentences: Sequence[str], *, icon: Markup = EMPTY, link: tuple[str, str] | None = None) -> Markup:
    """Sentences above a page; with a link (text, action) the notice leads on. Empty without sentences."""
    if not sentences:
        return EMPTY
    text = join(Markup("<span>{}</span>").format(sentence) for sentence in sentences)
    leads_on = button(esc(link[0]) + CHEVRON, link[1]) if link and link[1] else EMPTY
    return Markup('<div class="cm-incomplete" role="status">{}<p>{}</p>{}</div>').format(icon, text, leads_on)


def alerts(items: Iterable[tuple[str, str]]) -> Markup:
    """A list of what needs attention: (what happened, what to do) each."""
    lines = join(
        Markup("<li>{}<p><b>{}</b> <span>{}</span></p></li>").format(MARKS["bad"], message, remedy)
        for message, remedy in items
    )
    return Markup('<ul class="cm-alerts" role="status">{}</ul>').format(lines)
