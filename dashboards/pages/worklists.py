"""Worklists: rows that somebody must work on, with owner, state, deadline and outcome, and what came of those that were worked."""

from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import streamlit as st
from markupsafe import Markup

from dashboards import format as fmt
from dashboards import markup, theme, widgets
from dashboards import rows as row_pages
from dashboards.data import ROWS_A_PAGE, Source
from dashboards.shell import PageContext
from dashboards.view import View
from foundation.errors import ClinicmartError
from serving.people.work_entries import Entry
from serving.worklists.lists import DONE, LISTS, STATES
from serving.worklists.work import (
    AMOUNT,
    DUE_DAYS,
    LONGEST_NOTE,
    MEASURED_DAYS,
    MINE,
    MOST_ROWS,
    ROW_ID,
    TO_DO,
    WORKED,
    Work,
)

SHOWN = {TO_DO: "To do", MINE: "Mine", WORKED: "Done, not yet solved"}
COLUMNS = {
    "decision_date": "Denied on",
    "service_date": "Service",
    "encounter_date": "Visit",
    "slot_date": "Day of the slot",
    "valid_to": "Last day",
    "service_unit_id": "Place",
    "provider_id": "Provider",
    "payer_id": "Payer",
    "visit_type_id": "Visit type",
    "denial_category": "Reason",
    "carc": "Code",
    "procedure_code": "Procedure",
    "left_units": "Units left",
}
ROW_NAMES = {
    "claim_id": "Claim",
    "encounter_id": "Visit",
    "charge_line_id": "Charge",
    "slot_id": "Slot",
    "authorization_id": "Authorisation",
}
DIMENSIONS = {
    "service_unit_id": "service_unit",
    "provider_id": "provider",
    "payer_id": "payer",
    "visit_type_id": "visit_type",
}
NOBODY = ""


def draw(context: PageContext) -> None:
    """Draws the worklists of the person: counts, rows and the form of a row."""
    source, view = context.source, context.view
    names = source.reader.worklists.names
    name = view.basis if view.basis in names else names[0]
    today = fmt.local_date(datetime.now(UTC), source.time_zone)
    head = st.container()
    switches, choice = st.columns([3, 2], vertical_alignment="center")
    with switches:
        context.html(_switch(names, name), key="cm_lists")
    with choice:
        show = st.segmented_control(
            "Show",
            list(SHOWN),
            default=TO_DO,
            format_func=SHOWN.__getitem__,
            key="cm_show",
            label_visibility="collapsed",
        )
    # The form first: what it saves is in the list below it.
    form = st.container()
    offset = (view.page - 1) * ROWS_A_PAGE
    read = partial(
        source.reader.worklists.work, name, view.place, today, show=show or TO_DO, limit=ROWS_A_PAGE, offset=offset
    )
    work = read()
    with form:
        saved = _form(source, name, work)
        if saved.startswith("Saved"):
            work = read()
    with head:
        context.html(markup.heading(_finding(work), [_of_measure(work)], _crumbs(source, view)), key="cm_head")
        context.html(_facts(work), key="cm_work_facts")
    if saved:
        context.html(Markup('<p class="cm-note" role="status">{}</p>').format(saved), key="cm_saved")
    context.html(_table(source, work, today), key="cm_work")
    context.html(row_pages.pager(view, work.shown_rows), key="cm_work_pages")


def _switch(names: tuple[str, ...], chosen: str) -> Markup:
    """The lists, the one that is shown marked."""
    buttons = [
        markup.button(LISTS[name].title, widgets.move(basis=name), "cm-rows cm-here" if name == chosen else "cm-rows")
        for name in names
    ]
    return Markup('<nav class="cm-switch" aria-label="Lists">{}</nav>').format(markup.join(buttons))


def _crumbs(source: Source, view: View) -> Markup:
    whole = source.scope_label or source.tenant_name
    steps = [(whole, widgets.move(place=None))]
    steps += [(place.name, widgets.move(place=place.id)) for place in source.path(view.place) if place != source.root]
    return markup.breadcrumb(steps, tenant=source.tenant_name if source.scope_label else "")


def _finding(work: Work) -> str:
    title = work.work_list.title
    count = f"{work.open_rows:,} {fmt.lower_first(title)} open"
    if work.open_rows == 1:
        count = f"1 row of {fmt.lower_first(title)} open"
    return f"{count}, {fmt.short(work.open_amount, 'usd')} at stake" if work.open_amount else count


def _of_measure(work: Work) -> str:
    more = f"; the first {MOST_ROWS:,} are listed" if work.open_rows > MOST_ROWS else ""
    return f"worked by {work.work_list.owner}; a row leaves the list when the feeds report it as solved{more}"


