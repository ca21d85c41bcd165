"""Passkeys: adding one, signing in with it alone and after the password, and attacks on each step."""

import html
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from clinicmart.proof.authenticator import Authenticator
from dashboards.hosts import UnknownTenant, passkey_host
from dashboards.server import auth_gate, passkey_routes, sealed_cookie
from serving.people.passkeys import MOST_PASSKEYS
from serving.people.principal import Role
from serving.people.tables import SIGN_IN_FAILURE

HARBOR, MESA = "http://harbor.localhost:8501", "http://mesa.localhost:8501"
PASSWORD = "correct horse battery 9"


@pytest.fixture
def person(served, request):
    """`person()`: a new person of harbor or another tenant; returns the user name."""

    def make(tenant="harbor"):
        email = f"{request.node.originalname[5:35]}{len(served.access.everybody(tenant))}@{tenant}"
        own = {"password": PASSWORD, "must_change": False}
        served.access.add_user(tenant, email, display_name="Pia", role=Role.EXECUTIVE, **own)
        return email

    with served.access._engine.begin() as connection:
        connection.execute(delete(SIGN_IN_FAILURE))
    return make


def options_on(page):
    return html.unescape(page.text.split('data-options="')[1].split('"')[0])


def begin_to_add(visitor, password=PASSWORD):
    token = visitor.token_on("/passkeys")
    return visitor.post("/passkeys", {"token": token, "action": "add", "name": "My phone", "password": password})


def add(visitor, device, **changes):
    """Adds a passkey in a browser that is signed in; returns the server's answer."""
    page = begin_to_add(visitor)
    answer = device.make(options_on(page), changes.pop("origin", visitor.base), **changes)
    token = page.text.split('name="token" value="')[1].split('"')[0]
    return visitor.post("/passkeys/new", {"token": token, "name": "My phone", "credential": answer})


def asked(visitor, next_path="/no_show"):
    answer = visitor.get("/signin/passkey", params={"next": next_path})
    assert answer.status_code == 200, answer.text
    return answer.text


def sign(visitor, device, **changes):
    """Signs in with a passkey, or passes the second factor with it."""
    answer = device.sign(asked(visitor), changes.pop("origin", visitor.base), **changes)
    return visitor.post("/signin/passkey", {"credential": answer})


def is_in(visitor):
    return visitor.get("/no_show").text == "inside"


@pytest.fixture
def owner(browser, person):
    """(user name, device) of a person who has a passkey at harbor's address."""
    email, device, visitor = person(), Authenticator(), browser(HARBOR)
    visitor.sign_in(email, PASSWORD)
    assert add(visitor, device).status_code == 200
    return email, device


def last(served, action):
    return served.access.audit_rows("harbor", action=action, limit=1)[0]


def test_a_passkey_is_added_after_the_password_and_signs_in_alone(browser, person, served):
    email, device, visitor = person(), Authenticator(), browser(HARBOR)
    visitor.sign_in(email, PASSWORD)
    elsewhere = browser(HARBOR)
    elsewhere.sign_in(email, PASSWORD)
    assert begin_to_add(visitor, "wrong").status_code == 401
    answer = add(visitor, device)
    codes = answer.text.split("<li><code>")[1:]
    assert (answer.status_code, len(codes)) == (200, 10)
    # Every other session has ended, and the account names the passkey.
    assert (is_in(visitor), is_in(elsewhere)) == (True, False)
    assert "My phone" in visitor.get("/passkeys").text
    assert "1 passkey" in visitor.get("/account").text
    (passkey,) = served.access.passkeys(served.access.principal("harbor", email))
    assert last(served, "passkey added").detail == {"user": email, "passkey": passkey.passkey_id}
    alone = browser(HARBOR)
    assert "Sign in with a passkey" in alone.get("/signin").text
    assert sign(alone, device).headers["location"] == "/no_show"
    assert is_in(alone)
    assert auth_gate.signed_in(alone.client.cookies[auth_gate.SESSION_COOKIE]).email == email
    row = last(served, "sign-in")
    assert (row.actor, row.detail) == (email, {"by": "passkey", "passkey": passkey.passkey_id})


