"""One run of the script: finds the signed-in person and the page, and shows a message when something fails. The person is looked up
on each run (`dashboards.person`)."""

from datetime import UTC, datetime
from typing import Any

import streamlit as st

from dashboards import bar, data, drawer, files, markup, served_home, shell, support_notice, theme, widgets
from dashboards import format as fmt
from dashboards.pages import ALL
from dashboards.pages.administration import first_people
from dashboards.pages.administration import page as administration
from dashboards.pages.report_builder import pinned
from dashboards.person import host_fits, person, session_token, signed_out
from dashboards.server import auth_gate
from dashboards.shell import PageContext
from foundation.errors import AccessError
from serving.model import NothingPublished
from serving.people.branding import PLAIN


def _below(context: PageContext, page: str) -> None:
    """Draws what stands below a page of figures: pinned reports, and the ways to take the page as a file."""
    pinned.draw(context, page)
    files.draw(context, page)


def main() -> None:
    """Runs the page of the address for the signed-in person. Shows a message in place of the page if the person may not see it,
    or if nothing is published yet."""
    st.set_page_config(
        page_title="Clinicmart",
        page_icon=str(theme.ASSETS / "mark.svg"),
        layout="wide",
        initial_sidebar_state="collapsed",
    )
    principal, token = person(), session_token()
    brand = served_home.access().brandings.shown(principal.tenant_id) if principal else PLAIN
    widgets.wear(brand)
    widgets.style(widgets.look())
    if principal is None or token is None:
        signed_out()
        return
    if not host_fits(principal.tenant_id):
        widgets.html(
            markup.state("Not available", auth_gate.OTHER_TENANT, link=("Sign in", auth_gate.SIGN_IN)), key="cm_state"
        )
        return
    sign_out = auth_gate.form_token("signout", token)
    try:
        source = data.source_of(principal)
    except NothingPublished:
        support = support_notice.above_pages(principal, served_home.time_zone(principal.tenant_id))
        if support:
            widgets.html(support, key="cm_support")
        shell.without_data(principal, sign_out)
        first_people.draw(principal)
        return
    except AccessError as error:
        state = markup.state("Not available to you", fmt.sentence(str(error)))
        widgets.html(state + bar.sign_out_form(sign_out), key="cm_state")
        return
    streamlit_pages: dict[str, Any] = {}
    refused_pages = []
    for page in ALL:
        if not page.is_held_by(source):
            # It is in no navigation bar; a person who opens its address sees the reason.
            refused_pages.append(st.Page(shell.refused(page, source), title=page.title, url_path=page.key))
            continue
        first = not streamlit_pages
        run = shell.runner(page, source, streamlit_pages, drawer.show, _below)
        streamlit_pages[page.key] = st.Page(run, title=page.title, url_path="" if first else page.key, default=first)
    chosen = st.navigation([*streamlit_pages.values(), *refused_pages], position="hidden")
    current = next((key for key, page in streamlit_pages.items() if page.url_path == chosen.url_path), "")
    whose = [name for name in (source.scope_label, source.tenant_name) if name]
    st.set_page_config(page_title=" · ".join([chosen.title, *whose]))
    links, menu = (
        {
            page.key: streamlit_pages[page.key]
            for page in ALL
            if page.key in streamlit_pages and page.opened_from == place
        }
        for place in (shell.BAR, shell.MENU)
    )
    with source.recorded(current or chosen.url_path, shell.view_of(source).params(), is_refused=not current):
        bar.navigation(source, shell.view_of(source), links, menu, current, sign_out)
        announced = served_home.access().announcements.on(datetime.now(UTC).date())
        if announced:
            widgets.html(markup.notice(announced), key="cm_announcements", as_of=source.as_of)
        support = support_notice.above_pages(principal, source.time_zone, [*streamlit_pages])
        if support:
            opened = widgets.html(support, key="cm_support", as_of=source.as_of)
            if opened.startswith(f"{widgets.PAGE}{support_notice.ADMINISTRATION}"):
                st.session_state[administration.OPENS] = "Support"
                st.switch_page(streamlit_pages[support_notice.ADMINISTRATION])
        chosen.run()