def _facts(work: Work) -> Markup:
    facts = [
        ("Yours", f"{work.mine:,}", "not done yet"),
        (f"Due in {DUE_DAYS} days", f"{work.due_soon:,}", "with a day by which they must be done"),
        ("Worked", f"{work.worked:,}", f"set to done in the last {MEASURED_DAYS} days"),
        ("Solved", f"{work.solved:,}", "of these, as the feeds report it since"),
    ]
    if work.recovered is not None:
        facts.append(("Recovered", fmt.short(work.recovered, "usd"), "paid on the solved ones"))
    return markup.facts(facts, "What was worked")


def _table(source: Source, work: Work, today: date) -> Markup:
    item = work.work_list
    if work.rows.is_empty():
        return markup.state(
            "Nothing here", "No row of this list is in this state. Choose another list, or show all that is to do."
        )
    columns = [markup.Column(ROW_NAMES.get(item.key, "Row"))]
    columns += [markup.Column(COLUMNS[name]) for name in item.columns]
    columns += [markup.Column("At stake", "usd")] if item.amount else []
    columns += [markup.Column("Days ahead" if item.is_ahead else "Days", "count")]
    columns += [markup.Column(name) for name in ("State", "Owner", "Due", "Outcome", "Note")]
    drawn = []
    for row in work.rows.iter_rows(named=True):
        age = (today - row[item.columns[0]]).days if row[item.columns[0]] else None
        age = -age if age is not None and item.is_ahead else age
        cells = [row[ROW_ID], *(_cell(source, name, row[name]) for name in item.columns)]
        cells += [row[AMOUNT]] if item.amount else []
        due = fmt.day(row["due"]) if row["due"] else ""
        cells += [age, row["state"].capitalize(), row["owner"], due, row["outcome"], row["note"]]
        drawn.append(markup.Row(tuple(cells)))
    return markup.table(columns, drawn, caption=item.title)


def _cell(source: Source, column: str, value: Any) -> str:
    if isinstance(value, date):
        return fmt.day(value)
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if column in DIMENSIONS:
        return source.names(DIMENSIONS[column]).get(value, str(value))
    if column == "payer_class":
        return theme.payer_label(value)
    return str(value) if column == "carc" else str(value).replace("_", " ").capitalize()


def _form(source: Source, name: str, work: Work) -> str:
    """The form for one row. Returns what became of it where it was sent. Rights are those of this run: they are looked up on each."""
    if work.rows.is_empty():
        return ""
    item = work.work_list
    rows = {row[ROW_ID]: row for row in work.rows.iter_rows(named=True)}
    # A row that leaves the page takes the choice with it.
    if st.session_state.get("cm_work_row") not in rows:
        st.session_state["cm_work_row"] = next(iter(rows))

    def label(row_id: str) -> str:
        row = rows[row_id]
        money = f", {fmt.exact(row[AMOUNT], 'usd')}" if item.amount else ""
        return f"{row_id}{money}, {row['state']}"

    with st.expander(f"Work on a row of {item.title.lower()}"):
        row_id = st.selectbox(ROW_NAMES.get(item.key, "Row"), list(rows), format_func=label, key="cm_work_row")
        row = rows[row_id]
        owners = [NOBODY, *source.reader.coworkers()]
        with st.form(f"cm_work_form_{name}", border=False):
            columns = st.columns(4)
            state = columns[0].selectbox("State", STATES, index=STATES.index(row["state"]), format_func=str.capitalize)
            place = owners.index(row["owner"]) if row["owner"] in owners else 0
            owner = columns[1].selectbox("Owner", owners, index=place, format_func=lambda user: user or "Nobody")
            due = columns[2].date_input("Due", value=row["due"], format="MM/DD/YYYY")
            outcomes = ["", *item.outcomes]
            outcome = columns[3].selectbox(
                "Outcome",
                outcomes,
                index=outcomes.index(row["outcome"]) if row["outcome"] in outcomes else 0,
                format_func=lambda text: text.capitalize() or "None yet",
            )
            note = st.text_input(
                "Note", value=row["note"], max_chars=LONGEST_NOTE, help="Do not write names of patients."
            )
            is_sent = st.form_submit_button("Save", type="primary")
    if not is_sent:
        return ""
    try:
        entry = Entry(
            row_id=row_id,
            state=state,
            owner=owner,
            outcome=outcome,
            note=note.strip(),
            due=due if isinstance(due, date) else None,
        )
        source.reader.worklists.set(name, entry)
    except ClinicmartError as error:
        return f"Not saved: {error}."
    done = " It leaves the list when the feeds report it as solved." if state == DONE else ""
    return f"Saved: {row_id} is {state}.{done}"
