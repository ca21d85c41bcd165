"""Accounts that the organization's identity provider keeps (SCIM): its tokens, and what its groups give."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from dashboards import blocks, markup, widgets
from dashboards import format as fmt
from dashboards.data import UNKNOWN, Source
from dashboards.pages.administration.people import role_name
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.people.group_rights import GIVEN_ROLES, GroupRight

KEY = "cm_admin_accounts"


def draw(context: PageContext) -> None:
    """Draws what groups give, and the tokens."""
    blocks.section(
        "Groups of the identity provider",
        "The provider says who is in a group, this table what a group gives. People whose groups give nothing, or different roles, "
        "see nothing",
    )
    source = context.source
    rights = source.administration.group_rights()
    rows = [markup.Row((right.group_name, role_name(right.role), _units(source, right.unit_ids))) for right in rights]
    if rows:
        columns = [markup.Column(name) for name in ("Group", "Role", "Sees")]
        widgets.html(markup.table(columns, rows, caption="Groups"), key=f"{KEY}_table", as_of=source.as_of)
    with st.container(key=KEY):
        _group_form(source, rights)
        _tokens(source)


def _units(source: Source, unit_ids: tuple[str, ...]) -> str:
    names = [source.places[unit].name if unit in source.places else unit for unit in unit_ids]
    return ", ".join(names) or "The whole organization"


def _group_form(source: Source, rights: tuple[GroupRight, ...]) -> None:
    names = sorted(
        {group.name for group in source.administration.provider_groups()} | {right.group_name for right in rights}
    )
    if not names:
        st.caption("The provider has sent no group yet.")
        return
    with st.form(f"{KEY}_form", border=False):
        group = st.selectbox("Group", names, key=f"{KEY}_group")
        role = st.selectbox("Role", GIVEN_ROLES, format_func=role_name, key=f"{KEY}_role")
        units = st.multiselect(
            "Service units (none: the whole organization, where the role may)",
            [place for place in source.places if place != UNKNOWN],
            format_func=lambda unit: source.places[unit].name,
            key=f"{KEY}_units",
        )
        is_saved = st.form_submit_button("Save")
        is_removed = st.form_submit_button("Give nothing")
    if is_saved:
        right = GroupRight(group_name=group, role=role, unit_ids=tuple(units))
        _carry_out(lambda: source.administration.set_group_right(right))
    elif is_removed:
        _carry_out(lambda: source.administration.remove_group_right(group))


def _tokens(source: Source) -> None:
    administration = source.administration
    blocks.section(
        "Tokens of the identity provider",
        "With a token it keeps accounts here (SCIM 2.0), at the address of these pages and /scim/v2. It opens nothing else",
    )
    for token in administration.scim_tokens():
        if token.is_open:
            until = fmt.moment(token.expires_at, source.time_zone)
            if st.button(f"Revoke the token {token.name}, good until {until}", key=f"{KEY}_revoke_{token.token_id}"):
                _carry_out(partial(administration.revoke_scim_token, token.token_id))
    with st.form(f"{KEY}_token_form", border=False):
        name = st.text_input("Name of a new token", key=f"{KEY}_token", placeholder="Okta")
        is_made = st.form_submit_button("Make a token")
    if is_made:
        try:
            secret = administration.create_scim_token(name)
        except ClinicmartError as error:
            st.error(fmt.sentence(str(error)))
            return
        st.success("Give this token to the provider alone. It is not shown again.")
        st.code(secret, language=None, wrap_lines=True)


def _carry_out(act: Callable[[], None]) -> None:
    """Does it and draws the tab again, or says why not."""
    try:
        act()
    except ClinicmartError as error:
        st.error(fmt.sentence(str(error)))
        return
    st.rerun()
