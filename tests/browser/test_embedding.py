"""A page of figures in the frame of another site, in a real browser: the registered site shows it, another one does not."""

import http.server
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dashboards import format as fmt
from foundation.home import Home
from serving.model import MetricQuery
from serving.people.store import AccessStore
from serving.reader import open_reader
from tests.browser.conftest import Site

pytestmark = [pytest.mark.slow, pytest.mark.browser]


class Portal:
    """A site of somebody else: it shows a frame with the link that it was given."""

    def __init__(self) -> None:
        portal = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page = (
                    f'<!doctype html><title>Portal</title><h1>Portal</h1><iframe src="{portal.link}"></iframe>'.encode()
                )
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                """Says nothing."""

        self.link, self.tells = "", "origin"
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def origin(self, name: str) -> str:
        return f"http://{name}.localhost:{self.server.server_port}"


@pytest.fixture
def portal() -> Iterator[Portal]:
    portal = Portal()
    yield portal
    portal.server.shutdown()
    portal.server.server_close()


@pytest.fixture
def link(site: Site, demo_home: Path, portal: Portal) -> Callable[[], str]:
    """A new link, as the server of the registered site asks for it."""
    store = AccessStore.open(Home.at(demo_home))
    secret = store.embedding_sites.create(
        "harbor", name="Portal", origin=portal.origin("portal"), pages=["no_show"], days=1, actor="test"
    )

    def ask() -> str:
        request = urllib.request.Request(
            f"{site.address}/embed/tickets",
            data=json.dumps({"page": "no_show", "period": "last_12_months"}).encode(),
            headers={"authorization": f"Bearer {secret}", "host": urlsplit(site.of("harbor")).netloc},
        )
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())["url"]

    return ask


def test_the_registered_site_shows_the_page_and_another_one_does_not(chromium, portal, link, demo_home):
    # A browser as it is: with the content policy in force, and without any cookie.
    context = chromium.new_context(viewport={"width": 1200, "height": 900})
    page = context.new_page()
    portal.link = link()
    page.goto(portal.origin("portal"))
    frame = page.frame_locator("iframe")
    frame.get_by_role("heading", name="No-show", exact=True).wait_for()
    shown = frame.locator("main").inner_text()

    home = Home.at(demo_home)
    registered = AccessStore.open(home).embedding_sites.of_tenant("harbor")[0]
    with open_reader(home, registered.principal) as reader:
        whole = reader.query(MetricQuery(metrics=["no_shows"], grain="month"))
    assert whole.height
    assert "No-show rate" in shown
    assert f"data as of {fmt.day(reader.data_as_of)}" in shown
    assert context.cookies() == []

    # The same page again: the link was used.
    page.goto(portal.origin("portal"))
    frame.get_by_text("This view cannot be shown").wait_for()

    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text))
    # Also where the site does not say who it is, so that the server answers: the browser does not show it.
    portal.link, portal.tells = link(), "no-referrer"
    page.goto(portal.origin("evil"))
    page.get_by_role("heading", name="Portal").wait_for()
    page.wait_for_timeout(2000)
    assert any("frame-ancestors" in text for text in messages), messages
    assert all("No-show rate" not in each.content() for each in page.frames)
    context.close()
