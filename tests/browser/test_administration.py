"""An administrator invites a person in the browser; the person chooses a password and sees what was given, and no more."""

import re

import pytest

from tests.browser.conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.browser]


def test_an_invited_person_signs_in_and_sees_the_unit_that_was_given(tab, chromium, site: Site, reader):
    tab.goto(f"{site.of('harbor')}/administration")
    tab.get_by_role("button", name="Invite a person").click()
    drawer = tab.get_by_role("dialog")
    drawer.get_by_label("Name", exact=True).fill("Ines New")
    drawer.get_by_label("User name").fill("ines@harbor")
    drawer.get_by_role("button", name="Invite").click()
    drawer.get_by_text("Choose at least one service unit").wait_for()
    units = drawer.get_by_role("combobox", name="Service units")
    units.click()
    # The list draws the options in view only.
    tab.keyboard.type("Northgate Family")
    tab.get_by_role("option", name=re.compile("^Northgate Family Medicine")).first.click()
    tab.keyboard.press("Tab")
    drawer.get_by_role("button", name="Invite").click()
    link = drawer.locator("code").inner_text()
    assert link.startswith(f"{site.of('harbor')}/password?reset=")

    context = chromium.new_context(bypass_csp=True)
    guest = context.new_page()
    guest.goto(link)
    guest.fill("#password", "a password of my own 8")
    guest.fill("#again", "a password of my own 8")
    guest.click("button[type=submit]")
    guest.goto(f"{site.of('harbor')}/signin")
    if guest.locator("#email").count():
        guest.fill("#email", "ines@harbor")
        guest.fill("#password", "a password of my own 8")
        guest.click("button[type=submit]")
    guest.get_by_text("Northgate Family Medicine (your unit)").first.wait_for()
    assert guest.get_by_role("link", name="Administration").count() == 0
    guest.goto(f"{site.of('harbor')}/administration")
    guest.get_by_text("Administration is not available to you").wait_for()
    context.close()

    tab.keyboard.press("Escape")
    tab.get_by_role("button", name="Ines New").click()
    drawer.get_by_role("button", name="Lock").click()
    drawer.get_by_text("Locked. Open sessions of this person ended.").wait_for()
    tab.keyboard.press("Escape")
    tab.get_by_text("Activity", exact=True).click()
    tab.get_by_text("user: ines@harbor").first.wait_for()
