"""Attacks on the doors: another person's live page, other hosts, plain HTTP, forged headers. Each has its positive control."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import ClientConnection, connect

from dashboards.hosts import UnknownTenant, tenant_of_host
from dashboards.server import auth_gate
from dashboards.theme import PERSON_HEADER
from foundation.errors import ConfigurationError
from foundation.exposure import check_exposure
from foundation.home import Home
from serving.people.store import AccessStore

TENANTS = {"harbor": "Harbor Health", "mesa": "Mesa Verde Clinics"}


@pytest.fixture(scope="module")
def port(home: Home) -> Iterator[int]:
    """The dashboards of the home, served by the real server in a separate process."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        number = int(free.getsockname()[1])
    command = [sys.executable, "-m", "clinicmart.main", "serve", "--home", str(home.path), "--port", str(number)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as server:
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{number}/healthz", timeout=5)
                    break
                except OSError:
                    assert server.poll() is None, server.stderr
                    time.sleep(0.2)
            yield number
        finally:
            server.terminate()


def live_page(port: int, tenant: str, token: str, resume: str = "") -> ClientConnection:
    """A socket to a tenant's address with a session cookie, as a browser opens it; `resume` is the id of a live page."""
    return connect(
        f"ws://{tenant}.localhost:{port}/_stcore/stream",
        sock=socket.create_connection(("127.0.0.1", port)),
        additional_headers={"Cookie": f"{auth_gate.SESSION_COOKIE}={token}"},
        origin=f"http://{tenant}.localhost:{port}",  # type: ignore[arg-type]
        subprotocols=["streamlit", "x", *([resume] if resume else [])],  # type: ignore[list-item]
        max_size=None,
    )


def page_id(page: ClientConnection) -> str:
    """Runs the page once and returns the id that Streamlit gave it."""
    message = BackMsg()
    message.rerun_script.query_string = ""
    page.send(message.SerializeToString())
    while True:
        answer = ForwardMsg()
        data = page.recv(timeout=60)
        assert isinstance(data, bytes)
        answer.ParseFromString(data)
        if answer.WhichOneof("type") == "new_session":
            return answer.new_session.initialize.session_id


def clinicmart(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clinicmart.main", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def token_of(home: Home, tenant: str) -> str:
    store = AccessStore.open(home)
    return store.create_session(store.principal(tenant, f"admin@{tenant}"))


def test_nobody_resumes_the_live_page_of_another_sign_in(port: int, home: Home) -> None:
    victim_token = token_of(home, "harbor")
    with live_page(port, "harbor", victim_token) as victim:
        victims_page = page_id(victim)
        with live_page(port, "mesa", token_of(home, "mesa"), resume=victims_page) as attacker:
            assert page_id(attacker) != victims_page
        with live_page(port, "harbor", token_of(home, "harbor"), resume=victims_page) as same_tenant:
            assert page_id(same_tenant) != victims_page
        # The victim keeps its page.
        assert page_id(victim) == victims_page
        # Control: the same sign-in resumes it.
        with live_page(port, "harbor", victim_token, resume=victims_page) as own:
            assert page_id(own) == victims_page


def test_the_person_header_of_a_client_counts_for_nothing() -> None:
    name = PERSON_HEADER.lower().encode()
    scope = {"type": "http", "scheme": "http", "headers": [(name, b"forged"), (b"cookie", b"clinicmart_session=t1")]}
    other = {"type": "http", "scheme": "http", "headers": [(b"cookie", b"clinicmart_session=t2")]}
    (value,) = [v for k, v in auth_gate.with_person(scope)["headers"] if k == name]
    (elses,) = [v for k, v in auth_gate.with_person(other)["headers"] if k == name]
    assert len({b"forged", b"", value, elses}) == 4


@pytest.mark.parametrize(
    ("host", "tenant"),
    [
        ("harbor.clinics.example", "harbor"),
        ("HARBOR.clinics.example:443", "harbor"),
        ("clinics.example", None),
    ],
)
def test_hosts_of_the_domain_are_known(host: str, tenant: str | None) -> None:
    assert tenant_of_host(host, TENANTS, "clinics.example") == tenant


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "harbor.evil.example", "nobody.clinics.example", "harbor.clinics.example.evil.example",
        "a.harbor.clinics.example", "clinicsXexample", "127.0.0.1", "localhost", "[::1", "harbor", "192.0.2.2:8501",
    ],
)  # fmt: skip
def test_other_hosts_are_refused(host: str) -> None:
    with pytest.raises(UnknownTenant):
        tenant_of_host(host, TENANTS, "clinics.example")


