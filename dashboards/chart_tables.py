"""What charts show, as tables: for people who read with a keyboard or a screen reader. Pure: values in, HTML out.

A table holds the same values as its chart, written exactly; its cells lead where the chart's marks do (`marks` are actions in the
order of the values). `PageContext.chart` folds it away below the chart.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from dashboards import charts, markup
from dashboards import format as fmt


def by_month(
    trend: Sequence[charts.Point],
    *,
    name: str,
    unit: str,
    earlier: Sequence[Any] = (),
    earlier_name: str = "",
    marks: Sequence[str] = (),
    annotations: Sequence[str] = (),
) -> Markup:
    """One row a month: the value and, where there are any, the value it is compared with and its annotations."""
    has_earlier = any(value is not None for value in earlier)
    columns = [markup.Column("Month"), markup.Column(name, unit)]
    columns += [markup.Column(earlier_name, unit)] if has_earlier else []
    titles, noted = _annotation_column(annotations)
    columns += titles
    rows = [
        markup.Row(
            (fmt.month(month), _led(value, marks, index), *([earlier[index]] if has_earlier else []), *noted(index))
        )
        for index, (month, value) in enumerate(trend)
    ]
    return markup.table(columns, rows, caption=f"{name} by month")


def _annotation_column(annotations: Sequence[str]) -> tuple[list[markup.Column], Callable[[int], list[str]]]:
    """The last column of a table over time, and its cell of a row; nothing where no row has an annotation."""
    if not any(annotations):
        return [], lambda _: []
    return [markup.Column("Annotations")], lambda index: ["; ".join(annotations[index].splitlines())]


def _led(value: Any, marks: Sequence[str], index: int) -> Any:
    return markup.Link(value, marks[index]) if marks else value


def of_parts(
    categories: Sequence[str],
    parts: Sequence[charts.Part],
    *,
    unit: str,
    first: str,
    caption: str,
    marks: Sequence[Sequence[str]] = (),
    annotations: Sequence[str] = (),
) -> Markup:
    """One row for each bar, one column for each of its parts and, where there are any, one for annotations. `first` is the title of the
    first column."""
    columns = [markup.Column(first), *[markup.Column(part.name, unit) for part in parts]]
    led = list(marks) or [()] * len(parts)
    titles, noted = _annotation_column(annotations)
    columns += titles
    rows = [
        markup.Row(
            (name, *[_led(part.values[index], own, index) for part, own in zip(parts, led, strict=True)], *noted(index))
        )
        for index, name in enumerate(categories)
    ]
    return markup.table(columns, rows, caption=caption)


def of_ranks(ranks: Sequence[charts.Rank], *, name: str, unit: str, caption: str, marks: Sequence[str] = ()) -> Markup:
    """One row for each bar in the order of the chart, with its note."""
    has_note = any(rank.note for rank in ranks)
    columns = [
        markup.Column("Name"),
        markup.Column(name, unit),
        *([markup.Column("Beside the bar")] if has_note else []),
    ]
    rows = [
        markup.Row((rank.name, _led(rank.value, marks, index), *([rank.note] if has_note else [])))
        for index, rank in enumerate(ranks)
    ]
    return markup.table(columns, rows, caption=caption)


def by_hour(
    cells: Mapping[tuple[int, int], Any],
    *,
    unit: str,
    caption: str,
    marks: Mapping[tuple[int, int], str] | None = None,
) -> Markup:
    """One row an hour, one column a weekday; an empty cell is a dash."""
    days = sorted({day for day, _ in cells})
    hours = sorted({hour for _, hour in cells})
    columns = [markup.Column("Hour"), *[markup.Column(charts.WEEKDAYS[day], unit) for day in days]]
    rows = [
        markup.Row((f"{hour:02d}:00 to {hour + 1:02d}:00", *[_cell(cells, marks or {}, day, hour) for day in days]))
        for hour in hours
    ]
    return markup.table(columns, rows, caption=caption)


def _cell(cells: Mapping[tuple[int, int], Any], marks: Mapping[tuple[int, int], str], day: int, hour: int) -> Any:
    value, action = cells.get((day, hour)), marks.get((day, hour))
    return markup.Link(value, action) if action else value
