"""Annotations on a chart over time: a mark above each month that has one, and its text where the month is hovered."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

from dashboards.charts.axes import Option
from dashboards.theme import Tokens

ANNOTATION_MARK = "◆"
# Hovers are as wide as their longest line.
_CHARACTERS_A_LINE = 60


def annotated(look: Tokens, option: Option, texts: Sequence[str]) -> Option:
    """The chart with its annotations. `texts` has the annotations of each place of the horizontal axis, a line each; empty for none.

    A chart without marks, such as one whose values are all hidden, stays as it is.
    """
    if not any(texts) or not option["series"]:
        return option
    hovers = ["\n".join(fill(line, _CHARACTERS_A_LINE) for line in text.splitlines()) for text in texts]
    first, *others = [
        {**series, "data": [_noted(datum, hovers) for datum in series["data"]]} for series in option["series"]
    ]
    line: Option = {
        "silent": True,
        "symbol": "none",
        "animation": False,
        "lineStyle": {"color": look.faint, "width": 1, "type": [2, 3]},
        "label": {"show": True, "formatter": ANNOTATION_MARK, "position": "end", "distance": 2, "color": look.soft},
        "data": [{"xAxis": place} for place, text in enumerate(texts) if text],
    }
    return {**option, "series": [{**first, "markLine": line}, *others]}


def _noted(datum: Any, hovers: Sequence[str]) -> Any:
    """A mark ([place, value, hover]) with the annotations of its place in its hover; a mark without a hover as it is."""
    values = datum["value"] if isinstance(datum, dict) else datum
    if len(values) < 3 or not hovers[values[0]]:
        return datum
    with_text = [*values[:2], f"{values[2]}\n{hovers[values[0]]}"]
    return {**datum, "value": with_text} if isinstance(datum, dict) else with_text
