"""A scatter: each member at its share and its rate, to show who is large and far from the others at once. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log10
from typing import Any

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from dashboards.markup import EMPTY, join

# Names closer than this, in per cent of the height, and overlapping in width, are moved apart.
NAME_HEIGHT, NAME_WIDTH = 6.0, 24.0


@dataclass(frozen=True, kw_only=True)
class Dot:
    """A member: where it stands, its colour, what its rate was counted from, and the action of a click. `is_faint`: too few to judge,
    or still settling."""

    name: str
    across: Any
    up: Any
    colour: str
    note: str = ""
    action: str = ""
    is_faint: bool = False


@dataclass(frozen=True, kw_only=True)
class Axis:
    """What an axis shows: the name, the unit, and a value at which a line is drawn (None: no line) with its name."""

    name: str
    unit: str
    line: Any = None
    line_name: str = ""


def _end(largest: float) -> float:
    """A round number above the largest value, of four equal steps."""
    if largest <= 0:
        return 1.0
    power = 10.0 ** floor(log10(largest / 4))
    step: float = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor * 4 >= largest)
    return step * 4


def scatter(dots: Sequence[Dot], across: Axis, up: Axis, *, caption: str) -> Markup:
    """Both axes begin at zero. The same values stand in a folded table."""
    right = _end(max((float(dot.across) for dot in dots), default=1.0) * 1.02)
    top = _end(max((float(dot.up) for dot in dots), default=1.0) * 1.02)
    if up.unit == "percent":
        top = min(top, 1.0)
    placed = [(float(dot.across) / right * 100, float(dot.up) / top * 100) for dot in dots]
    heights = _name_heights(placed)
    drawn = join(
        _dot(dot, left, bottom, name_at, across, up)
        for dot, (left, bottom), name_at in zip(dots, placed, heights, strict=True)
    )
    ticks = join(
        Markup('<em class="cm-across" style="left:{0}%">{1}</em><em class="cm-up" style="bottom:{0}%">{2}</em>').format(
            quarter * 25, fmt.short(right / 4 * quarter, across.unit), fmt.short(top / 4 * quarter, up.unit)
        )
        for quarter in range(5)
    )
    line = EMPTY
    if up.line is not None:
        line = Markup('<u style="bottom:{:.2f}%"><span>{}</span></u>').format(
            float(up.line) / top * 100, f"{up.line_name} {fmt.short(up.line, up.unit)}"
        )
    columns = [markup.Column("Name"), markup.Column(across.name, across.unit), markup.Column(up.name, up.unit)]
    columns.append(markup.Column("From"))
    rows = [markup.Row((dot.name, dot.across, markup.Link(dot.up, dot.action), dot.note)) for dot in dots]
    return Markup(
        '<div class="cm-scatter"><p class="cm-axis-up">{}</p><div>{}{}{}</div><p class="cm-axis-across">{}</p></div>{}'
    ).format(
        up.name,
        ticks,
        line,
        drawn,
        across.name,
        markup.folded("Show as table", markup.table(columns, rows, caption=caption)),
    )


def _name_heights(placed: Sequence[tuple[float, float]]) -> list[float]:
    """At which height each dot's name stands, so that names do not cover each other."""
    heights: dict[int, float] = {}
    for index in sorted(range(len(placed)), key=lambda item: placed[item][1]):
        left, height = placed[index]
        for other in sorted(heights, key=lambda item: heights[item]):
            if abs(placed[other][0] - left) < NAME_WIDTH and abs(heights[other] - height) < NAME_HEIGHT:
                height = heights[other] + NAME_HEIGHT
        heights[index] = height
    return [heights[index] for index in range(len(placed))]


def _dot(dot: Dot, left: float, bottom: float, name_at: float, across: Axis, up: Axis) -> Markup:
    title = (
        f"{dot.name}: {up.name.lower()} {fmt.exact(dot.up, up.unit)}, {across.name.lower()} "
        f"{fmt.exact(dot.across, across.unit)}" + (f"; {dot.note}" if dot.note else "")
    )
    pointer = Markup(' data-do="{}"').format(dot.action) if dot.action else EMPTY
    side = " cm-left" if left > 78 else ""
    return Markup(
        '<i style="left:{left:.2f}%;bottom:{bottom:.2f}%;--cm-colour:{colour}" class="{kind}" title="{title}"{pointer}></i>'
        '<b style="left:{left:.2f}%;bottom:{name_at:.2f}%" class="cm-name{side}">{name}</b>'
    ).format(
        left=left,
        bottom=bottom,
        colour=dot.colour,
        kind="cm-dot cm-faint" if dot.is_faint else "cm-dot",
        title=title,
        pointer=pointer,
        name_at=name_at,
        side=side,
        name=markup.button(dot.name, dot.action, "cm-open") if dot.action else dot.name,
    )
