"""From the referral to the visit: how many get through each step, and how long it takes."""

from collections.abc import Callable
from functools import partial

from dashboards import blocks, breakdowns, figures, widgets
from dashboards.drawings.rows import Step, funnel
from dashboards.shell import PageContext

STEPS = (
    ("referrals", "Referred"),
    ("referrals_authorized", "Authorised"),
    ("referrals_scheduled", "Scheduled"),
    ("referrals_attended", "Seen"),
    ("referrals_reported", "Reported back"),
)
COMPLETED = "referral_completion_rate_of_closed"
TILES = (
    "referrals",
    COMPLETED,
    "referral_leakage_rate",
    "referral_expired_rate",
    "referral_to_schedule_days_median",
    "referral_to_visit_days_median",
)


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    tiles = figures.load(source, view, TILES)
    blocks.tiles(context, tiles, key="cm_referral_tiles")
    loaded = figures.load(source, view, [name for name, _ in STEPS], trend=False)
    blocks.section(
        "From referral to visit",
        f"Referrals of {view.period.name} by the step that they have reached by now; young ones are still on their way",
    )
    steps = [
        Step(name=title, count=int(loaded[name].value), action=widgets.passport(name))
        for name, title in STEPS
        if name in loaded and loaded[name].value is not None
    ]
    if not steps or not steps[0].count:
        problem = next((figure.problem for figure in loaded.values() if figure.problem), "")
        text = problem or source.hidden_note or "No referral was ordered in this period."
        blocks.empty(context, "No referrals", text, "cm_funnel_none")
        return
    context.html(funnel(steps), key="cm_funnel")
    # An open referral has not failed: only closed ones are ranked.
    level = breakdowns.below(source, view, [COMPLETED, "referrals"]) if COMPLETED in source.metrics else None
    parts: list[Callable[[], None]] = []
    if level is not None:
        parts.append(
            partial(
                blocks.ranking,
                context,
                level.members,
                COMPLETED,
                title=f"Closed referrals that became a visit, by {level.noun}",
                key="cm_referral_units",
                reference=tiles.get(COMPLETED),
                volume="referrals",
            )
        )
    parts.append(lambda: blocks.trend(context, "referral_to_visit_days_median", title="Days from referral to visit"))
    blocks.columns(parts)
