"""A person adds a passkey in a real browser with a virtual authenticator, signs in with it alone, and passes the second factor with it."""

import re

import pytest

from foundation.home import Home
from serving.people.principal import Role
from serving.people.store import AccessStore
from tests.browser.conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PASSWORD = "a password of my own 8"


def with_authenticator(context, *, is_verified=True):
    """A tab whose browser has an authenticator that keeps passkeys, as a phone does; the user confirms at once."""
    tab = context.new_page()
    session = context.new_cdp_session(tab)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": is_verified,
        "automaticPresenceSimulation": True,
    }
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return tab, session, made["authenticatorId"]


def test_a_passkey_signs_in_alone_and_after_the_password(chromium, site: Site, demo_home):
    store = AccessStore.open(Home.at(demo_home))
    own = {"password": PASSWORD, "must_change": False}
    store.add_user("harbor", "pia@harbor", display_name="Pia", role=Role.EXECUTIVE, **own)
    # The content policy stays on: the script must run under it.
    context = chromium.new_context()
    tab, session, authenticator = with_authenticator(context)
    tab.goto(f"{site.of('harbor')}/signin?next=/passkeys")
    tab.fill("#email", "pia@harbor")
    tab.fill("#password", PASSWORD)
    tab.get_by_role("button", name="Sign in", exact=True).click()
    tab.fill("#name", "My phone")
    tab.fill("#password", PASSWORD)
    tab.get_by_role("button", name="Go on").click()
    tab.get_by_role("button", name="Make the passkey").click()
    tab.get_by_text("Keep these recovery codes").wait_for()
    (kept,) = session.send("WebAuthn.getCredentials", {"authenticatorId": authenticator})["credentials"]
    assert (kept["isResidentCredential"], kept["rpId"]) == (True, "harbor.localhost")

    context.clear_cookies()
    tab.goto(f"{site.of('harbor')}/signin?next=/account")
    tab.get_by_role("button", name="Sign in with a passkey").click()
    tab.get_by_text("1 passkey: alone, or after your password.").wait_for()

    context.clear_cookies()
    tab.goto(f"{site.of('harbor')}/signin?next=/account")
    tab.fill("#email", "pia@harbor")
    tab.fill("#password", PASSWORD)
    tab.get_by_role("button", name="Sign in", exact=True).click()
    tab.wait_for_url(re.compile("/second-factor.next="))
    tab.get_by_role("button", name="Use a passkey").click()
    # The address of the second factor ends with /account too.
    tab.get_by_text("1 passkey: alone, or after your password.").wait_for()

    # The browser finds no passkey of harbor at the address of another tenant, and says so in the page.
    context.clear_cookies()
    tab.goto(f"{site.of('mesa')}/signin")
    tab.get_by_role("button", name="Sign in with a passkey").click()
    tab.get_by_text("No passkey was used.").wait_for()
    context.close()
