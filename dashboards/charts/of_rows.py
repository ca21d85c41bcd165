"""A chart of any rows: one column across, one or more columns of numbers up."""

import math
from collections.abc import Sequence
from typing import Any

import polars as pl

from dashboards import format as fmt
from dashboards.charts.axes import HOVERED, Option, Scale, base, category_axis, value_axis
from dashboards.theme import Tokens

BARS, LINE, POINTS = "Bars", "Line", "Points"
KINDS = (BARS, LINE, POINTS)
# More marks than this cannot be told apart, and more series than there are colours neither.
MOST_MARKS, MOST_SERIES = 500, 6
_TYPES = {BARS: "bar", LINE: "line", POINTS: "scatter"}


def number_columns(frame: pl.DataFrame) -> list[str]:
    """The columns that can be drawn upwards."""
    return [name for name, kind in frame.schema.items() if kind.is_numeric()]


def across_columns(frame: pl.DataFrame) -> list[str]:
    """The columns that can be drawn across: texts, days, numbers; those without numbers first."""
    plain = [name for name, kind in frame.schema.items() if not kind.is_nested() and kind != pl.Binary]
    return sorted(plain, key=lambda name: frame.schema[name].is_numeric())


def chart_of_rows(look: Tokens, frame: pl.DataFrame, kind: str, across: str, up: Sequence[str]) -> Option:
    """The first MOST_MARKS rows in their order, with a series for each of the first MOST_SERIES columns `up`. `kind` is one of KINDS.

    Points stand at their value across where that is a number, bars and lines beside each other.
    """
    shown, series = frame.head(MOST_MARKS), list(up)[:MOST_SERIES]
    is_by_number = kind == POINTS and shown.schema[across].is_numeric()
    places = [_number(value) for value in shown[across]] if is_by_number else list(range(shown.height))
    names = _names(shown[across])
    scale = Scale(1, "{value}")
    axis = value_axis(look, scale) if is_by_number else category_axis(look, names)
    return base(look) | {
        "grid": {"left": 8, "right": 16, "top": 40 if len(series) > 1 else 16, "bottom": 8, "containLabel": True},
        "legend": {"show": len(series) > 1, "top": 0, "left": 0, "textStyle": {"color": look.soft}},
        "xAxis": axis,
        "yAxis": value_axis(look, scale),
        "series": [
            {
                "type": _TYPES[kind],
                "name": name,
                "data": [
                    [place, _number(value), f"{names[row]}\n{name}: {_shown(value)}"]
                    for row, (place, value) in enumerate(zip(places, shown[name], strict=True))
                ],
                **HOVERED,
                "itemStyle": {"color": colour},
                "lineStyle": {"color": colour},
                "symbolSize": 7,
                "cursor": "default",
            }
            for name, colour in zip(series, (look.accent, *look.parts), strict=False)
        ],
    }


def _names(values: pl.Series) -> list[str]:
    """What stands below each mark. Moments that all begin a day are shown as days."""
    is_by_day = values.dtype == pl.Datetime and (values.dt.truncate("1d") == values).all()
    return ["" if value is None else str(value) for value in (values.dt.date() if is_by_day else values)]


def _number(value: Any) -> float | None:
    """None also for what has no place on an axis: not a number, and infinity, which JSON cannot hold."""
    return float(value) if value is not None and math.isfinite(value) else None


def _shown(value: Any) -> str:
    return fmt.DASH if value is None else str(value)
