"""A person sets an authenticator app up in a real browser, signs in with a code, and an administrator requires one of everybody."""

import re

import pyotp
import pytest

from foundation.home import Home
from serving.people.principal import Role
from serving.people.store import AccessStore
from tests.browser.conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.browser]
PASSWORD = "a password of my own 8"


def test_a_code_follows_the_password_once_an_app_is_set_up(chromium, site: Site, demo_home, tab):
    store = AccessStore.open(Home.at(demo_home))
    store.add_user(
        "harbor", "otto@harbor", display_name="Otto", role=Role.EXECUTIVE, password=PASSWORD, must_change=False
    )
    # The content policy stays on: the QR code must show under it.
    context = chromium.new_context()
    guest = context.new_page()

    def sign_in() -> None:
        guest.goto(f"{site.of('harbor')}/signin?next=/no_show")
        guest.fill("#email", "otto@harbor")
        guest.fill("#password", PASSWORD)
        guest.click("button[type=submit]")

    sign_in()
    guest.goto(f"{site.of('harbor')}/second-factor/set-up")
    guest.wait_for_function("document.querySelector('img.qr').naturalWidth > 0")
    app = pyotp.TOTP(guest.locator("p.hint code").inner_text().replace(" ", ""))
    guest.fill("#code", app.now())
    guest.fill("#password", PASSWORD)
    guest.click("button[type=submit]")
    codes = guest.locator(".codes code").all_inner_texts()
    assert len(codes) == 10
    context.clear_cookies()
    sign_in()
    guest.wait_for_url(re.compile("/second-factor.next="))
    guest.fill("#code", "000000")
    guest.click("button[type=submit]")
    guest.get_by_text("The code is wrong").wait_for()
    guest.get_by_role("link", name="Use a recovery code").click()
    guest.fill("#code", codes[0])
    guest.click("button[type=submit]")
    guest.get_by_text("No-show", exact=False).first.wait_for()

    tab.goto(f"{site.of('harbor')}/administration")
    tab.get_by_role("button", name="Otto").click()
    drawer = tab.get_by_role("dialog")
    drawer.get_by_role("button", name="Reset second factor").click()
    drawer.get_by_text("Reset. Open sessions of this person ended").wait_for()
    guest.reload()
    guest.wait_for_url(re.compile("/signin"))
    context.close()
