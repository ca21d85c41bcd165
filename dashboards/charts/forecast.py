"""What came as a line, what is forecast as a dashed line, and its band as an area."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from dashboards import format as fmt
from dashboards.charts.axes import HOVERED, Option, base, category_axis, scale_for, value_axis
from dashboards.theme import Tokens


@dataclass(frozen=True)
class Expected:
    """What is forecast of a period, with the limits of its band."""

    value: Any
    low: Any
    high: Any


def forecast_band(
    look: Tokens,
    periods: Sequence[date],
    came: Sequence[Any],
    expected: Sequence[Expected | None],
    *,
    name: str,
    unit: str,
) -> Option:
    """A line of what came and a dashed one of what is forecast, with its band. All lists have an entry for each of `periods` (first
    days); `came` is null for periods that are still to come, `expected` for those that were not forecast. The forecast begins at the last
    value before it, so that both lines meet."""
    scale = scale_for(unit, [*came, *(item.high for item in expected if item)])
    hovers = [
        "\n".join(
            [
                fmt.day(day),
                *([f"{name}: {fmt.exact(value, unit)}"] if value is not None else []),
                *(
                    [
                        f"Forecast: {fmt.exact(item.value, unit)}",
                        f"90 % band: {fmt.exact(item.low, unit)} to {fmt.exact(item.high, unit)}",
                    ]
                    if item
                    else []
                ),
            ]
        )
        for day, value, item in zip(periods, came, expected, strict=True)
    ]
    begins = next((place for place, item in enumerate(expected) if item), len(periods))
    joined = [*expected]
    if 0 < begins < len(periods) and came[begins - 1] is not None:
        # Where the lines meet the band has no width.
        joined[begins - 1] = Expected(came[begins - 1], came[begins - 1], came[begins - 1])
    low = [scale.of(item.low) if item else None for item in joined]
    width = [(scale.of(item.high) or 0.0) - (scale.of(item.low) or 0.0) if item else None for item in joined]
    end_label = {"show": True, "formatter": "{a}", "fontSize": 12, "distance": 8}
    unseen: Option = {"symbol": "none", "silent": True, "tooltip": {"show": False}, "lineStyle": {"opacity": 0}}
    return {
        **base(look),
        "grid": {"left": 8, "right": 96, "top": 16, "bottom": 8, "containLabel": True},
        "tooltip": {**base(look)["tooltip"], "trigger": "axis", "formatter": "{@[2]}"},
        "xAxis": category_axis(look, [f"{day.day} {day:%b}" for day in periods], boundaryGap=False),
        "yAxis": value_axis(look, scale, min=0),
        "series": [
            {
                # First, for its hover: it has a mark at every period.
                "name": "periods",
                "type": "line",
                "data": [[place, 0, hover] for place, hover in enumerate(hovers)],
                **HOVERED,
                "symbol": "none",
                "lineStyle": {"opacity": 0},
            },
            {"name": "low", "type": "line", "stack": "band", "data": low, **unseen},
            {
                "name": "band",
                "type": "line",
                "stack": "band",
                "data": width,
                **unseen,
                "areaStyle": {"color": look.accent, "opacity": 0.16},
            },
            {
                "name": "Forecast",
                "type": "line",
                "data": [scale.of(item.value) if item else None for item in joined],
                "symbol": "none",
                "tooltip": {"show": False},
                "lineStyle": {"color": look.accent, "width": 2, "type": "dashed"},
                "itemStyle": {"color": look.accent},
                "endLabel": {**end_label, "color": look.accent, "fontWeight": 600},
                "z": 3,
            },
            {
                "name": name,
                "type": "line",
                "data": [scale.of(value) for value in came],
                "symbol": "none",
                "tooltip": {"show": False},
                "lineStyle": {"color": look.ink, "width": 2},
                "itemStyle": {"color": look.ink},
                "z": 4,
            },
        ],
    }
