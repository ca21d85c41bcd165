"""A line by month, with its comparison, its usual range and the months that will still move."""

from collections.abc import Sequence
from datetime import date
from math import floor, log10
from typing import Any

from dashboards import format as fmt
from dashboards.charts.axes import (
    HOVERED,
    Option,
    Point,
    Scale,
    base,
    category_axis,
    clicks,
    month_names,
    scale_for,
    value_axis,
)
from dashboards.theme import Tokens

# Two ends of lines closer than this part of the axis have names that would overlap.
CLOSE = 0.07


def _plain_line(values: Sequence[float | None], first: int, style: Option) -> Option:
    """A line through values from the axis's place `first` on, without marks and hovers."""
    return {
        "type": "line",
        "data": [[first + index, value] for index, value in enumerate(values)],
        "symbol": "none",
        "silent": True,
        "tooltip": {"show": False},
        "lineStyle": style,
        "emphasis": {"disabled": True},
        "z": 2,
    }


def _usual_band(look: Tokens, usual: tuple[float, float] | None, scale: Scale) -> list[Option] | None:
    """The usual range as an area from limit to limit; the lower limit of what cannot be negative is 0."""
    if usual is None:
        return None
    style = {"color": look.line, "opacity": 0.45}
    return [{"yAxis": max(scale.of(usual[0]) or 0.0, 0.0), "itemStyle": style}, {"yAxis": scale.of(usual[1])}]


def _band(look: Tokens, months: Sequence[date], chosen: tuple[date, date]) -> list[Option] | None:
    """The chosen period as a shaded area."""
    inside = [index for index, month in enumerate(months) if chosen[0].replace(day=1) <= month <= chosen[1]]
    if not inside:
        return None
    return [
        {"xAxis": inside[0], "itemStyle": {"color": look.accent_soft, "opacity": 0.55}},
        {"xAxis": inside[-1]},
    ]


def _apart(now: float | None, earlier: float | None, scale: Scale, values: Sequence[Any]) -> int:
    """How far to move the two names at the lines' ends from each other, in pixels; 0 where they are apart already."""
    top = max((abs(scale.of(value) or 0.0) for value in values), default=0.0)
    if now is None or earlier is None or not top or abs(now - earlier) / top > CLOSE:
        return 0
    return 8 if now >= earlier else -8


def _line_hovers(
    trend: Sequence[Point],
    earlier: Sequence[Any] | None,
    *,
    name: str,
    earlier_name: str,
    unit: str,
    hollow: frozenset[date],
    usual: tuple[float, float] | None,
) -> list[str]:
    """For each month the exact values of both lines and the usual range, a line of text each."""
    limits = f"Usual range: {fmt.exact(usual[0], unit)} to {fmt.exact(usual[1], unit)}" if usual else ""
    texts = []
    for index, (month, value) in enumerate(trend):
        still = ", still settling" if month in hollow and value is not None else ""
        lines = [fmt.month(month), f"{name}: {fmt.exact(value, unit)}{still}"]
        if earlier and any(item is not None for item in earlier):
            lines.append(f"{earlier_name}: {fmt.exact(earlier[index], unit)}")
        lines += [limits] if limits else []
        texts.append("\n".join(lines))
    return texts


