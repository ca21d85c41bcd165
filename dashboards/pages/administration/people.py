"""The people of the organization: a table, and a drawer in which one is invited or changed."""

from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import streamlit as st

from dashboards import blocks, markup, widgets
from dashboards import format as fmt
from dashboards import view as view_states
from dashboards.data import UNKNOWN, Source
from dashboards.person import still
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.administration import Administration, Invitation
from serving.people.principal import Role
from serving.people.rights import ROLES, TENANT_ROLES
from serving.people.roster import Person

KEY = "administration"
MOST_UNITS_NAMED = 3
IDENTITY = {
    "identified": "with patients' identity",
    "limited": "without names",
    "none": "without patients' identity",
    "minimum": "without patients' identity",
}


def draw(context: PageContext, everybody: tuple[Person, ...]) -> None:
    """Draws the tab with the people of the tenant: list, search, invitation and rights."""
    source = context.source
    with st.container(horizontal=True, vertical_alignment="bottom", key="cm_admin_bar"):
        sought = st.text_input("Find", key="cm_admin_find", placeholder="Name, user name, role or unit", width=320)
        invites = st.button("Invite a person", key="cm_admin_invite", type="primary")
    listed = [person for person in everybody if sought.casefold() in _text(source, person).casefold()]
    blocks.section(
        "People", f"{fmt.plural(len(listed), 'person', 'people')}; choose a name to change rights or to send a new link"
    )
    table = markup.table(
        [
            markup.Column(name)
            for name in ("Name", "User name", "Role", "Sees", "Status", "Second factor", "Signed in, last seen")
        ],
        [_row(source, person) for person in listed],
        caption="People",
    )
    action = widgets.html(table, key="cm_admin_people", as_of=source.as_of)
    if invites:
        _drawer(source, "Invite a person", lambda: _invite(source))
    elif action.startswith(f"{widgets.PAGE}{KEY}?"):
        (email,) = parse_qs(action.partition("?")[2]).get("person", [""])
        chosen = next((person for person in everybody if person.email == email), None)
        if chosen is not None:
            _drawer(source, chosen.display_name, lambda: _change(source, chosen))


def role_name(role: Role) -> str:
    """Organization admin, Billing staff."""
    return role.value.replace("_", " ").capitalize()


def _row(source: Source, person: Person) -> markup.Row:
    cells = (
        person.display_name,
        person.email,
        role_name(person.role),
        _sees(source, person),
        person.status.capitalize(),
        "Set up" if person.has_second_factor else "",
        fmt.unbroken(fmt.moment(person.last_seen_at, source.time_zone)) if person.last_seen_at else "",
    )
    return markup.Row(cells, action=f"{widgets.PAGE}{KEY}?{view_states.encode({'person': person.email})}")


def _sees(source: Source, person: Person) -> str:
    rule = ROLES[person.role]
    if rule.needs == "provider":
        return source.names("provider").get(person.provider_id or "", "No provider is chosen")
    if rule.needs == "partner":
        return f"Referrals of {person.provider_id}" if person.provider_id else "No referral partner is chosen"
    if not person.unit_ids:
        return "Nothing: no unit is assigned" if rule.needs == "units" else rule.sees
    names = [source.places[unit].name if unit in source.places else unit for unit in person.unit_ids]
    more = len(names) - MOST_UNITS_NAMED
    return ", ".join(names[:MOST_UNITS_NAMED]) + (f" and {more} more" if more > 0 else "")


def _unit_name(source: Source, unit: str) -> str:
    """Urgent Care East (Immediate Care): several units may share a name."""
    above = source.places.get(source.places[unit].parent_id or "")
    return f"{source.places[unit].name} ({above.name})" if above else source.places[unit].name


def _text(source: Source, person: Person) -> str:
    """What a search looks at."""
    return " ".join((person.display_name, person.email, role_name(person.role), _sees(source, person), person.status))


def _drawer(source: Source, title: str, draw_inside: Callable[[], None]) -> None:
    """A drawer at the right; the page behind it is drawn again when it closes."""
    st.dialog(title, position="right", on_dismiss="rerun")(still(source, draw_inside))()


