"""Two servers of pages on one home, whose people are on a PostgreSQL server: each a process, as on two machines that share the home."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import httpx
import pytest

from dashboards.server import auth_gate
from foundation import run_lock
from foundation.control_database import ControlDatabase
from foundation.home import Home
from serving.people.moving import move_to_server
from serving.people.principal import Role
from serving.people.store import AccessStore
from tests.control_server import ControlServer
from tests.serving.conftest import Place, _copied
from tests.support import clinicmart_here

TENANT, PASSWORD = "harbor", "correct horse battery 9"
LOCKED, GUESSED, READERS = "locked@x", "guessed@x", [f"reader{number}@x" for number in range(50)]


class Server:
    """One process that serves pages."""

    def __init__(self, home: Home, port: int) -> None:
        self.port = port
        command = [sys.executable, "-m", "clinicmart.main", "serve", "--home", str(home.path), "--port", str(port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait(self) -> None:
        for _ in range(900):
            try:
                if httpx.get(f"http://127.0.0.1:{self.port}/readyz", timeout=60).status_code == 200:
                    return
            except httpx.HTTPError:
                assert self.process.poll() is None
            time.sleep(0.2)
        raise AssertionError("the server does not become ready")

    def browser(self, token: str = "") -> httpx.Client:
        """A client at the tenant's address, with the cookie of a session."""
        host = f"{TENANT}.localhost:{self.port}"
        cookies = {auth_gate.SESSION_COOKIE: token} if token else {}
        headers = {"host": host, "origin": f"http://{host}", "accept": "text/html"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, cookies=cookies, timeout=120)

    def shows_account(self, token: str, email: str) -> bool:
        """Whether a session opens the account's page, which names its person."""
        with self.browser(token) as browser:
            answer = browser.get("/account")
        assert answer.status_code in (200, 303)
        assert (answer.status_code == 200) == (email in answer.text)
        return answer.status_code == 200

    def sign_in(self, email: str, password: str) -> httpx.Response:
        with self.browser() as browser:
            page = browser.get("/signin")
            token = page.text.split('name="token" value="')[1].split('"')[0]
            # The cookies belong to the name of the host, and the client asks an address: it does not send them by itself.
            cookie = "; ".join(f"{name}={value}" for name, value in page.cookies.items())
            fields = {"token": token, "email": email, "password": password}
            return browser.post("/signin", data=fields, headers={"cookie": cookie})


@pytest.fixture(scope="module")
def home(_published_once: Place, tmp_path_factory: pytest.TempPathFactory, control_server: ControlServer) -> Home:
    home = _copied(_published_once, tmp_path_factory.mktemp("servers")).home
    move_to_server(home, ControlDatabase(postgres=control_server.database()))
    store = AccessStore.open(home)
    for name in (LOCKED, GUESSED, *READERS):
        person = {"display_name": name, "role": Role.EXECUTIVE, "must_change": False}
        store.add_user(TENANT, name, password=PASSWORD, **person)
    return home


@pytest.fixture(scope="module")
def servers(home: Home) -> Iterator[tuple[Server, Server]]:
    with ExitStack() as stack:
        made = []
        for _ in range(2):
            with closing(socket.socket()) as probe:
                probe.bind(("127.0.0.1", 0))
                port = int(probe.getsockname()[1])
            server = Server(home, port)
            stack.callback(server.process.wait)
            stack.callback(server.process.terminate)
            made.append(server)
        for server in made:
            server.wait()
        yield made[0], made[1]


def token_of(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return answer.cookies[auth_gate.SESSION_COOKIE]


def test_a_sign_in_at_one_server_opens_the_other_and_what_ends_it_ends_both(
    home: Home, servers: tuple[Server, Server]
) -> None:
    here, there = servers
    store, email = AccessStore.open(home), LOCKED
    token = token_of(here.sign_in(email, PASSWORD))
    assert here.shows_account(token, email)
    assert there.shows_account(token, email)
    with there.browser(token) as browser:
        form = browser.get("/account").text.split('name="token" value="')[1].split('"')[0]
        assert browser.post("/account", data={"token": form, "action": "end"}).status_code == 303
    assert not here.shows_account(token, email)
    for change in ({"role": Role.BILLING_STAFF}, {"is_active": False}):
        token = token_of(there.sign_in(email, PASSWORD))
        assert here.shows_account(token, email)
        store.change_rights(TENANT, email, actor="a", **change)
        assert not here.shows_account(token, email)
        assert not there.shows_account(token, email)
    assert here.sign_in(email, PASSWORD).status_code != 303


def test_guesses_at_both_servers_are_counted_together(home: Home, servers: tuple[Server, Server]) -> None:
    def guess(number: int) -> bool:
        answer = servers[number % 2].sign_in(GUESSED, f"wrong {number}")
        assert answer.status_code != 303
        return "Too many attempts" in answer.text

    with ThreadPoolExecutor(8) as pool:
        throttled = list(pool.map(guess, range(16)))
    rows = [row for row in AccessStore.open(home).audit_rows(TENANT, action="sign-in") if row.actor == GUESSED]
    assert len(rows) == 16
    assert [row.detail["throttled"] for row in rows].count(True) == throttled.count(True)
    # Three are free; further ones wait 1, 2, 4 ... seconds, also at the other server.
    assert throttled.count(True) > 6


def test_fifty_people_read_at_once_and_the_audit_has_no_gap(home: Home, servers: tuple[Server, Server]) -> None:
    store = AccessStore.open(home)
    people = [store.principal(TENANT, name) for name in READERS]
    tokens = [store.api_tokens.create(who, name="t", allowed=["figures"], days=1, actor="a") for who in people]
    before = store.verify_audit().rows

    def read(number: int) -> object:
        with servers[number % 2].browser() as client:
            answer = client.post(
                "/api/v1/query",
                json={"metrics": ["visits"]},
                headers={"authorization": f"Bearer {tokens[number]}", "accept": "application/json"},
            )
        assert answer.status_code == 200, answer.text
        return answer.json()["rows"]

    with ThreadPoolExecutor(len(READERS)) as pool:
        answers = list(pool.map(read, range(len(READERS))))
    assert answers == [answers[0]] * len(READERS)
    assert len(answers[0]) == 1  # type: ignore[arg-type]
    check = store.verify_audit()
    assert check.is_intact
    assert check.rows >= before + len(READERS)
    assert len(store.audit_rows(TENANT, action="query", limit=1000)) >= len(READERS)
    assert store.check_audit_anchor() == ""


CONFIG = """\
tenants:
  harbor: {name: Harbor, time_zone: America/New_York, feeds: [{name: pm, kind: x12, path: none}]}
"""


def test_a_second_run_is_refused_while_one_is_under_way(home: Home) -> None:
    config = home.path.parent / "clinicmart.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    before = {path: path.stat().st_mtime_ns for path in home.path.rglob("*.duckdb")}
    with run_lock.alone(home):
        ran = clinicmart_here("run", "--home", home.path, "--config", config)
    assert ran.code == 1
    assert "another run is under way" in ran.err
    assert {path: path.stat().st_mtime_ns for path in home.path.rglob("*.duckdb")} == before


def test_a_run_with_a_configuration_that_names_no_database_is_refused(home: Home) -> None:
    config = home.path.parent / "clinicmart.yaml"
    config.write_text(CONFIG, encoding="utf-8")
    ran = clinicmart_here("run", "--home", home.path, "--config", config)
    assert ran.code == 2
    assert "the configuration does not name it" in ran.err
    assert not home.access.exists()
