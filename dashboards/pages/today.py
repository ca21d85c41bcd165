"""Today: who waits, who is late, who is expected, and the beds, by unit. Drawn again every few seconds."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import streamlit as st
from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup, shell, widgets
from dashboards.data import Source
from dashboards.person import still
from dashboards.shell import PageContext
from serving.today import Board, Expected, FeedAge, Place, UnitDay, Waiting

REFRESH_SECONDS = 3
NOTED = "cm_today_noted"


def draw(context: PageContext) -> None:
    source = context.source
    # Streamlit draws the fragment again by itself; each time it asks again who is signed in and what the person may see.
    st.fragment(still(source, lambda: _board(source)), run_every=REFRESH_SECONDS)()


def _board(source: Source) -> None:
    # Patients are audited when they first appear in this session, not every few seconds.
    key, kept = st.session_state.get(NOTED, ("", None))
    noted: frozenset[str] | None = kept if key == source.reader.scope.hash else None
    board = source.reader.today(datetime.now(UTC), noted)
    if board is None:
        text = "No listener has received a message yet. The board begins when clinicmart listen runs for your organization."
        widgets.html(markup.state("Nothing to show yet", text), key="cm_today_empty")
        return
    st.session_state[NOTED] = (source.reader.scope.hash, (noted or frozenset()) | set(board.people))
    places = {unit.place.unit_id: unit.place for unit in board.units}
    html = markup.join(
        [
            markup.heading(_finding(board), _line(source, board), shell.whose(source)),
            _notice(board),
            markup.facts(_facts(board), "Today so far"),
            markup.section("Waiting", _listed("Came and not yet called, the longest first", board, "waiting")),
            _waiting(board.waiting, places),
            markup.section(
                "Late", _listed("Appointments whose time has passed and whose patient is not here", board, "late")
            ),
            _expected(board.late, places, "Nobody is late."),
            markup.section("Next", _listed("Appointments that are still expected today", board, "expected")),
            _expected(board.expected, places, "No more appointments are known for today."),
            markup.section("By unit", "Today so far"),
            _by_unit(board.units),
        ]
    )
    widgets.html(html, key="cm_today")


def _finding(board: Board) -> str:
    if not board.waiting:
        return "Nobody waits"
    longest = max(item.minutes for item in board.waiting)
    return f"{fmt.plural(_all(board, 'waiting'), 'patient waits', 'patients wait')}, the longest for {longest} min"


def _all(board: Board, name: str) -> int:
    """How many there are in all units; the list of the same name may end before."""
    return sum(getattr(unit, name) for unit in board.units)


def _listed(note: str, board: Board, name: str) -> str:
    """The note of a list, which says how many of how many it has where it ends early."""
    listed, total = len(getattr(board, name)), _all(board, name)
    return f"{note}; {listed:,} of {total:,}" if listed < total else note


def _line(source: Source, board: Board) -> list[str]:
    return [
        f"{fmt.moment(board.made_at, source.time_zone)}",
        *(_age(feed) for feed in board.feeds),
        "patients are shown by a code",
    ]


def _age(feed: FeedAge) -> str:
    if feed.seconds is None:
        return f"{feed.name}: no message yet"
    return f"{feed.name}: last message {_ago(feed.seconds)} ago"


def _ago(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"


def _notice(board: Board) -> Markup:
    """What makes the board older than it looks."""
    sentences = []
    if not board.is_followed:
        sentences.append(
            f"Nobody has listened for {_ago(board.age_seconds)}: the board shows the state of then. Ask the operator to start "
            "clinicmart listen."
        )
    sentences += [
        f"The feed {feed.name} has been silent for {_ago(feed.seconds)}." if feed.seconds is not None
        else f"The feed {feed.name} has sent no message yet."
        for feed in board.feeds
        if feed.is_silent
    ]  # fmt: skip
    return markup.notice(sentences) if sentences else markup.EMPTY


def _facts(board: Board) -> list[tuple[str, str, str]]:
    units = board.units
    staffed = sum(unit.place.staffed_beds or 0 for unit in units)
    taken = _all(board, "beds_taken")
    facts = [
        ("Waiting", f"{_all(board, 'waiting'):,}", "came, not yet called"),
        ("Under way", f"{_all(board, 'under_way'):,}", "with the staff"),
        ("Late", f"{_all(board, 'late'):,}", "the time has passed"),
        ("Still expected", f"{_all(board, 'expected'):,}", "rest of the day"),
        ("No-shows", f"{_all(board, 'no_shows'):,}", "so far, as reported"),
        ("Seen", f"{_all(board, 'seen'):,}", "visits that ended"),
    ]
    if staffed or taken:
        facts.append(
            ("Beds taken", f"{taken:,}", f"of {staffed:,} staffed" if staffed else "staffed beds are not known")
        )
    return facts


def _clock(moment: datetime, place: Place) -> str:
    """The time of day at a unit."""
    return f"{moment.astimezone(ZoneInfo(place.time_zone)):%H:%M}"


def _waiting(items: Sequence[Waiting], places: dict[str, Place]) -> Markup:
    rows = [
        markup.Row((item.code, places[item.unit_id].name, _clock(item.since, places[item.unit_id]), item.minutes))
        for item in items
    ]
    columns = [*map(markup.Column, ("Patient", "Place", "Came at")), markup.Column("Minutes", "count")]
    return markup.table(columns, rows, caption="Waiting", empty="Nobody waits.")


def _expected(items: Sequence[Expected], places: dict[str, Place], empty: str) -> Markup:
    rows = [
        markup.Row(
            (
                item.code,
                places[item.unit_id].name,
                _clock(item.start_at, places[item.unit_id]),
                item.late_minutes or None,
            )
        )
        for item in items
    ]
    columns = [*map(markup.Column, ("Patient", "Place", "Planned at")), markup.Column("Minutes late", "count")]
    return markup.table(columns, rows, caption="Appointments", empty=empty)


def _by_unit(units: Sequence[UnitDay]) -> Markup:
    names = ("waiting", "under_way", "late", "expected", "no_shows", "seen", "beds_taken")
    titles = ("Waiting", "Under way", "Late", "Still expected", "No-shows", "Seen", "Beds taken")
    rows = [
        markup.Row((unit.place.name, *(getattr(unit, name) for name in names)))
        for unit in units
        if any(getattr(unit, name) for name in names)
    ]
    columns = [markup.Column("Place"), *(markup.Column(title, "count") for title in titles)]
    return markup.table(columns, rows, caption="By unit", empty="No message of today concerns one of your units.")
