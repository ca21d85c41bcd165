"""A heat map of weekday by hour."""

from collections.abc import Mapping, Sequence
from typing import Any

from dashboards import format as fmt
from dashboards.charts.axes import Option, base, category_axis, clicks, scale_for
from dashboards.theme import FONT, Tokens

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _heat_ends(values_shown: Sequence[Any], unit: str) -> list[str]:
    """The labels at the dark and at the pale end of the colour scale."""
    if not values_shown:
        return ["", ""]
    low, high = (
        fmt.short(min(values_shown), unit),
        fmt.short(max(max(values_shown), min(values_shown) * fmt.decimal(1.5)), unit),
    )
    return ["", f"All {low}"] if min(values_shown) == max(values_shown) else [high, low]


def heat_map(
    look: Tokens,
    cells: Mapping[tuple[int, int], Any],
    *,
    name: str,
    unit: str,
    counts: Mapping[tuple[int, int], Any] | None = None,
    counted: str = "",
    clickable: bool = False,
) -> Option:
    """Weekday by hour in one hue. `cells` maps (weekday 0 to 6 from Monday, hour 0 to 23) to a value; gaps stay empty.

    `counts` says for each cell how many of `counted` it rests on. Cells that differ little are all pale.
    """
    days = [number for number in range(7) if number < 5 or any(day == number for day, _ in cells)]
    hours = list(range(min((hour for _, hour in cells), default=8), max((hour for _, hour in cells), default=17) + 1))
    scale = scale_for(unit, list(cells.values()))
    data = []
    for (weekday, hour), value in sorted(cells.items()):
        if value is not None:
            count = (counts or {}).get((weekday, hour))
            base_line = f"\n{counted}: {fmt.exact(count, 'count')}" if count is not None else ""
            text = (
                f"{WEEKDAYS[weekday]}, {hour:02d}:00 to {hour + 1:02d}:00\n{name}: {fmt.exact(value, unit)}{base_line}"
            )
            data.append([hours.index(hour), days.index(weekday), scale.of(value), text])
    drawn = [float(value) / scale.divisor for value in cells.values() if value is not None]
    values_shown = [fmt.decimal(value) for value in cells.values() if value is not None]
    low, high = min(drawn, default=0.0), max(drawn, default=1.0)
    return {
        **base(look),
        "grid": {"left": 8, "right": 8, "top": 8, "bottom": 52, "containLabel": True},
        "tooltip": {**base(look)["tooltip"], "trigger": "item", "formatter": "{@[3]}"},
        "xAxis": {
            **category_axis(look, [f"{hour:02d}:00" for hour in hours]),
            "axisLine": {"show": False},
        },
        "yAxis": {
            **category_axis(look, [WEEKDAYS[number] for number in days], inverse=True),
            "axisLine": {"show": False},
        },
        "visualMap": {
            "type": "continuous",
            "min": low,
            # The darkest hue is at least half as much again as the palest, so that an even week stays pale.
            "max": max(high, low * 1.5) or 1,
            "dimension": 2,
            "orient": "horizontal",
            "left": "right",
            "bottom": 0,
            "itemWidth": 12,
            "itemHeight": 160,
            "calculable": False,
            "text": _heat_ends(values_shown, unit),
            "textStyle": {"color": look.soft, "fontSize": 12, "fontFamily": FONT},
            "inRange": {"color": list(look.heat)},
        },
        "series": [
            {
                "type": "heatmap",
                "data": data,
                "dimensions": ["hour", "weekday", "value", "hover"],
                "encode": {"x": 0, "y": 1, "value": 2, "tooltip": 3},
                "itemStyle": {"borderColor": look.ground, "borderWidth": 2},
                "emphasis": {"disabled": True},
                **clicks(look, clickable),
            }
        ],
    }
