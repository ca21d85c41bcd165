"""Columns side by side: a Pareto with the sum so far, and a distribution with its median and 90th percentile. Pure.

Both have one axis. The Pareto's line is the sum so far in the unit of the bars, so that its end is the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from dashboards.markup import EMPTY, join


@dataclass(frozen=True, kw_only=True)
class Amount:
    """One column: its name, its amount, and the action that opens its passport (empty: none)."""

    name: str
    amount: Decimal
    action: str = ""


def pareto(bars: Sequence[Amount], whole: Decimal, unit: str) -> Markup:
    """Causes, the largest first, as parts of `whole`, and above each the share so far. Bars and line have the axis of `whole`."""
    top = max(whole, sum((bar.amount for bar in bars), Decimal(0))) or Decimal(1)
    so_far, reached = Decimal(0), []
    for bar in bars:
        so_far += bar.amount
        reached.append(so_far)
    drawn = [
        _bar(
            bar.name,
            fmt.short(bar.amount, unit),
            float(bar.amount / top * 100),
            f"{bar.name}: {fmt.exact(bar.amount, unit)}; so far {fmt.rounded(sum_so_far / top * 100, 0)} %",
            bar.action,
        )
        for bar, sum_so_far in zip(bars, reached, strict=True)
    ]
    width = 100 / len(bars) if bars else 100.0
    points = [((index + 0.5) * width, 100 - float(value / top * 100)) for index, value in enumerate(reached)]
    line = Markup(
        '<svg class="cm-so-far" viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">'
        '<polyline points="{}"/></svg>'
    ).format(" ".join(f"{left:.2f},{height:.2f}" for left, height in points))
    shares = join(
        Markup('<em style="left:{:.2f}%;bottom:{:.2f}%">{} %</em>').format(
            left, 100 - height, fmt.rounded(value / top * 100, 0)
        )
        for (left, height), value in zip(points, reached, strict=True)
    )
    return Markup(
        '<div class="cm-columns cm-pareto" style="--cm-bars:{}">{}<div class="cm-over" aria-hidden="true">{}{}</div></div>'
    ).format(len(bars), join(drawn), line, shares)


def plain(bars: Sequence[Amount], unit: str) -> Markup:
    """Columns in the order given, on one scale from zero: a figure by hour or by month."""
    top = max((bar.amount for bar in bars), default=Decimal(0)) or Decimal(1)
    drawn = [
        _bar(
            bar.name,
            fmt.short(bar.amount, unit) if bar.amount else "",
            float(max(bar.amount, Decimal(0)) / top * 100),
            f"{bar.name}: {fmt.exact(bar.amount, unit)}",
            bar.action,
        )
        for bar in bars
    ]
    return Markup('<div class="cm-columns cm-histogram">{}</div>').format(join(drawn))


@dataclass(frozen=True, kw_only=True)
class Bin:
    """One band of a distribution: its name, how many fall into it, and the action that opens their passport."""

    name: str
    count: int
    action: str = ""


@dataclass(frozen=True, kw_only=True)
class Marker:
    """A line across a distribution, at a place between 0 (left) and 1 (right) of its width."""

    name: str
    place: float


def histogram(bins: Sequence[Bin], markers: Sequence[Marker], noun: str) -> Markup:
    """How many of `noun` fall into each band, with lines where the markers are."""
    most = max((item.count for item in bins), default=0) or 1
    whole = sum(item.count for item in bins) or 1
    drawn = [
        _bar(
            item.name,
            f"{item.count:,}" if item.count else "",
            item.count / most * 100,
            f"{item.name}: {fmt.plural(item.count, noun)} ({fmt.exact(Decimal(item.count) / whole, 'percent')})",
            item.action if item.count else "",
        )
        for item in bins
    ]
    lines = join(
        Markup('<u style="left:{:.2f}%"><span>{}</span></u>').format(
            min(max(marker.place, 0.0), 1.0) * 100, marker.name
        )
        for marker in markers
    )
    return Markup('<div class="cm-columns cm-histogram">{}<div class="cm-over">{}</div></div>').format(
        join(drawn), lines
    )


def _bar(name: str, label: str, height: float, title: str, action: str) -> Markup:
    shown = markup.button(name, action, "cm-open") if action else name
    pointer = Markup(' data-do="{}"').format(action) if action else EMPTY
    return Markup(
        '<div class="cm-column" title="{title}"><div><b style="bottom:{height:.2f}%">{label}</b>'
        '<i style="height:{height:.2f}%"{pointer}></i></div><p>{name}</p></div>'
    ).format(title=title, height=height, label=label, pointer=pointer, name=shown)


def table(names: tuple[str, str], rows: Sequence[tuple[str, Any]], unit: str, caption: str) -> Markup:
    """The same values as a folded table."""
    columns = [markup.Column(names[0]), markup.Column(names[1], unit)]
    return markup.folded("Show as table", markup.table(columns, [markup.Row(row) for row in rows], caption=caption))
