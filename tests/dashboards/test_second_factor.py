"""Second factors in the browser: no page, no data and no live page before the code, on any path."""

import re

import pyotp
import pytest
import streamlit as st
from starlette.websockets import WebSocketDisconnect

from dashboards.server import auth_gate
from serving.counters import REGISTRY
from serving.people.principal import Role

PASSWORD = "correct horse battery 9"
NEW_PASSWORD = "another horse battery 7"


@pytest.fixture
def person(served, request):
    """A person of the test's own, with a password and without a second factor."""
    email = f"{request.node.originalname[:40]}{len(served.access.users('harbor'))}@harbor"
    own = {"password": PASSWORD, "must_change": False}
    served.access.add_user("harbor", email, display_name="Pia Person", role=Role.EXECUTIVE, **own)
    return email


@pytest.fixture
def rule(served):
    """`rule(True)`: the tenant requires a second factor. Switched off after the test."""
    yield lambda is_required: served.access.require_second_factor("harbor", is_required, actor="admin@harbor")
    served.access.require_second_factor("harbor", False, actor="admin@harbor")


def is_shut(visitor, path):
    """Whether pages lead to `path`, and data and sockets are refused."""
    page = visitor.get("/no_show")
    assert page.headers.get("location", "").partition("?")[0] == path
    assert visitor.get("/_stcore/health", headers={"accept": "*/*"}).status_code == 403
    with pytest.raises(WebSocketDisconnect), visitor.socket():
        pass
    assert auth_gate.signed_in(visitor.client.cookies[auth_gate.SESSION_COOKIE]) is None
    return True


def set_up(visitor, password=PASSWORD):
    """Sets an app up in the browser; returns it, its last code and the recovery codes."""
    shown = visitor.get("/second-factor/set-up").text
    assert "data:image/svg+xml" in shown
    app = pyotp.TOTP(re.search(r"<code>([A-Z2-7 ]+)</code>", shown)[1].replace(" ", ""))
    token = shown.split('name="token" value="')[1].split('"')[0]
    fields = {"token": token, "action": "enrol", "code": app.now(), "password": password, "next": "/no_show"}
    answer = visitor.post("/second-factor/set-up", fields)
    assert answer.status_code == 200
    assert 'href="/no_show"' in answer.text
    return app, re.findall(r"<li><code>([a-z2-7-]+)</code></li>", answer.text)


def give(visitor, code, **fields):
    token = visitor.token_on("/second-factor")
    return visitor.post("/second-factor", {"token": token, "code": code, **fields})


def test_with_an_app_the_password_alone_opens_nothing(browser, person):
    first = browser()
    first.sign_in(person)
    _, codes = set_up(first)
    assert first.get("/no_show").text == "inside"
    visitor = browser()
    answer = visitor.sign_in(person, next="/no_show?place=north")
    assert answer.headers["location"] == "/second-factor?next=/no_show%3Fplace%3Dnorth"
    known = [c for c in answer.headers.get_list("set-cookie") if c.startswith(auth_gate.KNOWN_COOKIE)]
    assert not known
    assert is_shut(visitor, "/second-factor")
    for path in ("/account", "/second-factor/set-up", "/password"):
        assert visitor.get(path).status_code == 303
    before = visitor.client.cookies[auth_gate.SESSION_COOKIE]
    wrong = give(visitor, "000000")
    assert (wrong.status_code, "wrong" in wrong.text) == (401, True)
    answer = give(visitor, codes[0], next="/no_show?place=north")
    assert answer.headers["location"] == "/no_show?place=north"
    assert visitor.client.cookies[auth_gate.SESSION_COOKIE] != before
    assert visitor.get("/no_show").text == "inside"
    replayed = browser()
    replayed.sign_in(person)
    assert give(replayed, codes[0]).status_code == 401
    assert is_shut(replayed, "/second-factor")


def test_the_forms_need_their_own_token_and_origin(browser, person):
    first = browser()
    first.sign_in(person)
    _, codes = set_up(first)
    visitor = browser()
    visitor.sign_in(person)
    token = visitor.token_on("/second-factor")
    for fields, headers in (
        ({"code": codes[0]}, {}),
        ({"code": codes[0], "token": "0" * 64}, {}),
        ({"code": codes[0], "token": first.token_on("/second-factor/set-up")}, {}),
        ({"code": codes[0], "token": token}, {"origin": "http://evil.example"}),
    ):
        assert visitor.post("/second-factor", fields, headers=headers).status_code == 403
    assert is_shut(visitor, "/second-factor")
    for action in ("codes", "remove", "enrol"):
        assert first.post("/second-factor/set-up", {"action": action, "code": codes[1]}).status_code == 403


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "/second-factor", "/\\evil.example"])
def test_the_code_never_leads_to_another_site(browser, person, wanted):
    first = browser()
    first.sign_in(person)
    _, codes = set_up(first)
    visitor = browser()
    visitor.sign_in(person, next=wanted)
    assert give(visitor, codes[0], next=wanted).headers["location"] == "/"