def test_a_passkey_or_a_recovery_code_follows_the_password(browser, person, served):
    email, device, visitor = person(), Authenticator(), browser(HARBOR)
    visitor.sign_in(email, PASSWORD)
    code = add(visitor, device).text.split("<li><code>")[1].split("<")[0]
    again = browser(HARBOR)
    assert again.sign_in(email, PASSWORD).headers["location"] == "/second-factor"
    assert not is_in(again)
    assert "Use a passkey" in again.get("/second-factor").text
    assert sign(again, device).status_code == 303
    assert is_in(again)
    assert last(served, "second factor").detail["by"] == "passkey"
    # The session that waited for the passkey ends with it; nobody signed out.
    assert [row for row in served.access.audit_rows("harbor", action="sign-out", limit=100) if row.actor == email] == []
    third = browser(HARBOR)
    third.sign_in(email, PASSWORD)
    third.post("/second-factor", {"token": third.token_on("/second-factor"), "code": code})
    assert is_in(third)


def test_a_passkey_counts_where_the_organization_requires_a_second_factor(browser, person, served):
    email, visitor = person("mesa"), browser(MESA)
    served.access.require_second_factor("mesa", True, actor="test")
    try:
        assert visitor.sign_in(email, PASSWORD).headers["location"] == "/second-factor/set-up"
        assert "/passkeys?next=" in visitor.get("/second-factor/set-up").text
        assert add(visitor, Authenticator()).status_code == 200
        assert is_in(visitor)
    finally:
        served.access.require_second_factor("mesa", False, actor="test")
    assert {each.email: each.has_second_factor for each in served.access.everybody("mesa")}[email]


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "http://evil.example"},
        {"origin": MESA},
        {"host": "localhost"},
        {"host": "mesa.localhost"},
        {"is_verified": False},
    ],
    ids=str,
)
def test_an_answer_for_another_address_or_without_verification_is_refused(browser, owner, person, served, changes):
    email, device = owner
    for visitor, password in ((browser(HARBOR), ""), (browser(HARBOR), PASSWORD)):
        if password:
            visitor.sign_in(email, password)
        assert sign(visitor, device, **dict(changes)).status_code == 401
        assert not is_in(visitor)
    assert last(served, "second factor").result == "refused"
    newcomer, visitor = person(), browser(HARBOR)
    visitor.sign_in(newcomer, PASSWORD)
    assert add(visitor, Authenticator(), **dict(changes)).status_code == 401
    assert served.access.passkeys(served.access.principal("harbor", newcomer)) == ()
    # The control: the same device without the change.
    assert sign(browser(HARBOR), device).status_code == 303


def test_an_answer_counts_once_also_for_who_stole_it_with_the_cookie(browser, owner, served):
    _, device = owner
    device.counts = False
    visitor, thief = browser(HARBOR), browser(HARBOR)
    answer = device.sign(asked(visitor), HARBOR)
    thief.client.cookies.set(passkey_routes.COOKIE, visitor.client.cookies[passkey_routes.COOKIE])
    assert visitor.post("/signin/passkey", {"credential": answer}).status_code == 303
    assert is_in(visitor)
    assert thief.post("/signin/passkey", {"credential": answer}).status_code == 401
    assert not is_in(thief)
    assert last(served, "sign-in").detail["reason"] == "an answer that was used"


