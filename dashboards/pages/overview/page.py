"""Overview: how are we doing, why did it change, what needs attention, where, and can it be trusted; on one screen."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from dashboards import blocks, chance, figures, findings, markup, shell, targets, widgets
from dashboards import format as fmt
from dashboards import level as levels
from dashboards.data import Source
from dashboards.drawings.panel import panel
from dashboards.drawings.ranges import range_table
from dashboards.drawings.waterfall import Bar, waterfall
from dashboards.figures import Figure
from dashboards.level import Answers, Level
from dashboards.pages.overview import attention, html, lead, trust, units
from dashboards.pages.overview.attention import Item
from dashboards.pages.overview.lead import Explained
from dashboards.shell import HEALTH_PAGE, PageContext
from dashboards.view import View
from serving.modules import PAGES
from serving.modules.overview import FURTHER, TILE_NAMES

PAGE = PAGES["overview"]
MOST_TILES = 8
WORK_PAGE = "worklists"
# Shows how far the claims of the period are answered.
ANSWERED = ("remitted_claims", "claims")
ASKED = (*PAGE.tiles, *FURTHER, *lead.METRICS, *ANSWERED)


def draw(context: PageContext) -> None:
    """Draws the overview: tiles, units, the change of the lead figure, attention and trust."""
    source, view = context.source, context.view
    loaded = figures.load(source, view, ASKED)
    if shell.before_data(context, loaded):
        return
    level = levels.level_of(source, view)
    answers = _ask(source, view, level)
    chosen = lead.choose(loaded)
    explained = lead.explain(source, view, chosen, loaded[chosen.amount], level) if chosen else None
    tiles = chosen_tiles(loaded)
    shell.head(context, _finding(explained, tiles))
    parts = [
        _tiles(context, tiles),
        Markup('<div class="cm-two">{}{}</div>').format(
            _why(context, explained), _attention(context, level, answers, loaded)
        ),
        Markup('<div class="cm-two cm-wide">{}{}</div>').format(
            _units(context, level, answers[0], loaded), _trust(context, loaded)
        ),
    ]
    context.html(Markup('<div class="cm-overview">{}</div>').format(markup.join(parts)), key="cm_overview")


def questions(source: Source, view: View) -> None:
    """Asks what the page asks, to warm it up."""
    loaded = figures.load(source, view, ASKED)
    level = levels.level_of(source, view)
    _ask(source, view, level)
    chosen = lead.choose(loaded)
    if chosen:
        lead.explain(source, view, chosen, loaded[chosen.amount], level)


def _ask(source: Source, view: View, level: Level) -> list[Answers]:
    """Figures by member, and by member and payer class."""
    by_member = [*units.METRICS, *attention.metrics(by_payer=False)]
    answers = [levels.ask(source, view, level, by_member, attention.counts(by_payer=False))]
    if not view.payer:
        by_payer, counted = attention.metrics(by_payer=True), attention.counts(by_payer=True)
        answers.append(levels.ask(source, view, level, by_payer, counted, by_payer=True))
    return answers


def chosen_tiles(loaded: Mapping[str, Figure]) -> dict[str, Figure]:
    """The tiles: the page's own that have a value in any month, then further ones in place of what is not there."""
    shown = blocks.worth_a_tile(loaded[name] for name in (*PAGE.tiles, *FURTHER) if name in loaded)
    return {figure.metric.name: figure for figure in shown[:MOST_TILES]}


def _tiles(context: PageContext, tiles: Mapping[str, Figure]) -> Markup:
    health = f"{widgets.PAGE}{HEALTH_PAGE}?" if HEALTH_PAGE in context.pages else ""
    drawn = [
        html.tile(figure, targets.of(context.source, context.view, figure), widgets.passport(name), health)
        for name, figure in tiles.items()
    ]
    return markup.tile_row(drawn)


def _why(context: PageContext, explained: Explained | None) -> Markup:
    view = context.view
    if explained is None:
        text = "Nothing to explain: no figure of this choice has a comparison that has settled."
        return panel("Why it changed", "", Markup("<p>{}</p>").format(text), "why")
    figure = explained.figure
    unit = figure.metric.unit
    before, now = fmt.short(figure.before, unit), fmt.short(figure.value, unit)
    verb = "rose" if fmt.decimal(figure.value) > fmt.decimal(figure.before) else "fell"
    title = f"Why {explained.lead.subject.lower()} {verb} from {before} to {now}"
    if not explained.bars:
        title = f"{explained.lead.subject}: {now}, as before"
    doubt = "" if lead.is_news(figure) else "; the change is no more than chance"
    exactly = "to the cent" if unit == "usd" else "exactly"
    note = f"{figure.metric.label}, {figure.against} to {view.period.name}; parts add up {exactly}{doubt}"

    def lead_to(bar: Bar) -> str:
        return widgets.passport(figure.metric.name, bar.moves)

    bars = lead.as_parts(explained, view.compared, view.period.name)
    return panel(title, note, waterfall(bars, unit, figure.metric.direction, title, lead_to), "why")


