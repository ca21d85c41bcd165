"""Markup of the overview's panels. Pure: values in, `Markup` out; positions are per cent of a panel's width or height."""

from collections.abc import Callable, Sequence
from decimal import Decimal

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from dashboards.figures import Figure, counted
from dashboards.markup import ARROWS, CHEVRON, EMPTY, MARKS, join
from dashboards.pages.overview.attention import Item
from dashboards.pages.overview.trust import Line
from dashboards.targets import WORSE, FigureTarget
from serving.model import MetricDefinition
from serving.modules.overview import TILE_NAMES

# The scale of a bullet ends this much beyond the larger of figure and target.
BULLET_ROOM = Decimal("1.25")


def tile_name(metric: MetricDefinition) -> str:
    """The name of a metric on its tile."""
    return TILE_NAMES.get(metric.name, metric.label)


def tile(figure: Figure, target: FigureTarget | None, action: str, doubt_action: str) -> Markup:
    """One figure: name, value, change with its verdict, bullet against the target, what it was counted from, months.

    The comparison is named once, above the tiles, and not in each of them.
    """
    metric = figure.metric
    shown = fmt.parts(None if figure.problem else figure.value, metric.unit)
    is_grey = bool(figure.problem or figure.caution or figure.doubts)
    name = tile_name(metric)
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
