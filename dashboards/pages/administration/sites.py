"""Sites of others that show figures of the organization in a frame (docs/embedding.md): which there are, a new one, and the end of one."""

from urllib.parse import urlsplit

import streamlit as st
from markupsafe import Markup

from dashboards import blocks, markup
from dashboards import format as fmt
from dashboards.data import UNKNOWN, Source
from dashboards.embedding import TICKETS_PATH
from dashboards.held_pages import pages_of
from dashboards.shell import PageContext
from foundation.errors import ClinicmartError
from serving.modules import PAGES
from serving.people.embedding_sites import ROLE, EmbeddingSite
from serving.people.rights import ROLES
from serving.people.roster import Person
from serving.people.secret_tokens import LONGEST_DAYS, NAME_LENGTH

KEY = "cm_admin_sites"
USUAL_DAYS = 180
NO_SITES = (
    "No site shows your figures",
    "Register an intranet or a portal below: it can then show the pages that you choose in a frame.",
)


def draw(context: PageContext, _everybody: tuple[Person, ...]) -> None:
    """Draws the tab with the sites, and the forms to register and to end one."""
    source = context.source
    # The table is drawn once a form has changed it.
    above = st.container()
    with st.container(key=KEY):
        done = _end(source)
        secret, done = _register(source) or ("", done)
    with above:
        blocks.section(
            "Sites of others",
            "A site shows figures in a frame: no rows, no names, no figure of few people. Its readers need no account here",
        )
        if done:
            context.html(markup.state("Saved" if done.startswith("Saved") else "Not saved", done), key=f"{KEY}_done")
        if secret:
            here = urlsplit(st.context.url or "")
            st.caption(
                "Give this secret to the server of the site alone, never to a browser. It is not shown again. The server asks for links at "
                f"{here.scheme}://{here.netloc}{TICKETS_PATH}."
            )
            st.code(secret, language=None, wrap_lines=True)
        sites = source.administration.embedding_sites()
        drawn = _table(source, sites) if sites else markup.state(*NO_SITES)
        context.html(drawn, key=f"{KEY}_table")


def _table(source: Source, sites: tuple[EmbeddingSite, ...]) -> Markup:
    rows = [
        markup.Row(
            (
                site.name,
                site.origin,
                ", ".join(PAGES[page].title for page in site.pages if page in PAGES),
                ", ".join(_unit_name(source, unit) for unit in site.unit_ids) or "The whole organization",
                _state(source, site),
                fmt.unbroken(fmt.moment(site.last_used_at, source.time_zone)) if site.last_used_at else "Never",
                site.created_by,
            )
        )
        for site in sites
    ]
    names = ("Name", "Site", "Shows", "Of", "State", "Last used", "Registered by")
    return markup.table([markup.Column(name) for name in names], rows, caption="Sites of others, the newest first")


def _state(source: Source, site: EmbeddingSite) -> str:
    if site.is_open:
        return f"Open until {fmt.day(fmt.local_date(site.expires_at, source.time_zone))}"
    return "Ended" if site.ended_at else "Expired"


def _unit_name(source: Source, unit: str) -> str:
    return source.places[unit].name if unit in source.places else unit


def _end(source: Source) -> str:
    """The form that ends a site. Returns what became of it."""
    going_on = {site.token_id: site for site in source.administration.embedding_sites() if site.is_open}
    if not going_on:
        return ""
    with st.form(f"{KEY}_end", border=False):
        columns = st.columns([4, 2, 6], vertical_alignment="bottom")
        site_id = columns[0].selectbox(
            "End a site",
            list(going_on),
            format_func=lambda key: f"{going_on[key].name}, {going_on[key].origin}",
            help="It shows nothing from its next view on, also with links that nobody has opened yet.",
        )
        is_ended = columns[1].form_submit_button("End it")
    if not is_ended or site_id is None:
        return ""
    try:
        source.administration.end_embedding_site(site_id)
    except ClinicmartError as error:
        return fmt.sentence(str(error))
    return f"Saved: {going_on[site_id].name} shows nothing any more."


def _register(source: Source) -> tuple[str, str] | None:
    """The form of a new site. Returns its secret, empty where it was refused, and what became of it; None where it was not sent."""
    blocks.section("Register a site", "Its server gets a secret, with which it asks for a link for each view")
    pages = [page for page in pages_of(source) if page in ROLES[ROLE].pages]
    with st.form(f"{KEY}_new"):
        columns = st.columns(3, vertical_alignment="bottom")
        name = columns[0].text_input("Name", max_chars=NAME_LENGTH, placeholder="Board portal", key=f"{KEY}_name")
        origin = columns[1].text_input(
            "Address of the site", placeholder="https://portal.example.org", key=f"{KEY}_origin", max_chars=300
        )
        days = columns[2].number_input("Days that the secret works", 1, LONGEST_DAYS, USUAL_DAYS, key=f"{KEY}_days")
        left, right = st.columns(2, vertical_alignment="bottom")
        shown = left.multiselect(
            "Pages", pages, format_func=lambda page: PAGES[page].title, key=f"{KEY}_pages", placeholder="Choose pages"
        )
        units = right.multiselect(
            "Service units (none: the whole organization)",
            [place for place in source.places if place != UNKNOWN],
            format_func=lambda unit: source.places[unit].name,
            key=f"{KEY}_units",
            placeholder="The whole organization",
        )
        is_sent = st.form_submit_button("Register the site", type="primary")
    if not is_sent:
        return None
    try:
        secret = source.administration.register_embedding_site(
            name, origin=origin, pages=shown, unit_ids=units, days=int(days)
        )
    except ClinicmartError as error:
        return "", fmt.sentence(str(error))
    return secret, f"Saved: {name.strip()} can show figures."
