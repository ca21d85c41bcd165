"""A scorecard as a table of ranges: dot, usual range and target of each figure of each member. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup
from dashboards.markup import CHEVRON, EMPTY, join
from dashboards.scorecard import Cell, Column, Scorecard


def range_table(
    card: Scorecard,
    lead_to: Callable[[Any], str],
    passport: Callable[[str, Any], str],
    note: str,
    short_names: Mapping[str, str],
) -> Markup:
    """A row a member, a column a metric: dot, pale bar of the usual range, tick of the target, then the figure, which opens its
    `passport` (an action by metric and what narrows the view to the member). `short_names` has names of metrics that are shorter than
    their labels."""
    head = join(
        Markup('<th scope="col">{}</th>').format(short_names.get(column.metric.name, column.metric.label))
        for column in card.columns
    )
    body = []
    for place, (_, name, moves) in enumerate(card.members):
        action = lead_to(moves)
        label = markup.button(Markup("{}{}").format(name, CHEVRON), action, "cm-go") if action else name
        cells = join(
            _unit_cell(column, column.cells[place], passport(column.metric.name, moves) if moves else "")
            for column in card.columns
        )
        body.append(Markup('<tr><th scope="row">{}</th>{}</tr>').format(label, cells))
    return Markup(
        '<div class="cm-scroll"><table class="cm-units"><caption class="cm-hidden">{note}</caption>'
        '<thead><tr><th><span class="cm-hidden">{noun}</span></th>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    ).format(note=note, noun=card.noun.capitalize(), head=head, body=join(body))


def _unit_cell(column: Column, cell: Cell, action: str) -> Markup:
    unit = column.metric.unit
    spread = column.high - column.low or 1.0

    def at(value: float) -> float:
        return min(max((value - column.low) / spread * 100, 0.0), 100.0)

    marks = EMPTY
    lines = []
    if cell.usual:
        low, high = cell.usual
        marks += Markup('<u style="left:{:.1f}%;width:{:.1f}%"></u>').format(at(low), max(at(high) - at(low), 1.0))
        lines.append(f"usual {fmt.short(low, unit)} to {fmt.short(high, unit)}")
    if cell.target is not None:
        marks += Markup('<s style="left:{:.1f}%"></s>').format(at(cell.target))
        lines.append(f"target {fmt.short(cell.target, unit)}")
    if cell.at is not None:
        marks += Markup('<i style="left:{:.1f}%"></i>').format(at(cell.at))
    if cell.value is None:
        lines = ["no figure: nothing to count, or too few people to show"]
    kind = "moving" if cell.is_moving else cell.tone
    words = {"bad": "worse than usual; ", "good": "better than usual; ", "moving": "still settling; "}.get(kind, "")
    value = fmt.short(cell.value, unit)
    if action and cell.value is not None:
        value = markup.button(value, action, "cm-open")
    return Markup(
        '<td class="cm-{kind}" title="{title}"><span aria-hidden="true">{marks}</span><b>{value}</b>'
        '<small class="cm-hidden">{title}</small></td>'
    ).format(kind=kind or "plain", title=f"{words}{'; '.join(lines)}", marks=marks, value=value)