def _attention(context: PageContext, level: Level, answers: list[Answers], loaded: Mapping[str, Figure]) -> Markup:
    source, view = context.source, context.view
    moving = attention.is_moving(source, view, loaded)
    judged = attention.find(source, view, level, answers, moving)
    has_worklists = WORK_PAGE in context.pages
    today = fmt.local_date(datetime.now(UTC), source.time_zone)
    items = attention.ranked([*judged.items, *(attention.due(source, today) if has_worklists else [])])
    note = "Ranked by money, then patients; only what left its usual range or has a deadline"
    link = ("Worklists", f"{widgets.PAGE}{WORK_PAGE}?" if has_worklists else "")
    if not items:
        number = fmt.plural(judged.judged, "figure")
        text = f"No {level.noun} has left its usual range to the bad side in {view.period.name}: {number} judged."
        if not judged.judged:
            text = (
                f"No {level.noun} has enough cases and months to tell what is usual: {chance.LEAST_VOLUME} cases and "
                f"{chance.LEAST_MONTHS} months before the period are needed."
            )
        if moving and all(moving.values()):
            text = "Nothing is judged before the period is over."
        content = Markup('<p class="cm-nothing">{}</p>').format(text)
    else:
        shown = items[: attention.MOST_ITEMS]
        content = html.attention(shown, len(items) - len(shown), _of_item)
    return panel("Needs attention", note, content, "needs", link)


def _of_item(item: Item) -> str:
    """The action that leads to the rows of an item: of its metric, or the worklist."""
    if item.work_list:
        return f"{widgets.PAGE}{WORK_PAGE}?{widgets.move(basis=item.work_list).removeprefix(widgets.MOVE)}"
    return widgets.passport(item.metric, item.moves)


def _units(context: PageContext, level: Level, answer: Answers, loaded: Mapping[str, Figure]) -> Markup:
    listed = units.units(context.source, context.view, level, answer, loaded)
    noun = f"{level.noun.capitalize()}s"
    if not listed.members:
        text = f"No {level.noun} has figures in this period."
        return panel(noun, "", Markup('<p class="cm-nothing">{}</p>').format(text), "level")
    note = f"{context.view.period.name}; dot: this period, band: usual range of the months before, tick: target"
    if listed.more:
        note += f"; {listed.more} more with less volume"

    to_targets = f"{widgets.PAGE}targets?" if "targets" in context.pages else ""
    table = range_table(listed, widgets.narrow, widgets.passport, note, TILE_NAMES)
    return panel(noun, note, table, "level", link=("Targets", to_targets))


def _trust(context: PageContext, loaded: Mapping[str, Figure]) -> Markup:
    health = f"{widgets.PAGE}{HEALTH_PAGE}?" if HEALTH_PAGE in context.pages else ""
    lines = trust.lines(context.source, context.view, loaded)
    return panel("Can these figures be trusted?", "", html.trust(lines, health), "trusted")


def _finding(explained: Explained | None, tiles: Mapping[str, Figure]) -> str:
    """What happened to the lead figure and why; else how many tiles got better or worse; else how it stands."""
    if explained is not None and lead.is_news(explained.figure):
        return lead.finding(explained, explained.figure.against)
    judged = [figure for figure in tiles.values() if not figure.problem and not figure.caution]
    worse = [figure for figure in judged if figure.change.tone == "bad" and not findings.is_steady(figure)]
    better = [figure for figure in judged if figure.change.tone == "good" and not findings.is_steady(figure)]
    if worse and better:
        also = fmt.lower_first(names_of(better)) if len(better) < 3 else "other figures"
        return f"{_changed(worse, 'worse')}; {also} got better"
    if worse or better:
        return _changed(worse or better, "worse" if worse else "better")
    if explained is not None:
        return findings.finding(explained.figure, explained.lead.subject)
    first = next(iter(tiles.values()), None)
    return findings.finding(first, first.metric.label if first else "Overview")


def _changed(chosen: Sequence[Figure], word: str) -> str:
    """How one figure changed, or that several got better or worse."""
    return (
        findings.finding(chosen[0], html.tile_name(chosen[0].metric))
        if len(chosen) == 1
        else f"{names_of(chosen)} got {word}"
    )


def names_of(chosen: Sequence[Figure]) -> str:
    """`Days in receivables, no-show rate and 2 other figures`, as their tiles name them."""
    first, *others = [html.tile_name(figure.metric) for figure in chosen]
    labels = [first, *map(fmt.lower_first, others)]
    if len(labels) > 3:
        return f"{labels[0]}, {labels[1]} and {len(labels) - 2} other figures"
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"
