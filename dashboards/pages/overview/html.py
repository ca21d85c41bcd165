"""Markup of the overview's panels. Pure: values in, `Markup` out; positions are per cent of a panel's width or height."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from dashboards.figures import Figure, counted
from dashboards.markup import ARROWS, CHEVRON, EMPTY, MARKS, join
from dashboards.pages.overview.attention import Item
from dashboards.pages.overview.lead import Bar
from dashboards.pages.overview.trust import Line
from dashboards.pages.overview.units import Cell, Column, Units
from dashboards.targets import WORSE, FigureTarget
from serving.modules.overview import TILE_NAMES

# The scale of a bullet ends this much beyond the larger of figure and target.
BULLET_ROOM = Decimal("1.25")


def tile(figure: Figure, target: FigureTarget | None, action: str, doubt_action: str) -> Markup:
    """One figure: name, value, change with its verdict, bullet against the target, what it was counted from, months.

    The comparison is named once, above the tiles, and not in each of them.
    """
    metric = figure.metric
    shown = fmt.parts(None if figure.problem else figure.value, metric.unit)
    is_grey = bool(figure.problem or figure.caution or figure.doubts)
    name = TILE_NAMES.get(metric.name, metric.label)
    return Markup(
        '<article class="cm-tile cm-{tone}" data-metric="{metric}"><header><h3>{title}</h3>{definition}</header>'
        '<p class="cm-value"{lead}><b>{number}</b><span>{unit}</span>{counted}</p>'
        '<div><p class="cm-change">{change}</p>{doubt}</div>'
        '<div class="cm-against">{bullet}<p>{target}</p></div>'
        '<div class="cm-trend"{lead} title="Last {months} months">{trend}</div></article>'
    ).format(
        tone="none" if is_grey else figure.change.tone,
        metric=metric.name,
        title=markup.button(name, action) if action else name,
        lead=Markup(' data-do="{}"').format(action) if action else "",
        definition=markup.definition(metric),
        number=shown.number,
        unit=shown.unit,
        change=_change(figure, is_grey=is_grey),
        doubt=markup.doubt(figure.doubts, doubt_action),
        bullet=_bullet(figure, target),
        counted=_counted(figure),
        target=_target_words(figure, target),
        months=len(figure.trend),
        trend=markup.sparkline([v for _, v in figure.trend], [month in figure.moving for month, _ in figure.trend]),
    )


def _change(figure: Figure, *, is_grey: bool) -> Markup:
    """The change in two short lines: size and meaning. The title holds the whole sentence."""
    change = figure.change
    mark = MARKS["caution"] if is_grey else MARKS.get(change.tone, ARROWS[change.arrow])
    amount, words = change.amount, change.words.removesuffix(f" {figure.against}")
    for ending in (" than", " from", " as", " with", " in"):
        words = words.removesuffix(ending)
    text = change.text
    if figure.problem:
        amount, words, text = "", figure.problem, figure.problem
    elif is_grey:
        # A figure that will still move, or may be wrong, is neither good nor bad.
        words = figure.caution or f"against {figure.against}"
        text = f"{figure.caution}. {change.text}" if figure.caution else change.text
    return Markup('{}<span title="{}">{}<span>{}</span></span>').format(
        mark, text, Markup("<b>{}</b>").format(amount) if amount else "", words
    )


def _counted(figure: Figure) -> Markup:
    """Numerator and denominator of a rate, in a short form: `55 of 843`, `of $157,318`, `n = 759`."""
    if figure.problem or not figure.counted or figure.base is None:
        return EMPTY
    unit = figure.base.metric.unit
    if figure.metric.unit == "percent":
        short = counted(figure.metric, figure.value, figure.base, short=True)
        text = f"of {fmt.short(figure.base.now, unit)}" if unit == "usd" else short
    else:
        text = f"n = {fmt.short(figure.base.now, unit)}" if unit == "count" else ""
    return Markup('<small title="{}">{}</small>').format(figure.counted, text)


def _bullet(figure: Figure, target: FigureTarget | None) -> Markup:
    """A bar up to the value with a tick at the target; an empty place where there is no target."""
    if target is None or figure.value is None:
        return Markup('<div class="cm-bullet cm-no-target"></div>')
    value = max(fmt.decimal(figure.value), Decimal(0))
    end = max(value, target.value) * BULLET_ROOM
    if figure.metric.unit == "percent":
        end = min(end, Decimal(1))
    end = end or Decimal(1)
    kind = " cm-worse" if target.standing == WORSE else ""
    return Markup(
        '<div class="cm-bullet{}" aria-hidden="true"><i style="width:{:.1f}%"></i><b style="left:{:.1f}%"></b></div>'
    ).format(kind, float(value / end * 100), float(target.value / end * 100))


def _target_words(figure: Figure, target: FigureTarget | None) -> Markup:
    if target is None:
        return EMPTY
    title = target.words or "Not compared while the figure still moves"
    standing = {"better than target": "better", "worse than target": "worse", "on target": "met"}.get(
        target.standing, ""
    )
    value = fmt.short(target.value, figure.metric.unit).replace(".0", "")
    return Markup('<span class="cm-target" title="{}">target {}{}</span>').format(
        title, value, f", {standing}" if standing else ""
    )


def panel(title: str, note: str, content: Markup, kind: str, link: tuple[str, str] = ("", "")) -> Markup:
    """A titled part of the page. `link` is (text, action) of what stands beside the title."""
    below = Markup("<p>{}</p>").format(note) if note else EMPTY
    leads_on = markup.button(Markup("{}{}").format(link[0], CHEVRON), link[1], "cm-go") if link[1] else EMPTY
    return Markup('<section class="cm-panel cm-{}"><header><h2>{}</h2>{}</header>{}{}</section>').format(
        kind, title, leads_on, below, content
    )


def waterfall(bars: Sequence[Bar], unit: str, direction: str, caption: str, lead_to: Callable[[Bar], str]) -> Markup:
    """The earlier figure, its parts, the later figure. Bars start at zero; parts hang between the sums before and after them."""
    spans: list[tuple[Decimal, Decimal]] = []
    reached = Decimal(0)
    for bar in bars:
        start = Decimal(0) if bar.kind == "total" else reached
        reached = start + bar.part
        spans.append((start, reached))
    top = max((max(span) for span in spans), default=Decimal(1)) or Decimal(1)
    bottom = min(Decimal(0), *(min(span) for span in spans))
    height = top - bottom

    def at(value: Decimal) -> float:
        return float((value - bottom) / height * 100)

    columns = [
        _column(bar, at(min(span)), at(max(span)), unit, direction, lead_to(bar))
        for bar, span in zip(bars, spans, strict=True)
    ]
    rows = [markup.Row((bar.label, bar.part)) for bar in bars]
    table = markup.table([markup.Column("Part"), markup.Column("Amount", unit)], rows, caption=caption)
    return Markup('<div class="cm-waterfall">{}</div>{}').format(join(columns), markup.folded("Show as table", table))


def _column(bar: Bar, low: float, high: float, unit: str, direction: str, action: str) -> Markup:
    tone = "total" if bar.kind == "total" else "plain"
    if bar.kind == "rate" and direction in ("higher", "lower"):
        tone = "good" if (bar.part > 0) == (direction == "higher") else "bad"
    text = fmt.short(bar.part, unit)
    text = f"+{text}" if bar.kind != "total" and bar.part > 0 else text
    label = markup.button(bar.label, action, "cm-go") if action else bar.label
    pointer = Markup(' data-do="{}"').format(action) if action else EMPTY
    return Markup(
        '<div class="cm-bar cm-{tone}" title="{label_text}: {exact}"><div><b style="bottom:{high:.2f}%">{text}</b>'
        '<i style="bottom:{low:.2f}%;height:{height:.2f}%"{pointer}></i></div><p>{label}</p></div>'
    ).format(
        tone=tone,
        label_text=bar.label,
        exact=fmt.exact(bar.part, unit),
        low=low,
        high=high,
        height=max(high - low, 0.6),
        text=text,
        label=label,
        pointer=pointer,
    )


def attention(items: Sequence[Item], more: int, lead_to: Callable[[Item], str]) -> Markup:
    """A line each: how much, what and where, who works on it; a click opens the passport of its figure."""
    lines = [
        Markup(
            '<li class="cm-{kind}"><button type="button" data-do="{action}"><b>{amount}</b>'
            "<span><strong>{title}</strong><small>{detail}</small></span><em>{owner}</em>{chevron}</button></li>"
        ).format(
            kind="money" if item.unit == "usd" else "people",
            action=lead_to(item),
            amount=item.amount,
            title=item.title,
            detail=item.detail,
            owner=item.owner,
            chevron=CHEVRON,
        )
        for item in items
    ]
    others = Markup('<p class="cm-rest">{}</p>').format(f"{more} more left their usual range.") if more else EMPTY
    return Markup('<ul class="cm-attention">{}</ul>{}').format(join(lines), others)


def unit_table(
    units: Units, lead_to: Callable[[str, Any], str], passport: Callable[[str, Any], str], note: str
) -> Markup:
    """A row a member, a column a metric: dot, pale bar of the usual range, tick of the target, then the figure, which opens its
    `passport` (an action by metric and what narrows the view to the member)."""
    head = join(
        Markup('<th scope="col">{}</th>').format(TILE_NAMES.get(column.metric.name, column.metric.label))
        for column in units.columns
    )
    body = []
    for place, (member, name, moves) in enumerate(units.members):
        action = lead_to(member, moves)
        label = markup.button(Markup("{}{}").format(name, CHEVRON), action, "cm-go") if action else name
        cells = join(
            _unit_cell(column, column.cells[place], passport(column.metric.name, moves) if moves else "")
            for column in units.columns
        )
        body.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(label, cells))
    return Markup(
        '<div class="cm-scroll"><table class="cm-units"><caption class="cm-hidden">{note}</caption>'
        '<thead><tr><th><span class="cm-hidden">{noun}</span></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    ).format(note=note, noun=units.noun.capitalize(), head=head, body=join(body))


def _unit_cell(column: Column, cell: Cell, action: str) -> Markup:
    unit = column.metric.unit
    spread = column.high - column.low or 1.0

    def at(value: float) -> float:
        return min(max((value - column.low) / spread * 100, 0.0), 100.0)

    marks = EMPTY
    lines = []
    if cell.usual:
        low, high = cell.usual
        marks += Markup('<u style="left:{:.1f}%;width:{:.1f}%"></u>').format(at(low), max(at(high) - at(low), 1.0))
        lines.append(f"usual {fmt.short(low, unit)} to {fmt.short(high, unit)}")
    if cell.target is not None:
        marks += Markup('<s style="left:{:.1f}%"></s>').format(at(cell.target))
        lines.append(f"target {fmt.short(cell.target, unit)}")
    if cell.at is not None:
        marks += Markup('<i style="left:{:.1f}%"></i>').format(at(cell.at))
    if cell.value is None:
        lines = ["no figure: nothing to count, or too few people to show"]
    kind = "moving" if cell.is_moving else cell.tone
    words = {"bad": "worse than usual; ", "good": "better than usual; ", "moving": "still settling; "}.get(kind, "")
    value = fmt.short(cell.value, unit)
    if action and cell.value is not None:
        value = markup.button(value, action, "cm-open")
    return Markup(
        '<td class="cm-{kind}" title="{title}"><span aria-hidden="true">{marks}</span><b>{value}</b>'
        '<small class="cm-hidden">{title}</small></td>'
    ).format(kind=kind or "plain", title=f"{words}{'; '.join(lines)}", marks=marks, value=value)


def trust(lines: Sequence[Line], health_action: str) -> Markup:
    """A line for each thing that the figures rest on."""
    drawn = join(
        Markup('<li class="cm-{}">{}<p><b>{}</b><span>{}</span></p></li>').format(
            line.kind, MARKS[line.kind], line.text, line.more
        )
        for line in lines
    )
    link = markup.button(Markup("Data health{}").format(CHEVRON), health_action, "cm-go") if health_action else EMPTY
    return Markup('<ul class="cm-trust">{}</ul>{}').format(drawn, link)