def test_an_answer_to_the_challenge_of_another_browser_session_or_time_is_refused(browser, owner, monkeypatch):
    email, device = owner
    mine, yours = browser(HARBOR), browser(HARBOR)
    answer = device.sign(asked(mine), HARBOR)
    assert yours.post("/signin/passkey", {"credential": answer}).status_code == 401
    asked(yours)
    assert yours.post("/signin/passkey", {"credential": answer}).status_code == 401
    # A challenge for signing in alone does not pass a second factor.
    answer = device.sign(asked(mine), HARBOR)
    cookie = mine.client.cookies[passkey_routes.COOKIE]
    mine.sign_in(email, PASSWORD)
    mine.client.cookies.set(passkey_routes.COOKIE, cookie)
    assert mine.post("/signin/passkey", {"credential": answer}).status_code == 401
    assert not is_in(mine)
    late = browser(HARBOR)
    answer, now = device.sign(asked(late), HARBOR), sealed_cookie.time.time()
    monkeypatch.setattr(sealed_cookie.time, "time", lambda: now + 301)
    assert late.post("/signin/passkey", {"credential": answer}).status_code == 401


def test_the_passkey_of_another_person_does_not_pass_a_second_factor(browser, owner, person):
    email, own = owner
    other, theirs, visitor = person(), Authenticator(), browser(HARBOR)
    visitor.sign_in(other, PASSWORD)
    add(visitor, theirs)
    attacker = browser(HARBOR)
    attacker.sign_in(email, PASSWORD)
    assert sign(attacker, theirs).status_code == 401
    assert not is_in(attacker)
    # Nor with the handle or the id of the owner.
    theirs.handle = own.handle
    assert sign(attacker, theirs).status_code == 401
    theirs.credential_id = own.credential_id
    assert sign(attacker, theirs).status_code == 401
    assert not is_in(attacker)
    assert sign(attacker, own).status_code == 303


def test_a_passkey_does_not_count_at_the_address_of_another_tenant(browser, owner, person):
    _, device = owner
    attacker = browser(MESA)
    assert sign(attacker, device).status_code == 401
    assert sign(attacker, device, host="harbor.localhost", origin=HARBOR).status_code == 401
    # The domain of several tenants asks for no passkey; one that began at harbor does not end at mesa.
    assert browser("http://localhost:8501").get("/signin/passkey").status_code == 403
    assert "passkey" not in browser("http://localhost:8501").get("/signin").text
    assert browser("http://nobody.localhost:8501").get("/signin/passkey").status_code == 403
    begun = browser(HARBOR)
    answer = device.sign(asked(begun), HARBOR)
    attacker.client.cookies.set(passkey_routes.COOKIE, begun.client.cookies[passkey_routes.COOKIE])
    assert attacker.post("/signin/passkey", {"credential": answer}).status_code == 401
    # A session of mesa adds nothing at harbor's address.
    stranger, visitor = person("mesa"), browser(MESA)
    visitor.sign_in(stranger, PASSWORD)
    there = browser(HARBOR)
    there.client.cookies.set(auth_gate.SESSION_COOKIE, visitor.client.cookies[auth_gate.SESSION_COOKIE])
    page = there.get("/passkeys")
    assert f"{MESA}/passkeys" in page.text


def test_a_counter_that_goes_back_is_refused_and_recorded(browser, owner, served):
    email, device = owner
    assert sign(browser(HARBOR), device).status_code == 303
    device.count -= 1
    visitor = browser(HARBOR)
    answer = sign(visitor, device)
    assert (answer.status_code, "may have been copied" in answer.text) == (401, True)
    assert not is_in(visitor)
    row = last(served, "sign-in")
    assert (row.actor, row.result, row.detail["reason"]) == (email, "refused", "the counter of signatures went back")
    device.count += 5
    assert sign(browser(HARBOR), device).status_code == 303


def test_a_signature_with_another_key_is_refused(browser, owner):
    _, device = owner
    forged = Authenticator()
    forged.credential_id, forged.handle, forged.count = device.credential_id, device.handle, 100
    assert sign(browser(HARBOR), forged).status_code == 401
    # The forged counter did not harm the owner.
    assert sign(browser(HARBOR), device).status_code == 303


