"""What was done: the audit log of the organization, filtered, page by page, and as CSV."""

from collections.abc import Mapping
from datetime import date, timedelta

import streamlit as st

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.shell import PageContext
from serving.administration import Asked
from serving.people.roster import Person

ROWS_A_PAGE = 50
FIRST_DAYS = 7
EVERYBODY = "Everybody"
EVERYTHING = "Everything"


def draw(context: PageContext, everybody: tuple[Person, ...]) -> None:
    """Draws the tab with the audit log: filters, rows, and a CSV file."""
    administration, zone = context.source.administration, context.source.time_zone
    _report_broken_glass(context)
    asked = _filters(everybody, administration.actions())
    page = int(st.session_state.get("cm_activity_page", 1))
    rows = administration.activity(asked, zone, limit=ROWS_A_PAGE + 1, offset=(page - 1) * ROWS_A_PAGE)
    if not rows and page == 1:
        blocks.empty(
            context, "Nothing was recorded", "Choose other days, another person or another action.", "cm_activity_none"
        )
        return
    blocks.section("Activity", "The newest first; every page, question and row that was shown, and every change")
    columns = [markup.Column(name) for name in ("When", "Who", "What", "Detail", "Result", "By way of")]
    table = markup.table(
        columns,
        [
            markup.Row(
                (
                    fmt.unbroken(fmt.moment(row.at, zone)),
                    row.actor,
                    row.action,
                    detail_of(row.detail),
                    row.result,
                    " ".join(word for word in (row.channel, row.address) if word),
                )
            )
            for row in rows[:ROWS_A_PAGE]
        ],
        caption="Activity",
    )
    context.html(table, key="cm_activity")
    with st.container(horizontal=True, vertical_alignment="bottom", key="cm_activity_foot"):
        if page > 1 or len(rows) > ROWS_A_PAGE:
            st.number_input("Page", min_value=1, value=page, key="cm_activity_page", width=128)
        st.download_button(
            "Download as CSV",
            data=lambda: administration.activity_csv(asked, zone),
            file_name="activity.csv",
            mime="text/csv",
            key="cm_activity_csv",
            help="At most 100,000 of the newest rows. The download is recorded.",
        )


def _report_broken_glass(context: PageContext) -> None:
    """Emergency look-ups of patients' identity, above everything else; nothing where there was none."""
    rows = context.source.administration.broken_glass()
    if not rows:
        return
    blocks.section("Emergency look-ups", "Patients' identity, in the last 30 days. Ask whether each was an emergency.")
    table = markup.table(
        [markup.Column(name) for name in ("When", "Who", "Reason", "By way of")],
        [
            markup.Row(
                (
                    fmt.unbroken(fmt.moment(row.at, context.source.time_zone)),
                    row.actor,
                    str(row.detail.get("reason", "")),
                    " ".join(word for word in (row.channel, row.os_user) if word),
                )
            )
            for row in rows
        ],
        caption="Emergency look-ups",
    )
    context.html(table, key="cm_broken_glass")


def _filters(everybody: tuple[Person, ...], actions: tuple[str, ...]) -> Asked:
    def to_first_page() -> None:
        st.session_state["cm_activity_page"] = 1

    today = date.today()  # noqa: DTZ011 only what the date picker offers first
    with st.container(horizontal=True, vertical_alignment="bottom", key="cm_activity_bar"):
        actor = st.selectbox(
            "Who",
            [EVERYBODY, *(person.email for person in everybody)],
            key="cm_activity_who",
            on_change=to_first_page,
            accept_new_options=True,
            width=256,
        )
        action = st.selectbox(
            "What", [EVERYTHING, *actions], key="cm_activity_what", on_change=to_first_page, width=224
        )
        days = st.date_input(
            "From and to",
            (today - timedelta(days=FIRST_DAYS), today),
            key="cm_activity_days",
            format="YYYY-MM-DD",
            on_change=to_first_page,
            width=256,
        )
    first, last = (*days, None, None)[:2] if isinstance(days, tuple) else (days, days)
    return Asked(
        actor=None if actor in (None, EVERYBODY) else actor,
        action=None if action == EVERYTHING else action,
        first=first,
        last=last,
    )


def detail_of(detail: Mapping[str, object]) -> str:
    """`user: ceo@harbor; units: CL01, CL02`: what an audit row holds beside who, when and what."""
    return "; ".join(
        f"{name.replace('_', ' ')}: {_words(value)}"
        for name, value in detail.items()
        if value not in (None, "", [], {})
    )


def _words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
