"""Before anything of an organization is published: its administrator invites people whose role needs no service unit or provider."""

import streamlit as st

from dashboards import blocks, markup, served_home, widgets
from dashboards.pages.administration.people import carry_out, role_name
from serving.administration import Administration
from serving.people.principal import Principal
from serving.people.rights import ROLES, TENANT_ROLES

FREE_ROLES = tuple(role for role in TENANT_ROLES if not ROLES[role].needs)


def draw(principal: Principal) -> None:
    """Draws the people and the form of an invitation, for an administrator; nothing for others."""
    if not ROLES[principal.role].administers:
        return
    administration = Administration(served_home.home(), served_home.access(), principal, units=(), providers=())
    served_home.access().audit(principal.tenant_id, principal.email, "page", detail={"page": "first_people"})
    above = st.container()
    blocks.section(
        "Invite a person", "Roles that see service units or are a provider can be given once data are published"
    )
    with st.form("cm_first_person"):
        columns = st.columns(3, vertical_alignment="bottom")
        name = columns[0].text_input("Name", key="cm_first_name")
        email = columns[1].text_input("User name", key="cm_first_email", placeholder="name@organization")
        role = columns[2].selectbox("Role", FREE_ROLES, format_func=role_name, key="cm_first_role")
        is_sent = st.form_submit_button("Invite", type="primary")
    if is_sent and role is not None:
        carry_out(lambda: administration.invite(email.strip().lower(), display_name=name, role=role))
    with above:
        blocks.section("People", "Who may sign in")
        rows = [
            markup.Row((person.display_name, person.email, role_name(person.role), person.status.capitalize()))
            for person in administration.people()
        ]
        columns_of_table = [markup.Column(title) for title in ("Name", "User name", "Role", "Status")]
        widgets.html(markup.table(columns_of_table, rows, caption="People"), key="cm_first_people")