def _rights(source: Source, person: Person | None) -> tuple[Role, list[str], str | None]:
    """Pickers of the role and what it needs; what they say now."""
    key = person.email if person else "new"
    roles = list(TENANT_ROLES)
    role = st.selectbox(
        "Role",
        roles,
        index=roles.index(person.role if person else Role.PROGRAM_MANAGER),
        format_func=role_name,
        key=f"cm_admin_role_{key}",
    )
    rule = ROLES[role]
    shows = "figures and the rows behind them" if rule.rows else "figures, never rows"
    st.caption(f"{rule.sees}; {shows}, {IDENTITY[rule.identity_level]}.")
    units: list[str] = []
    provider = None
    if rule.needs == "provider":
        names = source.names("provider")
        provider_ids = [provider_id for provider_id in names if provider_id != UNKNOWN]
        now = provider_ids.index(person.provider_id) if person and person.provider_id in provider_ids else None
        provider = st.selectbox(
            "Provider", provider_ids, index=now, format_func=names.__getitem__, key=f"cm_admin_provider_{key}"
        )
    elif rule.needs == "partner":
        partners = source.partners
        now = partners.index(person.provider_id) if person and person.provider_id in partners else None
        provider = st.selectbox("Referral partner", partners, index=now, key=f"cm_admin_partner_{key}")
    else:
        places = {place_id: place for place_id, place in source.places.items() if place_id != UNKNOWN}
        units = st.multiselect(
            "Service units" if rule.needs == "units" else "Only these service units (none: the whole organization)",
            list(places),
            default=[unit for unit in person.unit_ids if unit in places] if person else [],
            format_func=lambda unit: _unit_name(source, unit),
            key=f"cm_admin_units_{key}",
            help="The person sees these units and all units below them.",
        )
    return role, units, provider


def _invite(source: Source) -> None:
    name = st.text_input("Name", key="cm_admin_name")
    email = st.text_input("User name", key="cm_admin_email", placeholder="name@organization")
    role, units, provider = _rights(source, None)
    if st.button("Invite", key="cm_admin_invite_now", type="primary"):
        carry_out(
            lambda: source.administration.invite(
                email.strip().lower(), display_name=name, role=role, unit_ids=units, provider_id=provider
            )
        )


def _change(source: Source, person: Person) -> None:
    administration = source.administration
    st.caption(f"{person.email}, {person.status}")
    role, units, provider = _rights(source, person)
    if st.button("Save rights", key="cm_admin_save", type="primary"):
        carry_out(
            lambda: administration.change(person.email, role=role, unit_ids=units, provider_id=provider),
            "Saved. Open sessions of this person ended; the next sign-in has the new rights.",
        )
    st.divider()
    if st.button("Make a new sign-in link", key="cm_admin_reset"):
        carry_out(lambda: administration.reset(person.email))
    if person.has_second_factor and st.button("Reset second factor", key="cm_admin_reset_factor"):
        carry_out(
            lambda: administration.reset_second_factor(person.email),
            "Reset. Open sessions of this person ended; the next sign-in needs the password alone, or a new second factor.",
        )
    if person.is_active:
        _lock(administration, person)
    elif st.button("Unlock", key="cm_admin_unlock"):
        carry_out(lambda: administration.unlock(person.email), "Unlocked. The person can sign in again.")


def _lock(administration: Administration, person: Person) -> None:
    if st.button("Lock", key="cm_admin_lock"):
        carry_out(lambda: administration.lock(person.email), "Locked. Open sessions of this person ended.")


def carry_out(act: Callable[[], Invitation | None], done: str = "") -> None:
    """Does it, and says what came of it."""
    try:
        invitation = act()
    except ClinicmartError as error:
        st.error(fmt.sentence(str(error)))
        return
    if invitation is None:
        st.success(done)
        return
    here = urlsplit(st.context.url or "")
    st.success(
        f"{invitation.email} chooses a password with this link. It works once, within 24 hours. Send it to nobody else."
    )
    st.code(f"{here.scheme}://{here.netloc}{invitation.path}", language=None, wrap_lines=True)
