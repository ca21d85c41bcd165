"""What every chart shares: scales, axes, hovers and clicks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from dashboards import format as fmt
from dashboards.theme import FONT, Tokens

# What stands behind the name of a closed month, and behind that of one that is not over.
CLOSED_MARK, CLOSED_NOTE = " ■", "■ month is closed"
RUNNING_MARK = " *"

Option = dict[str, Any]
Point = tuple[date, Any]

# A mark is [x, y, text of its hover].
HOVERED: Option = {"dimensions": ["x", "y", "hover"], "encode": {"x": 0, "y": 1, "tooltip": 2}}


@dataclass(frozen=True)
class Scale:
    """How values of a unit become axis numbers: divided by `divisor`, with ticks as `tick`."""

    divisor: float
    tick: str

    def of(self, value: Any) -> float | None:
        return None if value is None else round(float(value) / self.divisor, 6)


def scale_for(unit: str, values: Sequence[Any]) -> Scale:
    """The scale that suits the largest value."""
    largest = max((abs(float(value)) for value in values if value is not None), default=0.0)
    if unit == "percent":
        return Scale(0.01, "{value} %")
    if unit == "usd":
        if largest >= 2_000_000:
            return Scale(1_000_000, "${value} M")
        if largest >= 10_000:
            return Scale(1_000, "${value} k")
        return Scale(1, "${value}")
    if unit == "count":
        return Scale(1_000, "{value} k") if largest >= 20_000 else Scale(1, "{value}")
    word = fmt.UNIT_WORDS.get(unit, unit)
    return Scale(1, f"{{value}} {word}".strip())


def base(look: Tokens) -> Option:
    """The common options of all charts: fonts, colours of the hover, a description for screen readers."""
    return {
        "animation": False,
        "backgroundColor": "transparent",
        "textStyle": {"fontFamily": FONT, "fontSize": 13, "color": look.soft},
        "tooltip": {
            "backgroundColor": look.raised,
            "borderColor": look.line,
            "padding": [8, 12],
            "textStyle": {"fontFamily": FONT, "fontSize": 13, "color": look.ink},
            "confine": True,
            # Hovers are plain text: Streamlit escapes what stands in them. Their lines are parted by line ends.
            "extraCssText": "box-shadow: 0 4px 16px rgba(0,0,0,.12); border-radius: 6px; white-space: pre-line;",
        },
        "aria": {"enabled": True},
    }


def category_axis(look: Tokens, names: Sequence[str], **more: Any) -> Option:
    """An axis of names; `label` and other keys of ECharts are added."""
    return {
        "type": "category",
        "data": list(names),
        "axisTick": {"show": False},
        "axisLine": {"lineStyle": {"color": look.line}},
        "axisLabel": {
            "color": look.soft,
            "fontSize": 12,
            "lineHeight": 16,
            "hideOverlap": True,
            **more.pop("label", {}),
        },
        **more,
    }


def value_axis(look: Tokens, scale: Scale, **more: Any) -> Option:
    """An axis of numbers with the ticks of `scale`; other keys of ECharts are added."""
    return {
        "type": "value",
        "splitNumber": 4,
        "axisLabel": {"color": look.soft, "fontSize": 12, "formatter": scale.tick},
        "splitLine": {"lineStyle": {"color": look.line}},
        **more,
    }


def month_names(
    months: Sequence[date], closed: frozenset[date] = frozenset(), running: frozenset[date] = frozenset()
) -> list[str]:
    """Mar for each month, with the year at the first and at each January; months that are closed or not over are marked."""
    return [
        f"{month:%b}{CLOSED_MARK if month in closed else ''}{RUNNING_MARK if month in running else ''}"
        + (f"\n{month.year}" if not index or month.month == 1 else "")
        for index, month in enumerate(months)
    ]


def clicks(look: Tokens, clickable: bool) -> Option:
    """Keys of a series whose marks can be clicked, or not."""
    if not clickable:
        return {"cursor": "default"}
    return {"cursor": "pointer", "selectedMode": "single", "select": {"itemStyle": {"borderColor": look.ink}}}
