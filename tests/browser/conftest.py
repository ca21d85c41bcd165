"""A real browser and a real server over the demo's home.

Chromium is looked for as `CLINICMART_CHROMIUM`, then on the path; where there is none the tests skip and say so.
With `CLINICMART_SCREENSHOTS` set, the pages' pictures go to `docs/images`; else they stay in pytest's folder.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest

from foundation.home import Home
from serving.people.principal import Role
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader

ROOT = Path(__file__).parents[2]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ONE_TIME = "one-time-password-1"


@dataclass(frozen=True)
class Site:
    """A server that runs: its address at the machine and at a tenant's subdomain."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}"

    def of(self, tenant: str) -> str:
        return f"http://{tenant}.localhost:{self.port}"


# A guard against a test that hangs, not a measure: the first look at a page prepares its tables, and other tests take the cores.
PATIENCE_MILLISECONDS = 240_000


def settled(tab: Any) -> None:
    """Waits until the page has run to its end and the browser has drawn it.

    A button that the next run draws again has a new file behind it: a click on the old one brings nothing.
    """
    tab.wait_for_selector("[data-testid=stApp][data-test-script-state=notRunning]")


def taken(tab: Any, button: str) -> Path:
    """The file that this download button of the settled page brings."""
    settled(tab)
    with tab.expect_download() as download:
        tab.get_by_role("button", name=button).click()
    return Path(download.value.path())


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """The browser. Skips where playwright or Chromium is not installed.

    Gone with its module: while it is there its driver keeps an event loop on this thread, and no other test can run one.
    """
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CLINICMART_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("no Chromium: install one or name it in CLINICMART_CHROMIUM")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        new_context = browser.new_context

        def patient_context(**options: Any) -> Any:
            context = new_context(**options)
            context.set_default_timeout(PATIENCE_MILLISECONDS)
            return context

        browser.new_context = patient_context
        yield browser
        browser.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(site: Site, seconds: float = 300) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert site.process.poll() is None, "the server ended before it answered"
        try:
            with urllib.request.urlopen(f"{site.address}/healthz", timeout=2) as answer:
                assert answer.status == 200
                return
        except (URLError, OSError):
            time.sleep(0.2)
    pytest.fail("the server did not answer in five minutes")


@pytest.fixture(scope="module")
def site(demo_home: Path) -> Iterator[Site]:
    """`clinicmart serve` on the demo's home; told to stop at the end, and it has to stop cleanly."""
    port = _free_port()
    command = [str(Path(sys.executable).parent / "clinicmart"), "serve", "--home", str(demo_home), "--port", str(port)]
    running = Site(port, subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    try:
        _wait(running)
        yield running
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(timeout=120) in (0, -signal.SIGTERM)
    finally:
        running.process.kill()
        running.process.wait()


@pytest.fixture(scope="module")
def user(request: pytest.FixtureRequest) -> str:
    """Who signs in: a person of the module's own, as all modules share the demo's home."""
    return f"{Path(request.module.__file__).stem}@harbor"


@pytest.fixture(scope="module")
def password() -> str:
    """The password that the person chooses at the first signing in."""
    return "a password of my own 7"


@pytest.fixture(scope="module")
def reader(demo_home: Path, user: str) -> Reader:
    """The same person's reader, for what the pages must say."""
    home = Home.at(demo_home)
    store = AccessStore.open(home)
    store.add_user("harbor", user, display_name="Bea Browser", role=Role.ORGANIZATION_ADMIN, password=ONE_TIME)
    return open_reader(home, store.principal("harbor", user))


@pytest.fixture(scope="module")
def signed_in(chromium: Any, site: Site, reader: Reader, user: str, password: str) -> dict[str, Any]:
    """The state of a browser that signed in with a one-time password and chose its own."""
    context = chromium.new_context(bypass_csp=True)
    page = context.new_page()
    page.goto(f"{site.of('harbor')}/no_show?place=BU1")
    page.fill("#email", user)
    page.fill("#password", ONE_TIME)
    page.click("button[type=submit]")
    page.wait_for_url("**/password")
    page.fill("#password", password)
    page.fill("#again", password)
    page.click("button[type=submit]")
    page.wait_for_selector("h1")
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def tab(chromium: Any, signed_in: dict[str, Any]) -> Iterator[Any]:
    """A tab of a signed-in person. An error in the page's own scripts fails the test.

    The content policy is off, since it refuses what the driver evaluates to wait; one separate test keeps it on.
    """
    context = chromium.new_context(bypass_csp=True, storage_state=signed_in, viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    assert not errors


@pytest.fixture
def picture(tmp_path: Path) -> Callable[[Any, str], Path]:
    """Takes a picture of the whole page: `picture(tab, "overview")`."""
    folder = ROOT / "docs" / "images" if os.environ.get("CLINICMART_SCREENSHOTS") else tmp_path

    def take(page: Any, name: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        page.wait_for_timeout(1500)
        height = page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        page.set_viewport_size({"width": 1440, "height": max(1000, min(int(height) + 8, 4000))})
        page.wait_for_timeout(500)
        path = folder / f"{name}.png"
        page.screenshot(path=str(path))
        page.set_viewport_size({"width": 1440, "height": 1000})
        return path

    return take
