"""Stacked bars of the parts of a whole, and ranked bars."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dashboards import format as fmt
from dashboards.charts.axes import HOVERED, Option, base, category_axis, clicks, scale_for, value_axis
from dashboards.theme import FONT, Tokens

# Charts up to this width, in pixels, are those of phones.
PHONE_WIDTH, NARROW_NAMES = 420, 112


@dataclass(frozen=True)
class Part:
    """One part of a whole: name, colour and a value for each category."""

    name: str
    colour: str
    values: tuple[Any, ...]


def _hover_item(category: str, part: str, value: Any, total: Any, unit: str) -> str:
    is_part = value is not None and bool(total) and unit != "percent"
    share = fmt.exact(fmt.decimal(value) / fmt.decimal(total), "percent") if is_part else ""
    return f"{category}\n{part}: {fmt.exact(value, unit)}" + (f" ({share})" if share else "")


def _sum(values: Sequence[Any]) -> Any:
    amounts = [fmt.decimal(value) for value in values if value is not None]
    return sum(amounts) if amounts else None


def stacked_bars(
    look: Tokens,
    categories: Sequence[str],
    parts: Sequence[Part],
    *,
    unit: str,
    horizontal: bool = False,
    clickable: bool = False,
    full_names: Sequence[str] = (),
) -> Option:
    """Stacked bars in the order of the parts; hovers give the exact value.

    `full_names` name the bars in hovers, where the axis writes them short (months without their year).
    """
    hover_names = full_names or categories
    totals = [_sum([part.values[index] for part in parts]) for index in range(len(categories))]
    scale = scale_for(unit, totals)

    def datum(part: Part, index: int) -> list[Any]:
        value = part.values[index]
        shown = scale.of(value)
        text = _hover_item(hover_names[index], part.name, value, totals[index], unit)
        return [shown, index, text] if horizontal else [index, shown, text]

    label: Option = {"interval": 0} if len(categories) <= 16 else {}
    grid: Option = {"left": 8, "right": 16, "top": 44, "bottom": 8, "containLabel": True}
    if horizontal:
        label = {**_left_names(categories), "color": look.ink}
        grid = {"left": label["margin"], "right": 24, "top": 36, "bottom": 28}
    names_axis = category_axis(look, categories, label=label)
    # Shares of people may add up to a little more than all: one person can have two payers in a period.
    is_whole = unit == "percent" and all(total is None or total <= 1.005 for total in totals)
    amounts_axis = value_axis(look, scale, min=0, **({"max": 100, "interval": 25} if is_whole else {}))
    if horizontal:
        names_axis["inverse"] = True
    return {
        **base(look),
        "grid": grid,
        "legend": {
            "padding": 0,
            "type": "scroll",
            "pageIconSize": 10,
            "pageIconColor": look.soft,
            "pageIconInactiveColor": look.line,
            "pageTextStyle": {"color": look.soft},
            "top": 0,
            "left": 0,
            "icon": "roundRect",
            "itemWidth": 12,
            "itemHeight": 12,
            # Wide enough apart for the larger letters on paper.
            "itemGap": 38,
            "selectedMode": False,
            "textStyle": {"color": look.soft, "fontSize": 14, "fontFamily": FONT},
        },
        "tooltip": {**base(look)["tooltip"], "trigger": "item", "formatter": "{@[2]}"},
        "xAxis": amounts_axis if horizontal else names_axis,
        "yAxis": names_axis if horizontal else amounts_axis,
        "series": [
            {
                "name": part.name,
                "type": "bar",
                "stack": "whole",
                "data": [datum(part, index) for index in range(len(categories))],
                **HOVERED,
                "itemStyle": {"color": part.colour, "borderColor": look.ground, "borderWidth": 0.5},
                "barCategoryGap": "32%",
                "barMaxWidth": 44,
                "emphasis": {"disabled": True},
                **clicks(look, clickable),
            }
            for part in parts
        ],
    }


@dataclass(frozen=True)
class Rank:
    """One bar of a ranking. `note` follows the value at the bar."""

    name: str
    value: Any
    note: str = ""
    colour: str = ""


def _left_names(named: Sequence[Any]) -> Option:
    """Names of horizontal bars, flush left with the title above them, as wide as the longest needs on paper."""
    longest = max((len(item.name if hasattr(item, "name") else str(item)) for item in named), default=8)
    width = min(max(longest * 9, 72), 240)
    return {"interval": 0, "align": "left", "margin": width + 12, "width": width, "overflow": "truncate"}


def ranked_bars(look: Tokens, ranks: Sequence[Rank], *, unit: str, clickable: bool = False) -> Option:
    """Horizontal bars in the order given, labelled at the bar."""
    scale = scale_for(unit, [rank.value for rank in ranks])
    data = []
    longest = 0
    for index, rank in enumerate(ranks):
        text = fmt.exact(rank.value, unit)
        label = f"{fmt.short(rank.value, unit)}  {rank.note}".strip()
        longest = max(longest, len(label))
        data.append(
            {
                "value": [scale.of(rank.value), index, f"{rank.name}\n{text} {rank.note}".strip()],
                "label": {"formatter": label.replace("{", "(").replace("}", ")")},
                **({"itemStyle": {"color": rank.colour}} if rank.colour else {}),
            }
        )
    series: Option = {
        "type": "bar",
        "data": data,
        **HOVERED,
        "itemStyle": {"color": look.accent, "borderRadius": [0, 2, 2, 0]},
        "barMaxWidth": 18,
        "barCategoryGap": "36%",
        "label": {
            "show": True,
            "position": "right",
            "color": look.ink,
            "fontSize": 12,
            "distance": 6,
        },
        "emphasis": {"disabled": True},
        **clicks(look, clickable),
    }
    axis_label = {**_left_names(ranks), "color": look.ink}
    narrow = {"width": NARROW_NAMES, "margin": NARROW_NAMES + 8}
    return {
        **base(look),
        # On a phone names and labels leave room for the bars.
        "media": [
            {
                "query": {"maxWidth": PHONE_WIDTH},
                "option": {
                    "grid": {"left": NARROW_NAMES + 8, "right": max(88, 6 * longest)},
                    "yAxis": {"axisLabel": narrow},
                },
            }
        ],
        "grid": {"left": axis_label["margin"], "right": max(128, 7 * longest), "top": 4, "bottom": 4},
        "tooltip": {**base(look)["tooltip"], "trigger": "item", "formatter": "{@[2]}"},
        "xAxis": {**value_axis(look, scale, min=0), "show": False},
        "yAxis": {
            **category_axis(look, [rank.name for rank in ranks], inverse=True, label=axis_label),
            "axisLine": {"show": False},
            "triggerEvent": clickable,
        },
        "series": [series],
    }
