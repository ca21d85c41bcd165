"""Administration: the people of the organization, and what they did."""

import streamlit as st

from dashboards import format as fmt
from dashboards import markup, shell
from dashboards.pages.administration import activity, brand, mail, people, sign_in, sites, support
from dashboards.shell import PageContext
from serving.people.roster import Person

# In the session's state: the tab with which the page opens, where a link elsewhere names one.
OPENS = "cm_admin_opens"
VIEWS = {
    "People": people.draw,
    "Sign-in": sign_in.draw,
    "Activity": activity.draw,
    "Mail": mail.draw,
    "Sites": sites.draw,
    "Branding": brand.draw,
    "Support": support.draw,
}


def draw(context: PageContext) -> None:
    """Draws the page Administration: people, activity, mail, the rules of sign-in, the sites of others, branding and support sessions."""
    everybody = context.source.administration.people()
    context.html(
        markup.heading(_finding(everybody), ["Who may sign in, and what was done"], shell.whose(context.source)),
        key="cm_head",
    )
    opens = st.session_state.pop(OPENS, "" if "cm_admin_view" in st.session_state else "People")
    if opens:
        st.session_state["cm_admin_view"] = opens
    with st.container(key="cm_admin_views"):
        chosen = st.segmented_control(
            "Show", list(VIEWS), required=True, key="cm_admin_view", label_visibility="collapsed"
        )
    VIEWS[chosen or "People"](context, everybody)


def _finding(everybody: tuple[Person, ...]) -> str:
    """How many people may sign in, and how many of them never did or are locked."""
    numbers = {
        status: sum(person.status == status for person in everybody) for status in ("active", "invited", "locked")
    }
    parts = [f"{fmt.plural(numbers['active'], 'person', 'people')} can sign in"]
    if numbers["invited"]:
        parts.append(f"{numbers['invited']} invited")
    if numbers["locked"]:
        parts.append(f"{numbers['locked']} locked")
    return ", ".join(parts)