@pytest.mark.parametrize("kind", ["lock", "reset"])
def test_a_lock_and_a_reset_end_what_a_passkey_opens(browser, owner, served, kind):
    email, device = owner
    visitor = browser(HARBOR)
    sign(visitor, device)
    if kind == "lock":
        served.access.change_rights("harbor", email, is_active=False, actor="admin@harbor")
    else:
        assert served.access.reset_second_factor("harbor", email, actor="admin@harbor")
    assert not is_in(visitor)
    assert sign(browser(HARBOR), device).status_code == 401


def test_a_person_removes_a_passkey_with_the_password(browser, owner, served):
    email, device = owner
    visitor = browser(HARBOR)
    sign(visitor, device)
    (passkey,) = served.access.passkeys(served.access.principal("harbor", email))
    fields = {"token": visitor.token_on("/passkeys"), "action": "remove", "passkey": passkey.passkey_id}
    assert visitor.post("/passkeys", {**fields, "token": "0" * 64, "password": PASSWORD}).status_code == 403
    assert visitor.post("/passkeys", {**fields, "password": "wrong"}).status_code == 401
    assert visitor.post("/passkeys", {**fields, "passkey": "nothing", "password": PASSWORD}).status_code == 401
    assert visitor.post("/passkeys", {**fields, "password": PASSWORD}).status_code == 303
    assert is_in(visitor)
    assert last(served, "passkey removed").detail == {"user": email, "passkey": passkey.passkey_id}
    assert sign(browser(HARBOR), device).status_code == 401
    # Nothing follows the password any more, and no recovery code is left.
    again = browser(HARBOR)
    again.sign_in(email, PASSWORD)
    assert is_in(again)


def test_the_same_passkey_is_not_added_twice_and_not_by_a_session_that_waits(browser, owner, served):
    email, device = owner
    waiting = browser(HARBOR)
    waiting.sign_in(email, PASSWORD)
    assert waiting.get("/passkeys").headers["location"].startswith("/second-factor")
    sign(waiting, device)
    assert add(waiting, device).status_code == 401
    for _ in range(MOST_PASSKEYS - 1):
        assert add(waiting, Authenticator()).status_code == 303
    assert begin_to_add(waiting).status_code == 401
    assert len(served.access.passkeys(served.access.principal("harbor", email))) == MOST_PASSKEYS


FIELDS = ("id", "rawId", "type", "response", "clientDataJSON", "authenticatorData", "signature")
PLAIN = st.none() | st.booleans() | st.integers() | st.text()
ANY_JSON = st.recursive(
    PLAIN, lambda each: st.lists(each) | st.dictionaries(st.sampled_from(FIELDS), each), max_leaves=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(ANY_JSON)
def test_an_answer_of_any_form_is_refused(browser, served, sent):
    with served.access._engine.begin() as connection:
        connection.execute(delete(SIGN_IN_FAILURE))
    visitor = browser(HARBOR)
    asked(visitor)
    text = json.dumps(sent)[:5_000]
    assert visitor.post("/signin/passkey", {"credential": text}).status_code == 401


def test_the_pages_have_a_script_of_ours_alone(browser):
    visitor = browser(HARBOR)
    page = visitor.get("/signin")
    assert page.text.count("<script") == page.text.count('<script src="/passkeys.js" defer></script>') == 1
    answer = visitor.get("/passkeys.js")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/javascript")


def test_passkeys_count_at_a_tenants_own_address():
    two, one = {"harbor": "", "mesa": ""}, {"harbor": ""}
    assert passkey_host("harbor.clinics.example:8443", two, "clinics.example") == ("harbor", "harbor.clinics.example")
    assert passkey_host("clinics.example", two, "clinics.example") is None
    assert passkey_host("clinics.example", one, "clinics.example") == ("harbor", "clinics.example")
    assert passkey_host("127.0.0.1:8501", one, "localhost") is None
    with pytest.raises(UnknownTenant):
        passkey_host("nobody.clinics.example", two, "clinics.example")