@given(st.text(max_size=60))
def test_no_host_but_a_tenants_own_is_a_tenant(host: str) -> None:
    try:
        tenant = tenant_of_host(host, TENANTS, "clinics.example")
    except UnknownTenant:
        return
    name = host.lower().partition(":")[0].rstrip(".").rpartition("@")[2]
    assert name == ("clinics.example" if tenant is None else f"{tenant}.clinics.example")


@pytest.mark.parametrize(
    "origin", ["http://[", "null", "", "http://evil.example", "http://harbor.localhost:8501.evil.example"]
)
def test_a_form_of_a_strange_origin_is_refused(browser, origin: str) -> None:  # type: ignore[no-untyped-def]
    visitor = browser("http://harbor.localhost:8501")
    token = visitor.token_on("/signin")
    assert visitor.post("/signin", {"token": token, "email": "x"}, headers={"origin": origin}).status_code == 403
    # Control: the same form from our own page is judged by its password.
    assert visitor.post("/signin", {"token": token, "email": "x@harbor", "password": "no"}).status_code == 401


def test_a_foreign_host_gets_no_page_and_no_sign_in(browser) -> None:  # type: ignore[no-untyped-def]
    stranger = browser("http://evil.example:8501")
    assert stranger.get("/signin").status_code == 404
    assert stranger.get("/").status_code == 404
    assert browser("http://localhost:8501").get("/signin").status_code == 200


def test_cookies_over_tls_are_bound_to_the_host_and_a_plain_one_beside_them_is_not_read(browser, served) -> None:  # type: ignore[no-untyped-def]
    visitor = browser("https://harbor.localhost")
    answer = visitor.sign_in()
    cookies = [c for c in answer.headers.get_list("set-cookie") if "Max-Age=0" not in c]
    assert cookies
    assert all(c.startswith("__Host-") and "Secure" in c and "Path=/" in c and "Domain" not in c for c in cookies)
    assert visitor.get("/").headers["strict-transport-security"].startswith("max-age=")
    tossed = browser("https://harbor.localhost")
    tossed.client.cookies.set(auth_gate.SESSION_COOKIE, served.access.create_session(
        served.access.principal("harbor", "admin@harbor")
    ))  # fmt: skip
    assert tossed.get("/").headers["location"].startswith("/signin")


def test_every_answer_has_the_security_headers(browser) -> None:  # type: ignore[no-untyped-def]
    headers = browser().get("/signin").headers
    assert {
        "content-security-policy", "cross-origin-opener-policy", "cross-origin-resource-policy", "x-frame-options"
    } <= set(headers)  # fmt: skip
    # Streamlit loads the script of our tiles and tables from a blob.
    assert "script-src 'self' blob:" in headers["content-security-policy"]
    assert "'unsafe-eval'" not in headers["content-security-policy"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.2", "clinics.example"])
def test_no_server_sends_plain_http_to_other_machines(host: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="unencrypted"):
        check_exposure("The dashboards", host, certificate=None, proxy=None)
    check_exposure("The dashboards", host, certificate=tmp_path / "a.pem", proxy=None)
    check_exposure("The dashboards", host, certificate=None, proxy="10.0.0.1")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.0.0.9"])
def test_this_machine_alone_may_speak_plain_http(host: str) -> None:
    check_exposure("The dashboards", host, certificate=None, proxy=None)


@pytest.mark.parametrize("command", ["serve", "dagster"])
def test_commands_refuse_an_open_address_without_tls(command: str, home: Home) -> None:
    done = clinicmart(command, "--home", str(home.path), "--host", "0.0.0.0")
    assert done.returncode == 2
    assert "0.0.0.0" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_in_use_is_one_sentence(home: Home) -> None:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = str(taken.getsockname()[1])
        done = clinicmart("serve", "--home", str(home.path), "--port", number)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{number}" in done.stderr
    assert "Traceback" not in done.stderr
