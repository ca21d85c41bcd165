"""Levels of evaluation and management services (E/M) of each provider, beside those of all providers of the view."""

from collections.abc import Mapping
from typing import Any

from dashboards import blocks, breakdowns, figures, markup, widgets
from dashboards.breakdowns import Member
from dashboards.shell import PageContext

SERVICES, MEAN, HIGH = "evaluation_services", "evaluation_level_mean", "high_level_evaluation_rate"
TITLES = {SERVICES: "Services", MEAN: "Level, mean", HIGH: "Level 4 and 5"}
LEVELS = ("1", "2", "3", "4", "5")
MOST_PROVIDERS = 25


def draw(context: PageContext) -> None:
    """Draws the table for the view of the context; nothing where no service has a level."""
    source, view = context.source, context.view
    loaded = figures.load(source, view, tuple(TITLES))
    if SERVICES not in loaded or not loaded[SERVICES].value:
        return
    members = breakdowns.by_dimension(source, view, list(TITLES), "provider", before=False)
    listed = [member for member in members if member.now.get(SERVICES)]
    more = f"; the first {MOST_PROVIDERS} of {len(listed):,} are listed" if len(listed) > MOST_PROVIDERS else ""
    blocks.section(
        "E/M levels by provider",
        f"Share of each level among the services of {view.period.name}; the last row is all providers together{more}. "
        "Groups of visits have their own levels: choose one group to compare like with like",
    )
    titles = [name for name in TITLES if name in loaded]
    mix = _mix(context)
    columns = [
        markup.Column("Provider"),
        *(markup.Column(TITLES[name], source.metrics[name].unit) for name in titles),
        *(markup.Column(f"Level {level}", "percent") for level in LEVELS),
    ]
    # A level without a row is a level without services, unless few people are hidden.
    absent = None if source.hides_few else 0
    rows = [_row(member, titles, mix.get(member.id, {}), absent) for member in listed[:MOST_PROVIDERS]]
    every = Member(id="", name="All", now={name: loaded[name].value for name in titles})
    rows.append(_row(every, titles, mix.get("", {}), absent))
    context.html(markup.table(columns, rows, caption="E/M levels by provider"), key="cm_evaluations")
    if source.hides_few and any(member.now.get(SERVICES) is None for member in members):
        blocks.small_print(f"Rows may be missing. {source.hidden_note}")


def _mix(context: PageContext) -> dict[str, dict[str, Any]]:
    """Services by provider and level, and of all providers under an empty name."""
    source, view = context.source, context.view
    where = figures.filters(view, source.metrics[SERVICES])
    if where is None or not figures.knows(source.metrics[SERVICES], "evaluation_level", "provider"):
        return {}
    mix: dict[str, dict[str, Any]] = {}
    for dimensions in (["provider", "evaluation_level"], ["evaluation_level"]):
        frame = source.query([SERVICES], by=dimensions, where=where, start=view.period.start, end=view.period.end)
        for row in frame.iter_rows(named=True):
            mix.setdefault(str(row.get("provider") or ""), {})[str(row["evaluation_level"])] = row[SERVICES]
    return mix


def _row(member: Member, titles: list[str], of_levels: Mapping[str, Any], absent: int | None) -> markup.Row:
    """The row of a provider; `absent` are the services of a level that `of_levels` lacks."""
    total = member.now.get(SERVICES)
    services = [of_levels.get(level, absent) for level in LEVELS]
    shares = [None if not total or number is None else number / total for number in services]
    cells = [markup.Link(member.now.get(name), widgets.passport(name, member.moves)) for name in titles]
    return markup.Row((member.name, *cells, *shares))
