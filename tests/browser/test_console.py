"""The console of the platform in a browser: an organization from its first day to its last, an announcement, a support session with what
the organization sees of it, branding and metering. The tests change the home: it is a copy of the demo's."""

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from clinicmart.proof.report import verified
from foundation.home import Home
from serving.people.principal import PLATFORM, Role
from serving.people.store import AccessStore
from tests.browser.conftest import Site
from tests.support import clinicmart

ROOT, ADMIN, READER = "root@platform", "boss@juniper", "reader@juniper"
PASSWORD = "a password of my own 7"
REASON = "Tiles of the no-show page are empty"


@pytest.fixture(scope="module")
def demo_home(demo: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the demo's home with a platform administrator, and two people of one organization."""
    home = tmp_path_factory.mktemp("console") / "home"
    shutil.copytree(demo.home, home, ignore=shutil.ignore_patterns("extensions"))
    (home / "extensions").symlink_to(demo.home / "extensions")
    store = AccessStore.open(Home.at(home))
    store.ensure_tenant(PLATFORM, "Platform")
    for tenant, email, role in (
        (PLATFORM, ROOT, Role.SUPER_ADMIN),
        ("juniper", ADMIN, Role.ORGANIZATION_ADMIN),
        ("juniper", READER, Role.EXECUTIVE),
    ):
        store.add_user(tenant, email, display_name=email, role=role, password=PASSWORD, must_change=False)
    return home


@pytest.fixture
def browser(chromium: Any, site: Site) -> Iterator[Callable[..., Any]]:
    """`browser(address, email)`: a tab of a separate browser in which somebody signed in. An error in a page's scripts fails the test."""
    contexts, errors = [], list[str]()

    def opened(address: str, email: str, password: str = PASSWORD) -> Any:
        context = chromium.new_context(bypass_csp=True, viewport={"width": 1440, "height": 1000})
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{address}/signin")
        page.fill("#email", email)
        page.fill("#password", password)
        page.click("button[type=submit]")
        page.wait_for_selector("h1:not(:has-text('Sign in'))")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert not errors


def settled(page: Any) -> None:
    """Waits until the page runs no more."""
    page.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def test_an_organization_is_made_and_its_administrator_comes_in_and_it_leaves(
    site: Site, demo_home: Path, browser: Callable[..., Any], chromium: Any
) -> None:
    root = browser(site.address, ROOT)
    assert root.inner_text("h1").startswith("3 organizations")
    root.fill("#tenant", "delta")
    root.fill("#name", "Delta <Care>")
    root.fill("#email", "dora@delta.example")
    root.click("text=Make it and invite the administrator")
    root.wait_for_selector("text=Delta <Care> is there")
    link = root.inner_text(".done code")
    context = chromium.new_context(bypass_csp=True)
    dora = context.new_page()
    dora.goto(link)
    dora.fill("#password", PASSWORD)
    dora.fill("#again", PASSWORD)
    dora.click("button[type=submit]")
    dora.wait_for_selector("text=No data yet")
    context.close()
    # The plan: a module is taken, and the list says so.
    root.click("a:text-is('Delta <Care>')")
    root.wait_for_selector("h1:has-text('Delta <Care>')")
    root.uncheck("input[name=module_forecasts]")
    root.click("text=Save the plan")
    root.wait_for_selector("text=The plan is saved")
    assert not root.is_checked("input[name=module_forecasts]")
    root.click("text=All organizations")
    root.wait_for_selector("h1:has-text('4 organizations')")
    assert re.search(r"\b8 of 9\b", root.inner_text("tr:has-text('Delta <Care>')"))
    # It leaves: its name is typed, and a certificate is shown.
    root.click("a:text-is('Delta <Care>')")
    root.click("text=See what that means")
    root.fill("#reason", "contract ended")
    root.fill("#typed", "Delta")
    root.click("text=Ask to remove it for ever")
    root.wait_for_selector(".problem:has-text('type the name')")
    root.fill("#typed", "Delta <Care>")
    root.click("text=Ask to remove it for ever")
    root.wait_for_selector("h1:has-text('Delta <Care> is going to be removed')")
    assert clinicmart("tenants", "remove-asked", "--home", demo_home).code == 0
    root.reload()
    root.wait_for_selector("h1:has-text('Delta <Care> is removed')")
    with root.expect_download() as downloaded:
        root.click("text=Download the signed certificate")
    report = verified(Path(downloaded.value.path()))
    assert (report["tenant_id"], report["reason"]) == ("delta", f"contract ended (asked for by {ROOT} in the console)")
    root.click("text=All organizations")
    root.wait_for_selector("h1:has-text('3 organizations')")
    root.wait_for_selector("section:has-text('Organizations that left') >> text=delta")


def test_an_announcement_stands_on_the_pages_until_it_is_ended(site: Site, browser: Callable[..., Any]) -> None:
    root = browser(site.address, ROOT)
    sentence = "Maintenance <tonight> from 22:00 to 23:00"
    root.fill("#sentence", sentence)
    root.click("text=Announce it")
    root.wait_for_selector("text=It stands on the pages of all organizations")
    reader = browser(site.of("juniper"), READER)
    reader.wait_for_selector(f".st-key-cm_announcements :text('{sentence}')")
    root.click("text=End it")
    root.wait_for_selector("text=The announcement is taken from the pages")
    reader.reload()
    reader.wait_for_selector("h1")
    settled(reader)
    assert not reader.query_selector(".st-key-cm_announcements")


def test_a_support_session_is_approved_shown_and_ended_by_the_organization(
    site: Site, browser: Callable[..., Any], picture: Callable[[Any, str], Path]
) -> None:
    root = browser(site.address, ROOT)
    root.goto(f"{site.address}/console/juniper")
    root.fill("#reason", REASON)
    root.select_option("#minutes", "15")
    root.click("text=Ask for a support session")
    root.wait_for_selector("text=An administrator of the organization has to approve it")
    # Nobody but an administrator of the organization reads of a request.
    reader = browser(site.of("juniper"), READER)
    settled(reader)
    assert not reader.query_selector(".st-key-cm_support")
    admin = browser(site.of("juniper"), ADMIN)
    admin.wait_for_selector(f".st-key-cm_support :text('{REASON}')")
    settled(admin)
    admin.click(".st-key-cm_support button")
    admin.wait_for_selector("text=Waits for your decision")
    settled(admin)
    admin.click("button:has-text('Approve')")
    admin.wait_for_selector(".st-key-cm_admin_support :text('Can begin')")
    root.goto(f"{site.address}/console/juniper")
    root.click("button:has-text('Begin')")
    root.wait_for_selector("text=The support session runs")
    with root.context.expect_page() as opened:
        root.click("text=Open the link")
    helper = opened.value
    helper.click("text=Open the pages")
    helper.wait_for_selector(".st-key-cm_support :text('You are in a support session')")
    helper.wait_for_selector(".cm-tiles")
    settled(helper)
    assert not helper.query_selector(".st-key-cm_files")
    helper.goto(f"{site.of('juniper')}/settings")
    helper.wait_for_selector(f"text={READER}")
    for page in ("administration", "sql", "extract"):
        helper.goto(f"{site.of('juniper')}/{page}")
        helper.wait_for_selector("text=is not available to you")
    # Everybody of the organization reads who is there; the administrator ends it.
    reader.reload()
    reader.wait_for_selector(f".st-key-cm_support :text('{ROOT} can look')")
    admin.reload()
    admin.wait_for_selector(f".st-key-cm_support :text('{ROOT} can look')")
    settled(admin)
    admin.click(".st-key-cm_support button")
    admin.wait_for_selector("button:has-text('End it now')")
    settled(admin)
    assert picture(admin, "support").exists()
    assert "Settings" in admin.inner_text("tr:has-text('Runs now')")
    admin.click("button:has-text('End it now')")
    admin.wait_for_selector("tr:has-text('Ended by')")
    helper.goto(f"{site.of('juniper')}/settings")
    helper.wait_for_selector("#password")
    root.goto(f"{site.address}/console/juniper")
    assert f"ended by {ADMIN}" in root.inner_text("#support")


def test_a_brand_is_refused_where_nobody_can_read_it_and_shows_where_they_can(
    site: Site, browser: Callable[..., Any], chromium: Any
) -> None:
    root = browser(site.address, ROOT)
    root.goto(f"{site.address}/console/juniper")
    root.fill("#accent", "#f0a0c0")
    root.click("text=Save the branding")
    root.wait_for_selector(".problem:has-text('the nearest colour that passes is')")
    proposed = root.inner_text(".problem").rstrip(".").rpartition(" ")[2]
    root.fill("#accent", proposed)
    root.fill("#display_name", "Juniper Group")
    root.click("text=Save the branding")
    root.wait_for_selector("text=The branding is saved")
    reader = browser(site.of("juniper"), READER)
    reader.wait_for_selector(".cm-brand:has-text('Juniper Group')")
    accent = reader.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--cm-accent').trim()")
    assert accent == proposed
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    for address, is_own in ((site.of("juniper"), True), (site.of("harbor"), False), (site.address, False)):
        page.goto(f"{address}/signin")
        assert ("Juniper Group" in page.inner_text("h1")) == is_own
    context.close()


def test_metering_is_a_file(site: Site, browser: Callable[..., Any]) -> None:
    root = browser(site.address, ROOT)
    with root.expect_download() as downloaded:
        root.click("text=Download CSV")
    text = Path(downloaded.value.path()).read_text("utf-8")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {row["tenant"] for row in rows} >= {"harbor", "juniper", "mesa"}
    assert set(rows[0]) == {"month", "tenant", "name", "people", "modules", "complete"}
