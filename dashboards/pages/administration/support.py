"""Support sessions: whether the platform's administrators may look at the organization's pages, and when they did."""

from collections.abc import Callable, Sequence

import streamlit as st
from markupsafe import Markup

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.data import Source
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.modules import PAGES
from serving.organization_settings import SeenInSupport
from serving.people.roster import Person
from serving.people.support_sessions import SupportPolicy, SupportSession, SupportState

KEY = "cm_admin_support"
POLICIES = {
    SupportPolicy.AFTER_APPROVAL: "After an administrator of the organization has approved it",
    SupportPolicy.ALLOWED: "At once",
    SupportPolicy.REFUSED: "Never",
}
STATES = {
    SupportState.WAITING: "Waits for your decision",
    SupportState.READY: "Can begin",
    SupportState.RUNNING: "Runs now",
    SupportState.ENDED: "Ended",
    SupportState.REFUSED: "Refused",
    SupportState.WITHDRAWN: "Withdrawn",
    SupportState.LAPSED: "Lapsed: it did not begin within a day",
}
NO_SESSIONS = (
    "No support session yet",
    "A session is listed here with its reason, its time, and what was seen in it.",
)


def draw(context: PageContext, _everybody: tuple[Person, ...]) -> None:
    """Draws the tab with the rule, the forms to decide and to end a session, and every session."""
    source = context.source
    blocks.section(
        "Support sessions",
        "An administrator of the platform looks at your pages for a limited time, read only: figures without patients, Data health and "
        "settings. Never rows, names of patients or files",
    )
    with st.container(key=KEY):
        _rule(source)
        for session, _ in source.administration.support_sessions():
            if session.is_open:
                _open(source, session)
    blocks.section("What was asked for and seen", "The newest first. The tab Activity has every single look")
    sessions = source.administration.support_sessions()
    context.html(_table(source, sessions) if sessions else markup.state(*NO_SESSIONS), key=f"{KEY}_table")


def _rule(source: Source) -> None:
    now = source.administration.support_policy()
    # Each answer of the form is asked once: the rule counts, not what the browser remembers.
    with st.form(f"{KEY}_rule", border=False):
        wanted = st.radio(
            "When may a support session begin?",
            list(POLICIES),
            index=list(POLICIES).index(now),
            format_func=POLICIES.__getitem__,
            key=f"{KEY}_policy_{now}",
        )
        st.caption("With Never, a session that runs ends at once.")
        is_saved = st.form_submit_button("Save")
    if is_saved and wanted is not now:
        _carry_out(lambda: source.administration.set_support_policy(wanted))


def _open(source: Source, session: SupportSession) -> None:
    """A session that waits, can begin or runs, with its buttons."""
    administration, key = source.administration, f"{KEY}_{session.support_id}"
    with st.container(horizontal=True, vertical_alignment="center", key=key):
        st.markdown(f"**{STATES[session.state]}**", width="content")
        st.text(_words(source, session))
        if session.state is SupportState.WAITING and st.button("Approve", key=f"{key}_yes", type="primary"):
            _carry_out(lambda: administration.decide_support(session.support_id, is_approved=True))
        if session.state is SupportState.RUNNING:
            if st.button("End it now", key=f"{key}_end", type="primary"):
                _carry_out(lambda: administration.end_support(session.support_id))
        elif st.button("Refuse", key=f"{key}_no"):
            _carry_out(lambda: administration.decide_support(session.support_id, is_approved=False))


def _words(source: Source, session: SupportSession) -> str:
    until = (
        f", until {fmt.moment(session.until, source.time_zone)}" if session.until else f", {session.minutes} minutes"
    )
    return f"{session.asked_by}{until}: {session.reason}"


def _carry_out(act: Callable[[], None]) -> None:
    """Does it and draws the page again; says why where it was refused."""
    try:
        act()
    except ClinicmartError as error:
        st.error(fmt.sentence(str(error)))
        return
    st.rerun()


def _table(source: Source, sessions: Sequence[tuple[SupportSession, SeenInSupport]]) -> Markup:
    names = ("Asked", "Who", "Why", "State", "From", "Until", "What was seen")
    rows = [
        markup.Row(
            (
                fmt.unbroken(fmt.moment(session.asked_at, source.time_zone)),
                session.asked_by,
                session.reason,
                _state(session),
                fmt.unbroken(fmt.moment(session.began_at, source.time_zone)) if session.began_at else "",
                fmt.unbroken(fmt.moment(ended, source.time_zone)) if ended else "",
                _seen(seen),
            )
        )
        for session, seen in sessions
        for ended in [session.ended_at or session.until]
    ]
    return markup.table([markup.Column(name) for name in names], rows, caption="Support sessions, the newest first")


def _state(session: SupportSession) -> str:
    by = session.decided_by if session.state is SupportState.REFUSED else session.ended_by
    return f"{STATES[session.state]} by {by}" if by else STATES[session.state]


def _seen(seen: SeenInSupport) -> str:
    """Overview (3), Data health; 14 figures; 1 refused."""
    titles = {key: page.title for key, page in PAGES.items()}
    pages = ", ".join(
        titles.get(key, key.replace("_", " ").capitalize()) + (f" ({times})" if times > 1 else "")
        for key, times in seen.pages.items()
    )
    figures = fmt.plural(len(seen.metrics), "figure") if seen.metrics else ""
    return "; ".join(part for part in (pages, figures, f"{seen.refused} refused" if seen.refused else "") if part)
