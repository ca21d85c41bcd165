"""Share against rate: how much of the charges each payer class has, and how well it pays or how often it denies."""

from collections.abc import Sequence
from functools import partial

from dashboards import blocks, breakdowns, chance, figures, theme, widgets
from dashboards.breakdowns import Member
from dashboards.drawings.scatter import Axis, Dot, scatter
from dashboards.shell import PageContext

SHARE = "payer_mix_billed"
RATES = ("net_collection_rate", "denial_rate")
TITLES = {"net_collection_rate": "Share against net collection", "denial_rate": "Share against denials"}


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    parts = [name for name in RATES if name in context.source.metrics and SHARE in context.source.metrics]
    blocks.columns([partial(_scatter, context, name) for name in parts])
    source, view = context.source, context.view
    if "payment_per_encounter" in source.metrics:
        overall = figures.load(source, view, ["payment_per_encounter"]).get("payment_per_encounter")
        members = breakdowns.by_dimension(source, view, ["payment_per_encounter"], "payer_class")
        blocks.ranking(
            context,
            members,
            "payment_per_encounter",
            title="What a visit brings, by payer class",
            key="cm_per_visit",
            reference=overall,
        )


def dots(context: PageContext, members: Sequence[Member], name: str, *, is_moving: bool) -> list[Dot]:
    """A dot for each payer class that has both figures; faint where too few cases are behind the rate or it still settles."""
    source = context.source
    drawn = []
    for member in members:
        share, rate = member.now.get(SHARE), member.now.get(name)
        if share is None or rate is None or not member.id:
            continue
        base = member.base(source, name)
        is_few = base is not None and base.is_few
        drawn.append(
            Dot(
                name=member.name,
                across=share,
                up=rate,
                colour=theme.payer_colour(member.id, context.look),
                note=figures.counted(source.metrics[name], rate, base, short=True),
                action=widgets.passport(name, member.moves),
                is_faint=is_few or is_moving,
            )
        )
    return drawn


def _scatter(context: PageContext, name: str) -> None:
    source, view = context.source, context.view
    metric = source.metrics[name]
    figure = figures.load(source, view, [name])[name]
    waiting = f" {figure.caution}." if figure.caution else ""
    blocks.section(
        TITLES[name],
        f"Each payer class by its share of what is billed and its {metric.label.lower()}, {view.period.name}; open dots: fewer than "
        f"{chance.LEAST_VOLUME} cases, or still settling.{waiting}",
    )
    members = breakdowns.by_dimension(source, view, [SHARE, name], "payer_class", before=False)
    drawn = dots(context, members, name, is_moving=bool(figure.caution))
    if not drawn:
        text = source.hidden_note or "No payer class has both figures in this period."
        blocks.empty(context, "Nothing to compare", text, f"cm_scatter_{name}_none")
        return
    across = Axis(name=source.metrics[SHARE].label, unit="percent")
    up = Axis(name=metric.label, unit=metric.unit, line=figure.value, line_name="All together")
    context.html(scatter(drawn, across, up, caption=TITLES[name]), key=f"cm_scatter_{name}")