def test_the_rule_stops_a_person_who_is_signed_in_until_an_app_is_set_up(browser, person, rule):
    visitor = browser()
    visitor.sign_in(person)
    assert visitor.get("/no_show").text == "inside"
    rule(True)
    assert is_shut(visitor, "/second-factor/set-up")
    assert visitor.get("/account").headers["location"].startswith("/signin")
    assert visitor.get("/signin").headers["location"].startswith("/second-factor/set-up")
    wrong = {"token": visitor.token_on("/second-factor/set-up"), "action": "enrol", "code": "000000", "password": "x"}
    assert visitor.post("/second-factor/set-up", wrong).status_code == 401
    assert is_shut(visitor, "/second-factor/set-up")
    set_up(visitor)
    assert visitor.get("/no_show").text == "inside"


def test_neither_a_link_nor_a_one_time_password_leads_around_the_second_factor(browser, person, rule, served):
    first = browser()
    first.sign_in(person)
    set_up(first)
    link = served.access.begin_reset("harbor", person, actor="admin@harbor")
    visitor = browser()
    fields = {"reset": link, "password": NEW_PASSWORD, "again": NEW_PASSWORD}
    token = visitor.token_on(f"/password?reset={link}")
    assert visitor.post("/password", {"token": token, **fields}).headers["location"] == "/"
    assert is_shut(visitor, "/second-factor")
    # An invited person chooses a password with the link, and sets an app up before any page.
    rule(True)
    invited = f"invited_{person}"
    served.access.add_user("harbor", invited, display_name="Ina", role=Role.EXECUTIVE)
    link = served.access.begin_reset("harbor", invited, actor="admin@harbor")
    guest = browser()
    token = guest.token_on(f"/password?reset={link}")
    guest.post("/password", {"token": token, **fields, "reset": link})
    assert is_shut(guest, "/second-factor/set-up")
    one_time = f"one_time_{person}"
    served.access.add_user("harbor", one_time, display_name="Oto", role=Role.EXECUTIVE, password="one-time-password-1")
    newcomer = browser()
    assert newcomer.sign_in(one_time, "one-time-password-1").headers["location"] == "/password"
    assert is_shut(newcomer, "/password")
    token = newcomer.token_on("/password")
    newcomer.post("/password", {"token": token, "password": NEW_PASSWORD, "again": NEW_PASSWORD})
    assert is_shut(newcomer, "/second-factor/set-up")


def test_a_change_of_password_asks_for_a_code_again(browser, person):
    visitor = browser()
    visitor.sign_in(person)
    set_up(visitor)
    changed = {"action": "password", "current": PASSWORD, "password": NEW_PASSWORD, "again": NEW_PASSWORD}
    visitor.post("/account", {"token": visitor.token_on("/account"), **changed})
    assert is_shut(visitor, "/second-factor")


def test_the_account_makes_new_recovery_codes_and_removes_the_app(browser, person):
    visitor = browser()
    visitor.sign_in(person)
    assert "Set up an authenticator app" in visitor.get("/account").text
    _, codes = set_up(visitor)
    assert "10 recovery codes" in visitor.get("/account").text
    page = visitor.get("/second-factor/set-up").text
    assert "data:image" not in page
    token = page.split('name="token" value="')[1].split('"')[0]
    answer = visitor.post("/second-factor/set-up", {"token": token, "action": "codes", "code": codes[0]})
    new = re.findall(r"<li><code>([a-z2-7-]+)</code></li>", answer.text)
    assert len(new) == 10
    assert not set(new) & set(codes)
    remove = {"token": token, "action": "remove", "code": new[0]}
    assert visitor.post("/second-factor/set-up", {**remove, "password": "wrong"}).status_code == 401
    answer = visitor.post("/second-factor/set-up", {**remove, "password": PASSWORD})
    assert answer.headers["location"] == "/account"
    assert browser().sign_in(person).headers["location"] == "/"


def test_steps_of_sign_ins_are_counted_for_prometheus(browser, person):
    def counted(by, result):
        return REGISTRY.get_sample_value("clinicmart_sign_ins_total", {"by": by, "result": result}) or 0

    ways = [(by, result) for by in ("password", "second factor") for result in ("done", "refused")]
    first = browser()
    first.sign_in(person)
    _, codes = set_up(first)
    before = {way: counted(*way) for way in ways}
    visitor = browser()
    visitor.sign_in(person, "wrong")
    visitor.sign_in(person)
    give(visitor, "000000")
    give(visitor, codes[0])
    assert {way: counted(*way) - before[way] for way in ways} == dict.fromkeys(ways, 1)


def test_the_page_of_administration_sets_the_rule(page, markup_of, served, rule, person, monkeypatch):
    monkeypatch.setattr(type(st.context), "ip_address", property(lambda _: "192.0.2.1"))
    test = page("administration")
    test.segmented_control(key="cm_admin_view").set_value("Sign-in").run()
    assert not test.exception
    assert person in "".join(element.proto.body for element in test.main if element.type == "html")
    test.radio[0].set_value("Everybody")
    next(button for button in test.button if button.label == "Save").click().run()
    assert served.access.requires_second_factor("harbor")
    # Who set the rule must follow it too.
    assert "You are signed out" in markup_of(test)
