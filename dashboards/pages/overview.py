"""Overview: the four areas at a glance, what is collected, and what changed most."""

from collections.abc import Collection, Sequence
from decimal import Decimal

from dashboards import blocks, breakdowns, chance, figures, findings, markup, rows, shell, widgets
from dashboards import format as fmt
from dashboards.breakdowns import Level, Member
from dashboards.chance import Verdict
from dashboards.shell import PageContext
from serving.modules import PAGES
from serving.modules.overview import MAIN, SIXTH

PAGE = PAGES["overview"]
# A change counts by how far it goes and by how much of the work it touches: the metric that says how much.
VOLUME = {
    "denial_rate": "remitted_claims",
    "net_collection_rate": "claims",
    "no_show_rate": "appointments",
    "cycle_time_minutes": "encounters",
    "completed_appointments": "completed_appointments",
    "encounters": "encounters",
}
MEMBERS = tuple(dict.fromkeys([*PAGE.table, *VOLUME, *VOLUME.values()]))
MOST_CHANGES = 6
# One of these in size is worth telling: a point of a rate, five per cent of anything else.
POINT, PER_CENT = Decimal("0.01"), Decimal("0.05")


def draw(context: PageContext) -> None:
    source, view = context.source, context.view
    loaded = figures.load(source, view, [*PAGE.tiles, *SIXTH, *MAIN, *PAGE.table])
    sixth = next((name for name in SIXTH if name in loaded and loaded[name].value is not None), "")
    level = breakdowns.below(source, view, MEMBERS)
    if shell.before_data(context, loaded):
        return
    found, tested = _changes(context, level.members, {name for name, figure in loaded.items() if figure.caution})
    shell.head(context, _finding(loaded, level))
    names = [name for name in [*PAGE.tiles, sixth] if name in loaded]
    names = names or [name for name in loaded if loaded[name].value is not None][:6]
    blocks.tiles(context, {name: loaded[name] for name in names}, {name: _page_action(context, name) for name in names})
    main = next((name for name in MAIN if name in loaded and loaded[name].value), None)
    if main:
        titles = {"payer_paid_amount": "What payers paid", "encounters": "Encounters", "claims": "Claims"}
        label = source.metrics[main].label
        blocks.trend(context, main, title=f"{titles.get(main, label)} over time")
    blocks.section(
        "What changed most",
        f"{view.period.name} against {view.compared.name}, by {level.noun}; weighed by how much of the work it touches",
    )
    if found:
        context.html(markup.changes([item[1:] for item in found[:MOST_CHANGES]]), key="cm_changes")
    else:
        blocks.empty(context, "No change worth telling", _nothing_changed(level, tested), "cm_changes_none")
    blocks.level_table(context, level, PAGE.table, lead=_lead(loaded), loaded=loaded)
    rows.draw(context)


def _lead(loaded: dict[str, figures.Figure]) -> str:
    return next((name for name in ("no_show_rate", "denial_rate", "encounters") if name in loaded), PAGE.table[0])


def _page_action(context: PageContext, metric: str) -> str:
    """A tile leads to the page of its area."""
    module = context.source.metrics[metric].module
    return f"{widgets.PAGE}{module}?" if module in context.pages else ""


def _finding(loaded: dict[str, figures.Figure], level: Level) -> str:
    """How the tiles stand in a sentence: how many got better or worse, else the visits."""
    shown = [loaded[name] for name in [*PAGE.tiles, *SIXTH] if name in loaded]
    judged = [figure for figure in shown if not figure.problem and not figure.caution]
    worse = [figure for figure in judged if figure.change.tone == "bad" and not findings.is_steady(figure)]
    better = [figure for figure in judged if figure.change.tone == "good" and not findings.is_steady(figure)]
    if not worse and not better:
        lead = next(
            (loaded[name] for name in ("completed_appointments", "encounters", "claims") if name in loaded), None
        )
        return findings.finding(lead, lead.metric.label if lead else "Overview", level)
    if worse and better:
        return f"{_names(worse)} got worse; {_names(better).lower() if len(better) < 3 else 'other figures'} got better"
    return f"{_names(worse or better)} got {'worse' if worse else 'better'}"


def _names(chosen: Sequence[figures.Figure]) -> str:
    labels = [
        chosen[0].metric.label,
        *[figure.metric.label[:1].lower() + figure.metric.label[1:] for figure in chosen[1:]],
    ]
    if len(labels) > 3:
        return f"{labels[0]}, {labels[1]} and {len(labels) - 2} other figures"
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _nothing_changed(level: Level, tested: int) -> str:
    """Why the list of changes is empty: tested and found to be chance, or not tested."""
    if tested:
        changes = fmt.plural(tested, "change")
        return f"{changes} of rates and counts tested by {level.noun}: none is larger than chance would explain and worth telling."
    return f"No {level.noun} has enough cases in both periods to tell a change from chance: {chance.LEAST_VOLUME} are needed."


def _changes(
    context: PageContext, members: Sequence[Member], moving: Collection[str]
) -> tuple[list[tuple[Decimal, fmt.Change, str, str, str]], int]:
    """The changes of all members and metrics, the weightiest first: (weight, change, headline, detail, action). And how many were
    tested.

    Figures that are `moving` still are left out, and changes that are no more than chance.
    """
    found, tested = [], 0
    for name, volume in VOLUME.items():
        metric = context.source.metrics.get(name)
        if metric is None or volume not in context.source.metrics or name in moving:
            continue
        whole = sum((fmt.decimal(m.now.get(volume) or 0) for m in members), Decimal(0))
        for member in members:
            now, before, size = member.now.get(name), member.before.get(name), fmt.decimal(member.now.get(volume) or 0)
            if now is None or before is None or size < chance.LEAST_VOLUME or not whole or not member.moves:
                continue
            tested += member.verdict(context.source, name) in (Verdict.REAL, Verdict.CHANCE)
            change = member.change(context.source, name, context.view.compared.name)
            gap = abs(fmt.decimal(now) - fmt.decimal(before))
            step = gap / POINT if metric.unit == "percent" else gap / (abs(fmt.decimal(before)) or 1) / PER_CENT
            if change.tone not in ("good", "bad") or step < 1:
                continue
            action = f"{widgets.PAGE}{metric.module}?{widgets.move(**member.moves).removeprefix(widgets.MOVE)}"
            detail = f"from {fmt.short(before, metric.unit)} to {fmt.short(now, metric.unit)}"
            weight = step * (size / whole).sqrt()
            found.append((weight, change, f"{metric.label} in {member.name}: {change.text}", detail, action))
    return sorted(found, key=lambda item: (-item[0], item[2])), tested
