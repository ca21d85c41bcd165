"""Who may pass: sign-in, CSRF, the tenant of the address, first passwords, sign-out."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from dashboards.server import auth_gate, health_routes
from serving.people.principal import Role

ZONES = """\
tenants:
  harbor:
    name: Harbor Health
    time_zone: Asia/Tokyo
    feeds:
      pm:
        kind: reference_file
        path: ${NOT_SET_HERE}
"""
HARBOR, MESA = "http://harbor.localhost:8501", "http://mesa.localhost:8501"


def test_without_a_session_a_page_leads_to_sign_in_and_data_are_refused(browser):
    visitor = browser()
    page = visitor.get("/no_show?place=north")
    assert page.status_code == 303
    assert page.headers["location"] == "/signin?next=/no_show%3Fplace%3Dnorth"
    assert visitor.get("/_stcore/host-config", headers={"accept": "application/json"}).status_code == 403
    assert visitor.post("/_stcore/upload_file/x/y", {}).status_code == 403


def test_without_a_session_the_socket_is_refused(browser):
    with pytest.raises(WebSocketDisconnect), browser().socket():
        pass


def test_sign_in_leads_back_to_where_one_wanted_to_go(browser):
    visitor = browser()
    answer = visitor.sign_in(next="/no_show?place=north")
    assert (answer.status_code, answer.headers["location"]) == (303, "/no_show?place=north")
    assert visitor.get("/no_show").text == "inside"
    with visitor.socket() as socket:
        assert socket.receive_text() == "inside"


def test_the_session_cookie_is_for_the_server_alone(browser):
    cookie = next(c for c in browser().sign_in().headers.get_list("set-cookie") if auth_gate.SESSION_COOKIE in c)
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Secure" not in cookie


def test_the_session_cookie_is_secure_over_tls(browser):
    cookies = browser("https://harbor.localhost").sign_in().headers.get_list("set-cookie")
    assert all("Secure" in c for c in cookies if c.startswith(auth_gate.SESSION_COOKIE))


@pytest.mark.parametrize("email", ["admin@harbor", "nobody@harbor", "admin@nowhere", ""])
def test_a_wrong_password_and_an_unknown_user_are_answered_alike(browser, email):
    answer = browser().sign_in(email=email, password="wrong")
    assert answer.status_code == 401
    assert "The user name or the password is wrong." in answer.text
    assert auth_gate.SESSION_COOKIE not in str(answer.headers.get_list("set-cookie"))


def test_sign_in_without_the_forms_token_is_refused(browser):
    visitor = browser()
    visitor.get("/signin")
    fields = {"email": "admin@harbor", "password": "correct horse battery 9"}
    assert visitor.post("/signin", fields).status_code == 403
    for token in ("0" * 64, "é"):
        assert visitor.post("/signin", {**fields, "token": token}).status_code == 403


def test_another_browsers_token_does_not_fit(browser):
    fields = {"email": "admin@harbor", "password": "correct horse battery 9", "token": browser().token_on("/signin")}
    victim = browser()
    victim.get("/signin")
    assert victim.post("/signin", fields).status_code == 403


def test_a_form_from_another_site_is_refused(browser):
    visitor = browser()
    token = visitor.token_on("/signin")
    fields = {"token": token, "email": "admin@harbor", "password": "correct horse battery 9"}
    assert visitor.post("/signin", fields, headers={"origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/\\evil.example", "evil", "/signout"])
def test_sign_in_never_leads_to_another_site(browser, wanted):
    assert browser().sign_in(next=wanted).headers["location"] == "/"


def test_the_address_names_the_tenant(browser):
    visitor = browser(HARBOR)
    assert "Sign in to Harbor Health" in visitor.get("/signin").text
    assert visitor.sign_in().status_code == 303
    assert visitor.get("/").text == "inside"


def test_a_person_of_another_tenant_cannot_sign_in_at_this_address(browser):
    assert browser(HARBOR).sign_in(email="admin@mesa").status_code == 401


def test_a_session_of_another_tenant_is_refused_page_data_and_socket(browser, served):
    visitor = browser(HARBOR)
    token = served.access.create_session(served.access.principal("mesa", "admin@mesa"))
    visitor.client.cookies.set(auth_gate.SESSION_COOKIE, token)
    page = visitor.get("/")
    assert page.status_code == 403
    assert "another organization" in page.text
    assert visitor.get("/_stcore/health", headers={"accept": "*/*"}).status_code == 403
    with pytest.raises(WebSocketDisconnect), visitor.socket():
        pass
    elsewhere = browser(MESA)
    elsewhere.client.cookies.set(auth_gate.SESSION_COOKIE, token)
    assert elsewhere.get("/").text == "inside"


def test_an_address_of_no_tenant_says_so(browser):
    stranger = browser("http://nobody.localhost:8501")
    assert stranger.get("/signin").status_code == 404
    assert stranger.get("/").status_code == 404


def test_the_organization_may_be_typed(browser):
    assert browser().sign_in(tenant="Harbor").status_code == 303
    assert browser().sign_in(tenant="mesa").status_code == 401


def test_a_one_time_password_leads_to_an_own_one(browser, served):
    served.access.add_user(
        "harbor", "new@harbor", display_name="New", role=Role.EXECUTIVE, password="one-time-password-1"
    )
    visitor = browser()
    assert visitor.sign_in("new@harbor", "one-time-password-1").headers["location"] == "/password"
    assert visitor.get("/no_show").headers["location"] == "/password"
    assert visitor.get("/_stcore/health", headers={"accept": "*/*"}).status_code == 403
    with pytest.raises(WebSocketDisconnect), visitor.socket():
        pass
    token = visitor.token_on("/password")
    differing = visitor.post("/password", {"token": token, "password": "a new password 12", "again": "another"})
    assert (differing.status_code, "differ" in differing.text) == (400, True)
    assert visitor.post("/password", {"token": token, "password": "short", "again": "short"}).status_code == 400
    unsigned = {"password": "a new password 12", "again": "a new password 12"}
    assert visitor.post("/password", unsigned).status_code == 403
    before = visitor.client.cookies[auth_gate.SESSION_COOKIE]
    assert visitor.post("/password", {"token": token, **unsigned}).headers["location"] == "/"
    assert visitor.client.cookies[auth_gate.SESSION_COOKIE] != before
    assert served.access.session(before) is None
    assert visitor.get("/no_show").text == "inside"
    assert browser().sign_in("new@harbor", "one-time-password-1").status_code == 401


def test_signing_out_ends_the_session_and_needs_its_token(browser, served):
    visitor = browser()
    visitor.sign_in()
    session = visitor.client.cookies[auth_gate.SESSION_COOKIE]
    assert visitor.post("/signout", {}).status_code == 403
    assert served.access.session(session) is not None
    token = auth_gate.form_token("signout", session)
    assert visitor.post("/signout", {"token": token}).headers["location"] == "/signin"
    assert served.access.session(session) is None
    assert visitor.get("/").status_code == 303


def test_signing_in_again_ends_the_session_before(browser, served):
    visitor = browser()
    token = visitor.token_on("/signin")
    nonce = visitor.client.cookies[auth_gate.FORM_COOKIE]
    visitor.sign_in()
    first = visitor.client.cookies[auth_gate.SESSION_COOKIE]
    visitor.client.cookies.set(auth_gate.FORM_COOKIE, nonce)
    fields = {"token": token, "email": "admin@harbor", "password": "correct horse battery 9"}
    assert visitor.post("/signin", fields).status_code == 303
    assert served.access.session(first) is None


def test_answers_forbid_framing_and_keeping(browser):
    headers = browser().get("/signin").headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


def test_health_is_open_and_says_nothing(browser):
    answer = browser().get("/healthz")
    assert answer.json() == {"status": "ok"}


def test_text_in_the_form_is_escaped(browser):
    answer = browser().sign_in(email='"><script>alert(1)</script>', password="x")
    assert "<script>" not in answer.text


def test_a_body_that_is_too_long_is_no_form(browser):
    visitor = browser()
    token = visitor.token_on("/signin")
    assert visitor.post("/signin", {"token": token, "email": "a" * 20_000, "password": "x"}).status_code == 403


def test_an_address_without_a_page_is_answered_with_our_own_page(browser):
    visitor = browser()
    visitor.sign_in()
    answer = visitor.get("/revenue-cycle")
    assert answer.status_code == 404
    assert "There is no page at this address." in answer.text
    assert visitor.get("/no_show").text == "inside"
    assert visitor.get("/").text == "inside"
    # What Streamlit asks for beside pages is not a page.
    assert visitor.get("/_stcore/host-config", headers={"accept": "application/json"}).text == "inside"
    assert visitor.get("/overview?period=last_month").headers["location"] == "/?period=last_month"


def test_the_account_shows_times_of_the_tenants_zone(browser, home, tmp_path):
    config = tmp_path / "clinicmart.yaml"
    config.write_text(ZONES, encoding="utf-8")
    visitor = browser()
    visitor.sign_in()
    assert " UTC</td>" in visitor.get("/account").text
    note = home.path / "config.json"
    note.write_text(json.dumps({"file": str(config)}), encoding="utf-8")
    try:
        shown = visitor.get("/account").text
    finally:
        note.unlink()
    assert " JST</td>" in shown
    assert " UTC</td>" not in shown


def test_ready_says_why_not_without_a_name_and_asks_the_home_rarely(
    browser: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def not_ready(path: Path) -> tuple[str, ...]:
        asked.append(path)
        return ("version_damaged",) if len(asked) > 1 else ()

    monkeypatch.setattr(health_routes, "not_ready", not_ready)
    monkeypatch.setattr(health_routes, "_readiness", None)
    for _ in range(3):
        answer = browser("http://elsewhere.test").get("/readyz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ready"})
    assert len(asked) == 1
    monkeypatch.setattr(health_routes, "_readiness", None)
    answer = browser().get("/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "reasons": ["version_damaged"]})
