"""Where the time of a visit goes: waiting, with the provider, the rest; at which hours people wait; who starts on time."""

from dashboards import blocks, breakdowns, figures, widgets
from dashboards import format as fmt
from dashboards.breakdowns import Member
from dashboards.drawings.rows import Segment, SegmentedBar, segmented_bars
from dashboards.pages.throughput import shared
from dashboards.shell import PageContext

SEGMENTS = ("wait_time_minutes", "room_to_provider_minutes", "provider_minutes")
WHOLE, ON_TIME, COUNTED = "cycle_time_minutes", "on_time_start_rate", "encounters"
NAMES = ("Wait for a room", "In the room, before the provider", "With the provider", "The rest to check-out")
TILES = ("wait_time_minutes_p90", "room_to_provider_minutes", "provider_minutes", "cycle_time_minutes_p90", ON_TIME)
MOST_BARS = 12


def draw(context: PageContext) -> None:
    """Draws the section for the view of the context."""
    source, view = context.source, context.view
    blocks.tiles(context, figures.load(source, view, TILES), key="cm_time_tiles")
    level = breakdowns.below(source, view, [WHOLE, *SEGMENTS, ON_TIME, COUNTED])
    _segments(context, level.noun, level.members)
    parts = [
        lambda: blocks.hours(
            context,
            "wait_time_minutes",
            volume=COUNTED,
            title="When people wait",
            note=f"Wait from check-in to room, by weekday and hour of check-in, {view.period.name}",
        )
    ]
    if WHOLE in source.metrics:
        overall = shared.loaded(context).get(WHOLE)
        parts.append(
            lambda: blocks.ranking(
                context, level.members, WHOLE, title=f"Cycle time by {level.noun}", key="cm_units", reference=overall
            )
        )
    if ON_TIME in source.metrics:
        parts.append(lambda: blocks.trend(context, ON_TIME, title="Seen on time, by month"))
        parts.append(
            lambda: blocks.ranking(
                context, level.members, ON_TIME, title=f"Seen on time by {level.noun}", key="cm_on_time", volume=COUNTED
            )
        )
    blocks.columns(parts)


def bar_of(member: Member) -> SegmentedBar | None:
    """The parts of a member's cycle time; None where no part is known. The rest is what is left of the cycle time."""
    values = [member.now.get(name) for name in SEGMENTS]
    if not any(values):
        return None
    whole = member.now.get(WHOLE)
    minutes_known = sum((fmt.decimal(value) for value in values if value is not None), fmt.decimal(0))
    minutes_left = fmt.decimal(whole) - minutes_known if whole is not None and None not in values else None
    parts = [
        Segment(value=value, action=widgets.passport(name, member.moves) if member.moves else "")
        for name, value in zip(SEGMENTS, values, strict=True)
    ]
    parts.append(Segment(value=minutes_left if minutes_left is not None and minutes_left > 0 else None))
    return SegmentedBar(name=member.name, segments=parts, note=fmt.short(whole, "minutes") if whole is not None else "")


def _segments(context: PageContext, noun: str, members: tuple[Member, ...]) -> None:
    blocks.section(
        f"Where the time goes, by {noun}",
        f"Mean minutes, {context.view.period.name}; each part from the visits that have both of its times; at the end: mean cycle time",
    )
    bars = [bar for bar in map(bar_of, members[:MOST_BARS]) if bar is not None]
    if not bars:
        text = context.source.hidden_note or "No visit of this choice has the times of its steps."
        blocks.empty(context, "No times known", text, "cm_segments_none")
        return
    look = context.look
    colours = (look.parts[0], look.parts[6], look.parts[3], look.faint)
    drawn = segmented_bars(
        list(zip(NAMES, colours, strict=True)),
        bars,
        unit="minutes",
        caption="Where the time goes",
        first=noun.capitalize(),
    )
    context.html(drawn, key="cm_segments")
