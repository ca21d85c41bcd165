"""How people of the organization sign in: whether a second factor is required, and who has none."""

import streamlit as st

from dashboards import blocks
from dashboards import format as fmt
from dashboards.pages.administration import accounts
from dashboards.shell import PageContext
from serving.people.roster import Person

KEY = "cm_admin_second_factor"
LINKS = {
    True: "The first sign-in links a person by the e-mail address that the provider verified.",
    False: "The operator links each person (clinicmart users link).",
}
# Optional, required.
CHOICES = ("Only people who set one up themselves", "Everybody")


def draw(context: PageContext, everybody: tuple[Person, ...]) -> None:
    """Draws the tab with the rules of sign-in."""
    administration = context.source.administration
    is_required = administration.requires_second_factor()
    without = [person for person in everybody if person.is_active and not person.has_second_factor]
    provider = administration.identity_provider()
    blocks.section(
        "Identity provider",
        f"People may sign in with {provider.name} ({provider.issuer}). {LINKS[provider.links_by_email]}"
        if provider
        else "None: everybody signs in with a password. The operator sets one (clinicmart tenants oidc set).",
    )
    blocks.section(
        "Second factor",
        "A passkey, or a code of an authenticator app (TOTP) after the password; an identity provider asks for its own",
    )
    with st.container(key="cm_admin_sign_in"):
        # Each answer of the form is asked once: the rule counts, not what the browser remembers.
        with st.form(KEY, border=False):
            wanted = st.radio(
                "Who needs one",
                CHOICES,
                index=int(is_required),
                key=f"{KEY}_choice_{is_required}",
            )
            st.caption(_consequence(len(without)))
            is_saved = st.form_submit_button("Save")
        if is_saved and CHOICES.index(wanted) != is_required:
            administration.require_second_factor(not is_required)
            st.rerun()
    names = ", ".join(person.email for person in without)
    blocks.section("Without a second factor", names or "Nobody")
    accounts.draw(context)


def _consequence(without: int) -> str:
    if not without:
        return "Everybody has a second factor."
    people = fmt.plural(without, "person has", "people have")
    return (
        f"{people} no second factor yet. If everybody needs one, they set it up before they see the next page, "
        "also where they are signed in now."
    )