def line_over_time(
    look: Tokens,
    trend: Sequence[Point],
    *,
    name: str,
    unit: str,
    chosen: tuple[date, date],
    earlier: Sequence[Any] | None = None,
    earlier_name: str = "",
    hollow: frozenset[date] = frozenset(),
    closed: frozenset[date] = frozenset(),
    usual: tuple[float, float] | None = None,
    clickable: bool = False,
) -> Option:
    """A line by month; the comparison dashed, the chosen period shaded, months that will still move drawn hollow on a dotted line,
    closed ones marked.

    `earlier` is the comparison's value for each month of `trend`. `usual` are the control limits: a pale band, and a ring around
    settled months outside it. `clickable`: a click anywhere above a month chooses it, not on its small point alone.
    """
    months = [month for month, _ in trend]
    every = [value for _, value in trend] + list(earlier or [])
    scale = scale_for(unit, every)
    names = month_names(months, closed)
    hovers = _line_hovers(trend, earlier, name=name, earlier_name=earlier_name, unit=unit, hollow=hollow, usual=usual)
    last_settled = max((i for i, (m, v) in enumerate(trend) if v is not None and m not in hollow), default=-1)

    def point(index: int, month: date, value: Any) -> Any:
        datum = [index, scale.of(value), hovers[index]]
        if value is not None and month in hollow:
            return {"value": datum, "itemStyle": {"color": look.ground, "borderColor": look.faint, "borderWidth": 2}}
        if value is not None and usual and not usual[0] <= float(value) <= usual[1]:
            ring = {"color": look.accent, "borderColor": look.ink, "borderWidth": 2}
            return {"value": datum, "symbolSize": 11, "itemStyle": ring}
        return datum

    nudge = _apart(scale.of(trend[-1][1]) if trend else None, scale.of(earlier[-1]) if earlier else None, scale, every)
    end_label = {"show": True, "formatter": "{a}", "fontSize": 12, "distance": 8}
    series: list[Option] = [
        {
            "name": name,
            "type": "line",
            "data": [point(index, month, value) for index, (month, value) in enumerate(trend)],
            **HOVERED,
            "symbol": "circle",
            "symbolSize": 7,
            # The line itself is drawn by two series below: settled months, and those that will still move.
            "lineStyle": {"opacity": 0},
            "itemStyle": {"color": look.accent},
            "endLabel": {**end_label, "color": look.accent, "fontWeight": 600, "offset": [0, -nudge]},
            "emphasis": {"disabled": True},
            "z": 3,
            **clicks(look, clickable),
        }
    ]
    areas = [area for area in (_band(look, months, chosen), _usual_band(look, usual, scale)) if area]
    if areas:
        series[0]["markArea"] = {"silent": True, "data": areas}
    values = [scale.of(value) for _, value in trend]
    settled, moving = values[: last_settled + 1], values[max(last_settled, 0) :]
    series.append(_plain_line(settled, 0, {"color": look.accent, "width": 2.5}))
    if len(moving) > 1 and any(month in hollow for month in months):
        series.append(_plain_line(moving, max(last_settled, 0), {"color": look.faint, "width": 2, "type": "dotted"}))
    if earlier and any(value is not None for value in earlier):
        series.append(
            {
                "name": earlier_name,
                "type": "line",
                "data": [[index, scale.of(value), hovers[index]] for index, value in enumerate(earlier)],
                **HOVERED,
                "symbol": "none",
                "lineStyle": {"color": look.faint, "width": 1.5, "type": "dashed"},
                "itemStyle": {"color": look.faint},
                "endLabel": {**end_label, "color": look.soft, "offset": [0, nudge]},
                "emphasis": {"disabled": True},
            }
        )
    room = _room_for(usual, every, scale, always=clickable)
    if clickable:
        series.append(_columns(look, values, room["max"]))
    return {
        **base(look),
        "grid": {"left": 8, "right": 132, "top": 16, "bottom": 8, "containLabel": True},
        "tooltip": {**base(look)["tooltip"], "trigger": "axis", "formatter": "{@[2]}"},
        "xAxis": category_axis(look, names, boundaryGap=True, label={"interval": 0}),
        "yAxis": value_axis(look, scale, min=0, **room),
        "series": series,
    }


def _columns(look: Tokens, values: Sequence[float | None], top: float) -> Option:
    """Invisible bars as high as the axis, one for each month with a value: they take the clicks on a month."""
    return {
        "type": "bar",
        "data": [[index, None if value is None else top] for index, value in enumerate(values)],
        "barWidth": "100%",
        "itemStyle": {"color": look.accent, "opacity": 0},
        "emphasis": {"itemStyle": {"opacity": 0.08}},
        "tooltip": {"show": False},
        "z": 1,
        "cursor": "pointer",
        "selectedMode": "single",
        "select": {"itemStyle": {"color": look.accent, "opacity": 0.08, "borderWidth": 0}},
    }


def _room_for(usual: tuple[float, float] | None, values: Sequence[Any], scale: Scale, *, always: bool) -> Option:
    """An end of the axis above the usual range, where the values alone would end it below, or `always`; else nothing."""
    top = max((scale.of(value) or 0.0 for value in values), default=0.0)
    limit = scale.of(usual[1]) if usual else None
    if not always and (limit is None or limit <= top):
        return {}
    least = max(limit or 0.0, top) / 4 or 0.25
    power = 10 ** floor(log10(least))
    step = next(power * factor for factor in (1, 1.5, 2, 2.5, 5, 10) if power * factor >= least)
    return {"max": step * 4, "interval": step}
