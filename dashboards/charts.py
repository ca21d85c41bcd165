"""ECharts options. Pure: values in, a JSON-like dict out, all colours from the tokens.

Values arrive in the metric's unit and are scaled here so that an axis says its unit in short ticks; the exact value
travels with each mark as a text for the hover. Bars start at zero, series are labelled where they are, no dual axis.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import floor, log10
from typing import Any

from dashboards import format as fmt
from dashboards.theme import FONT, Tokens

# Two ends of lines closer than this part of the axis have names that would overlap.
CLOSE = 0.07
# Stands behind the name of a closed month.
CLOSED_MARK, CLOSED_NOTE = " ■", "■ month is closed"

# Charts up to this width, in pixels, are those of phones.
PHONE_WIDTH, NARROW_NAMES = 420, 112

Option = dict[str, Any]
Point = tuple[date, Any]


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


def _base(look: Tokens) -> Option:
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


def _category_axis(look: Tokens, names: Sequence[str], **more: Any) -> Option:
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


def _value_axis(look: Tokens, scale: Scale, **more: Any) -> Option:
    return {
        "type": "value",
        "splitNumber": 4,
        "axisLabel": {"color": look.soft, "fontSize": 12, "formatter": scale.tick},
        "splitLine": {"lineStyle": {"color": look.line}},
        **more,
    }


def month_names(months: Sequence[date], closed: frozenset[date] = frozenset()) -> list[str]:
    """Mar for each month, with the year at the first and at each January; closed months are marked."""
    return [
        f"{month:%b}{CLOSED_MARK if month in closed else ''}"
        + (f"\n{month.year}" if not index or month.month == 1 else "")
        for index, month in enumerate(months)
    ]


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


# A mark is [x, y, text of its hover].
_HOVERED: Option = {"dimensions": ["x", "y", "hover"], "encode": {"x": 0, "y": 1, "tooltip": 2}}


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
            **_HOVERED,
            "symbol": "circle",
            "symbolSize": 7,
            # The line itself is drawn by two series below: settled months, and those that will still move.
            "lineStyle": {"opacity": 0},
            "itemStyle": {"color": look.accent},
            "endLabel": {**end_label, "color": look.accent, "fontWeight": 600, "offset": [0, -nudge]},
            "emphasis": {"disabled": True},
            "z": 3,
            **_clicks(look, clickable),
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
                **_HOVERED,
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
        **_base(look),
        "grid": {"left": 8, "right": 132, "top": 16, "bottom": 8, "containLabel": True},
        "tooltip": {**_base(look)["tooltip"], "trigger": "axis", "formatter": "{@[2]}"},
        "xAxis": _category_axis(look, names, boundaryGap=True, label={"interval": 0}),
        "yAxis": _value_axis(look, scale, min=0, **room),
        "series": series,
    }


def _columns(look: Tokens, values: Sequence[float | None], top: float) -> Option:
    """Unseen bars as high as the axis, one for each month with a value: what a click on a month hits."""
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
    share: bool = False,
    horizontal: bool = False,
    clickable: bool = False,
    full_names: Sequence[str] = (),
) -> Option:
    """Stacked bars in the order of the parts. `share` draws each bar as 100 %; hovers always give the exact value.

    `full_names` name the bars in hovers, where the axis writes them short (months without their year).
    """
    hover_names = full_names or categories
    totals = [_sum([part.values[index] for part in parts]) for index in range(len(categories))]
    scale = scale_for("percent" if share else unit, [1] if share else totals)

    def datum(part: Part, index: int) -> list[Any]:
        value = part.values[index]
        whole = totals[index]
        drawn = fmt.decimal(value) / fmt.decimal(whole) if share and value is not None and whole else value
        shown = None if share and not whole else scale.of(drawn)
        text = _hover_item(hover_names[index], part.name, value, whole, unit)
        return [shown, index, text] if horizontal else [index, shown, text]

    label: Option = {"interval": 0} if len(categories) <= 16 else {}
    grid: Option = {"left": 8, "right": 16, "top": 44, "bottom": 8, "containLabel": True}
    if horizontal:
        label = {**_left_names(categories), "color": look.ink}
        grid = {"left": label["margin"], "right": 24, "top": 36, "bottom": 28}
    category_axis = _category_axis(look, categories, label=label)
    # Shares of people may add up to a little more than all: one person can have two payers in a period.
    is_whole = unit == "percent" and all(total is None or total <= 1.005 for total in totals)
    value_axis = _value_axis(look, scale, min=0, **({"max": 100, "interval": 25} if share or is_whole else {}))
    if horizontal:
        category_axis["inverse"] = True
    return {
        **_base(look),
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
        "tooltip": {**_base(look)["tooltip"], "trigger": "item", "formatter": "{@[2]}"},
        "xAxis": value_axis if horizontal else category_axis,
        "yAxis": category_axis if horizontal else value_axis,
        "series": [
            {
                "name": part.name,
                "type": "bar",
                "stack": "whole",
                "data": [datum(part, index) for index in range(len(categories))],
                **_HOVERED,
                "itemStyle": {"color": part.colour, "borderColor": look.ground, "borderWidth": 0.5},
                "barCategoryGap": "32%",
                "barMaxWidth": 44,
                "emphasis": {"disabled": True},
                **_clicks(look, clickable),
            }
            for part in parts
        ],
    }


def _clicks(look: Tokens, clickable: bool) -> Option:
    if not clickable:
        return {"cursor": "default"}
    return {"cursor": "pointer", "selectedMode": "single", "select": {"itemStyle": {"borderColor": look.ink}}}


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
        **_HOVERED,
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
        **_clicks(look, clickable),
    }
    axis_label = {**_left_names(ranks), "color": look.ink}
    narrow = {"width": NARROW_NAMES, "margin": NARROW_NAMES + 8}
    return {
        **_base(look),
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
        "tooltip": {**_base(look)["tooltip"], "trigger": "item", "formatter": "{@[2]}"},
        "xAxis": {**_value_axis(look, scale, min=0), "show": False},
        "yAxis": {
            **_category_axis(look, [rank.name for rank in ranks], inverse=True, label=axis_label),
            "axisLine": {"show": False},
            "triggerEvent": clickable,
        },
        "series": [series],
    }


def _heat_ends(values_shown: Sequence[Any], unit: str) -> list[str]:
    """What stands at the dark and at the pale end of the hues."""
    if not values_shown:
        return ["", ""]
    low, high = (
        fmt.short(min(values_shown), unit),
        fmt.short(max(max(values_shown), min(values_shown) * fmt.decimal(1.5)), unit),
    )
    return ["", f"All {low}"] if min(values_shown) == max(values_shown) else [high, low]


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


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
        **_base(look),
        "grid": {"left": 8, "right": 8, "top": 8, "bottom": 52, "containLabel": True},
        "tooltip": {**_base(look)["tooltip"], "trigger": "item", "formatter": "{@[3]}"},
        "xAxis": {
            **_category_axis(look, [f"{hour:02d}:00" for hour in hours]),
            "axisLine": {"show": False},
        },
        "yAxis": {
            **_category_axis(look, [WEEKDAYS[number] for number in days], inverse=True),
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
                **_clicks(look, clickable),
            }
        ],
    }
