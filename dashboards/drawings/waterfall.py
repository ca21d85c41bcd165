"""A waterfall: an earlier amount, its parts, the later amount. The parts add up to the last digit. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from dashboards.markup import EMPTY, join


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One part of a change. `kind` is volume, mix, rate, other or few; `moves` lead to where it is (empty: nowhere)."""

    label: str
    part: Decimal
    kind: str
    moves: Mapping[str, Any]
    member: str = ""


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
