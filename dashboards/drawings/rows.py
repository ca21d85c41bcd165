"""Horizontal bars: steps of a funnel, parts of a whole by member, the same share on several bases. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from dashboards.markup import EMPTY, join

WHITE, NEAR_BLACK = "#ffffff", "#0b1319"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of a funnel: its name, how many reach it, and the action that opens its passport."""

    name: str
    count: int
    action: str = ""


def funnel(steps: Sequence[Step]) -> Markup:
    """How many reach each step: the share of the first step, and of the step before."""
    first = steps[0].count or 1
    lines = []
    for place, step in enumerate(steps):
        words = EMPTY
        if place:
            before = steps[place - 1].count
            of_before = (
                f"; {fmt.exact(fmt.decimal(step.count) / before, 'percent')} of the step before" if before else ""
            )
            words = Markup("{} of all{}").format(fmt.exact(fmt.decimal(step.count) / first, "percent"), of_before)
        name = markup.button(step.name, step.action, "cm-open") if step.action else step.name
        pointer = Markup(' data-do="{}"').format(step.action) if step.action else EMPTY
        lines.append(
            Markup(
                '<li><p>{name}</p><div><i style="width:{width:.2f}%"{pointer}></i></div><p><b>{count}</b> <span>{words}</span></p></li>'
            ).format(
                name=name,
                width=max(step.count / first * 100, 0.4),
                pointer=pointer,
                count=f"{step.count:,}",
                words=words,
            )
        )
    return Markup('<ol class="cm-funnel">{}</ol>').format(join(lines))


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One part of a bar: the value, and the action of a click. None has no value and no width."""

    value: Any
    action: str = ""


@dataclass(frozen=True, kw_only=True)
class SegmentedBar:
    """A bar of parts in the order of the legend. `note` stands at its end."""

    name: str
    segments: Sequence[Segment]
    note: str = ""


def segmented_bars(
    legend: Sequence[tuple[str, str]], bars: Sequence[SegmentedBar], *, unit: str, caption: str, first: str
) -> Markup:
    """Bars of parts on one scale from zero. `legend` has (name, colour) of the parts; the values stand in them where they fit."""
    longest = max((sum(float(part.value or 0) for part in bar.segments) for bar in bars), default=0.0) or 1.0
    keys = join(Markup('<li><i style="background:{}"></i>{}</li>').format(colour, name) for name, colour in legend)
    lines = [
        Markup("<li><p>{}</p><div>{}</div><p>{}</p></li>").format(
            bar.name,
            join(
                _segment(part, name, colour, float(part.value or 0) / longest * 100, unit)
                for part, (name, colour) in zip(bar.segments, legend, strict=True)
                if part.value
            ),
            bar.note,
        )
        for bar in bars
    ]
    columns = [markup.Column(first), *[markup.Column(name, unit) for name, _ in legend]]
    rows = [markup.Row((bar.name, *[markup.Link(part.value, part.action) for part in bar.segments])) for bar in bars]
    return Markup('<ul class="cm-legend">{}</ul><ul class="cm-segments">{}</ul>{}').format(
        keys, join(lines), markup.folded("Show as table", markup.table(columns, rows, caption=caption))
    )


def text_on(colour: str) -> str:
    """The colour of letters on a ground `#rrggbb`: white or near black, the one with the larger contrast (WCAG 2.2)."""
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return WHITE if 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 else NEAR_BLACK


def _segment(part: Segment, name: str, colour: str, width: float, unit: str) -> Markup:
    pointer = Markup(' data-do="{}"').format(part.action) if part.action else EMPTY
    text = fmt.short(part.value, unit) if width > 9 else ""
    return Markup('<i style="width:{:.2f}%;--cm-colour:{};color:{}" title="{}: {}"{}>{}</i>').format(
        width, colour, text_on(colour), name, fmt.exact(part.value, unit), pointer, text
    )
