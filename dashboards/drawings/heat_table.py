"""A table whose cells are shaded by their share: a triangle by month and age, flows from bucket to bucket. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from dashboards.markup import join


@dataclass(frozen=True, kw_only=True)
class HeatCell:
    """A cell: its value (None: not known yet, an empty cell), how dark it is (0 to 1), more words for its hover, and the action of a
    click. What may still change is drawn open (`is_moving`)."""

    value: Any
    shade: float = 0.0
    note: str = ""
    action: str = ""
    is_moving: bool = False


@dataclass(frozen=True, kw_only=True)
class HeatRow:
    """A row: its name, a figure beside the name (already written), and its cells."""

    name: str
    beside: str
    cells: Sequence[HeatCell]


def heat_table(
    first: str, beside: str, columns: Sequence[str], rows: Sequence[HeatRow], *, unit: str, caption: str
) -> Markup:
    """A row for each month, a column for each age or flow. `first` and `beside` name the first two columns."""
    head = join(Markup('<th scope="col" class="num">{}</th>').format(name) for name in columns)
    body = join(
        Markup('<tr><th scope="row">{}</th><td class="num">{}</td>{}</tr>').format(
            row.name, row.beside, join(_cell(cell, unit) for cell in row.cells)
        )
        for row in rows
    )
    return Markup(
        '<div class="cm-scroll"><table class="cm-heat"><caption class="cm-hidden">{}</caption><thead><tr>'
        '<th scope="col">{}</th><th scope="col" class="num">{}</th>{}</tr></thead><tbody>{}</tbody></table></div>'
    ).format(caption, first, beside, head, body)


def _cell(cell: HeatCell, unit: str) -> Markup:
    if cell.value is None:
        return Markup('<td class="num"></td>')
    text = fmt.short(cell.value, unit)
    shown = markup.button(text, cell.action, "cm-open") if cell.action else text
    kind = " cm-moving" if cell.is_moving else ""
    return Markup('<td class="num{}" style="--cm-shade-share:{:.0f}%" title="{}">{}</td>').format(
        kind, min(max(cell.shade, 0.0), 1.0) * 45, cell.note, shown
    )
