"""Sign-in at an identity provider: with a running one, and against one that forges."""

import base64
import io
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import httpx2
import pytest
from joserfc.jwk import RSAKey
from oidc_provider_mock import run_server_in_thread
from sqlalchemy import delete

from dashboards.server import auth_gate, oidc_routes, sealed_cookie
from foundation.errors import AccessError, ConfigurationError
from serving.people import oidc_client
from serving.people.oidc_client import LOGOUT_EVENT, check_address
from serving.people.oidc_store import OidcProvider
from serving.people.principal import Role
from serving.people.tables import SIGN_IN_FAILURE
from tests.dashboards.identity_providers import CLIENT_ID, CLIENT_SECRET, code_challenge, forger
from tests.support import clinicmart_here

HARBOR = "http://harbor.localhost:8501"
BACK = f"{HARBOR}/signin/oidc/back"
PASSWORD = "correct horse battery 9"


@pytest.fixture(scope="module")
def real():
    """The address of a running provider."""
    with run_server_in_thread() as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def forging():
    with forger() as provider:
        yield provider


@pytest.fixture
def person(served, request):
    """A person of the test's own, invited and without a password; the user name is the e-mail address."""
    email = f"{request.node.originalname[:30]}{len(served.access.users('harbor'))}@harbor"
    served.access.add_user("harbor", email, display_name="Pia", role=Role.EXECUTIVE, password=PASSWORD)
    return email


@pytest.fixture
def configured(served):
    """`configured(issuer)`: harbor's people may sign in there. Removed after the test."""
    oidc_client._kept.cache_clear()
    # Failures of other tests come from the same address.
    with served.access._engine.begin() as connection:
        connection.execute(delete(SIGN_IN_FAILURE))

    def configure(issuer, *, secret=CLIENT_SECRET, links_by_email=True, tenant="harbor", **more):
        provider = OidcProvider(
            tenant_id=tenant,
            issuer=issuer,
            client_id=CLIENT_ID,
            name="Harbor ID",
            links_by_email=links_by_email,
            **more,
        )
        served.access.set_oidc_provider(provider, secret=secret, actor="test")

    yield configure
    for tenant in ("harbor", "mesa"):
        served.access.remove_oidc_provider(tenant, actor="test")


def query_of(address):
    return dict(httpx2.URL(address).params)


def begin(visitor, **fields):
    """Begins a sign-in; returns what our server asks the provider for."""
    answer = visitor.get("/signin/oidc", params=fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def come_back(visitor, address, **changes):
    """The browser returns with a code, or with what a test makes of the answer."""
    answer = {"code": "code-1", "state": query_of(address)["state"], **changes}
    return visitor.get("/signin/oidc/back", params={name: value for name, value in answer.items() if value is not None})


def sign_in(visitor, provider, **changes):
    """A whole sign-in at the provider that forges."""
    address = begin(visitor)
    provider.nonce = query_of(address)["nonce"]
    return come_back(visitor, address, **changes)


def is_in(visitor):
    return visitor.get("/no_show").text == "inside"


# With a running provider


def at_provider(real, address, subject):
    """The browser signs in there as a subject; returns where it is sent."""
    answer = httpx2.post(address, data={"sub": subject}, follow_redirects=False)
    assert answer.status_code == 302, answer.text[:500]
    return answer.headers["location"].removeprefix(HARBOR)


def test_a_person_signs_in_at_the_provider_and_has_the_rights_given_here(real, browser, configured, person, served):
    configured(real)
    claims = {"email": person.upper(), "email_verified": True, "role": "organization_admin", "groups": ["admins"]}
    httpx2.put(f"{real}/users/pia", json=claims)
    visitor = browser(HARBOR)
    assert "Sign in with Harbor ID" in visitor.get("/signin?next=/no_show").text
    address = begin(visitor, next="/no_show?place=north")
    asked = query_of(address)
    assert address.startswith(f"{real}/oauth2/authorize?")
    assert (asked["code_challenge_method"], asked["response_type"], asked["redirect_uri"]) == ("S256", "code", BACK)
    back = at_provider(real, address, "pia")
    answer = visitor.get(back)
    assert answer.headers["location"] == "/no_show?place=north"
    # The person has not chosen a password of ours, and needs none.
    assert is_in(visitor)
    principal = auth_gate.signed_in(visitor.client.cookies[auth_gate.SESSION_COOKIE])
    assert (principal.email, principal.role, principal.unit_ids) == (person, Role.EXECUTIVE, ())
    row = served.access.audit_rows("harbor", action="sign-in", limit=1)[0]
    assert (row.actor, row.detail["issuer"]) == (person, real)
    # The same answer of the provider a second time: for this browser, and for one that stole it.
    for thief in (visitor, browser(HARBOR)):
        assert thief.get(back).status_code == 403
    # From now on the subject counts, not the address.
    httpx2.put(f"{real}/users/pia", json={"email": "admin@harbor", "email_verified": True})
    again = browser(HARBOR)
    again.get(at_provider(real, begin(again), "pia"))
    assert auth_gate.signed_in(again.client.cookies[auth_gate.SESSION_COOKIE]).email == person


def test_a_code_that_was_used_is_refused_by_the_provider(real, browser, configured, person):
    configured(real)
    httpx2.put(f"{real}/users/once", json={"email": person, "email_verified": True})
    visitor = browser(HARBOR)
    address = begin(visitor)
    cookie = visitor.client.cookies[oidc_routes.COOKIE]
    back = at_provider(real, address, "once")
    assert visitor.get(back).status_code == 303
    # A thief with both the answer and the sealed cookie.
    thief = browser(HARBOR)
    thief.client.cookies.set(oidc_routes.COOKIE, cookie)
    assert thief.get(back).status_code == 401
    assert not is_in(thief)


def test_who_does_not_exist_here_gets_no_session(real, browser, configured, served):
    configured(real)
    httpx2.put(f"{real}/users/stranger", json={"email": "stranger@harbor", "email_verified": True})
    before = served.access.users("harbor")
    visitor = browser(HARBOR)
    answer = visitor.get(at_provider(real, begin(visitor), "stranger"))
    assert answer.status_code == 401
    assert "belongs to nobody here" in answer.text
    assert served.access.users("harbor") == before
    assert served.access.audit_rows("harbor", action="sign-in", limit=1)[0].result == "refused"


def test_signing_out_says_that_the_provider_is_still_signed_in(real, browser, configured, person):
    configured(real)
    httpx2.put(f"{real}/users/leaver", json={"email": person, "email_verified": True})
    visitor = browser(HARBOR)
    visitor.get(at_provider(real, begin(visitor), "leaver"))
    session = visitor.client.cookies[auth_gate.SESSION_COOKIE]
    page = visitor.post("/signout", {"token": auth_gate.form_token("signout", session)})
    assert (
        f"{real}/oauth2/end_session?client_id={CLIENT_ID}&amp;post_logout_redirect_uri={quote(HARBOR, safe='')}"
        in page.text
    )
    assert not is_in(visitor)


# Attacks on the way back


@pytest.mark.parametrize("state", [None, "", "x" * 43, "é"])
def test_an_answer_with_another_state_is_refused_before_the_provider_is_asked(
    browser, configured, forging, person, state
):
    configured(forging.issuer)
    visitor = browser(HARBOR)
    assert sign_in(visitor, forging, state=state, email=person).status_code == 403
    assert "/token" not in forging.asked


def test_the_state_of_another_browser_does_not_fit(browser, configured, forging, person):
    configured(forging.issuer)
    forging.claims = {"email": person}
    attacker, victim = browser(HARBOR), browser(HARBOR)
    address = begin(attacker)
    forging.nonce = query_of(address)["nonce"]
    # The attacker's answer in the browser of a victim that began nothing, and of one that began its own sign-in.
    assert come_back(victim, address).status_code == 403
    begin(victim)
    assert come_back(victim, address).status_code == 403
    assert not is_in(victim)
    assert come_back(attacker, address).status_code == 303


def test_an_attempt_ends_after_ten_minutes(browser, configured, forging, person, monkeypatch):
    configured(forging.issuer)
    forging.claims = {"email": person}
    visitor = browser(HARBOR)
    address = begin(visitor)
    forging.nonce, now = query_of(address)["nonce"], time.time()
    monkeypatch.setattr(sealed_cookie.time, "time", lambda: now + oidc_routes.ATTEMPT_SECONDS + 1)
    assert come_back(visitor, address).status_code == 403


def test_a_cookie_that_was_changed_or_made_up_is_refused(browser, configured, forging, person):
    configured(forging.issuer)
    visitor = browser(HARBOR)
    address = begin(visitor)
    cookie = visitor.client.cookies[oidc_routes.COOKIE]
    for forged in (
        cookie[:-1] + ("1" if cookie[-1] == "0" else "0"),
        cookie.replace("harbor.", "mesa."),
        "harbor.",
        "harbor.zz",
        "",
        "harbor." + "00" * 40,
    ):
        thief = browser(HARBOR)
        thief.client.cookies.set(oidc_routes.COOKIE, forged)
        assert come_back(thief, address).status_code == 403


def test_an_attempt_of_one_tenant_does_not_end_at_another(browser, configured, forging, person):
    configured(forging.issuer)
    configured(forging.issuer, tenant="mesa")
    visitor = browser(HARBOR)
    address = begin(visitor)
    elsewhere = browser("http://mesa.localhost:8501")
    elsewhere.client.cookies.set(oidc_routes.COOKIE, visitor.client.cookies[oidc_routes.COOKIE])
    assert come_back(elsewhere, address).status_code == 403
    assert browser("http://nobody.localhost:8501").get("/signin/oidc").status_code == 404


def refusals_of_sign_in(served):
    return sum(row.result == "refused" for row in served.access.audit_rows("harbor", action="sign-in"))


def test_the_provider_says_no(browser, configured, forging, person, served):
    configured(forging.issuer)
    before = refusals_of_sign_in(served)
    for changes in ({"code": None, "error": "access_denied"}, {"code": None}, {"iss": "https://evil.example"}):
        visitor = browser(HARBOR)
        assert sign_in(visitor, forging, **changes).status_code == 401
        assert not is_in(visitor)
    assert "/token" not in forging.asked
    assert refusals_of_sign_in(served) == before + 3


def test_a_provider_that_names_itself_in_answers_must_do_so_in_each(browser, configured, forging, person):
    forging.announced, forging.claims = {"authorization_response_iss_parameter_supported": True}, {"email": person}
    configured(forging.issuer)
    assert sign_in(browser(HARBOR), forging).status_code == 401
    assert sign_in(browser(HARBOR), forging, iss=forging.issuer).status_code == 303


# Attacks with tokens


# Written down, not counted from now: both test processes must see the same names of tests.
LONG_AGO, IN_A_THOUSAND_YEARS = 1_000_000_000, 32_503_680_000


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": None},
        {"aud": [CLIENT_ID, "another-client"]},
        {"aud": [CLIENT_ID, "another-client"], "azp": "another-client"},
        {"iss": "https://evil.example"},
        {"iss": None},
        {"exp": LONG_AGO},
        {"exp": None},
        {"iat": None},
        {"nbf": IN_A_THOUSAND_YEARS},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 300},
        {"sub": ["subject-1"]},
        {"email": ["ann@harbor"]},
        {"at_hash": "AAAA"},
    ],
    ids=str,
)
def test_a_token_that_is_not_for_this_sign_in_is_refused(browser, configured, forging, person, served, claims):
    configured(forging.issuer)
    forging.claims = {"email": person, **claims}
    visitor = browser(HARBOR)
    assert sign_in(visitor, forging).status_code == 401
    assert not is_in(visitor)
    assert served.access.audit_rows("harbor", action="sign-in", limit=1)[0].result == "refused"


def test_a_right_token_is_taken_and_carries_verifier_and_secret_where_they_belong(browser, configured, forging, person):
    """The control of the refusals above."""
    configured(forging.issuer)
    forging.claims = {"email": person}
    visitor = browser(HARBOR)
    address = begin(visitor)
    forging.nonce = query_of(address)["nonce"]
    assert come_back(visitor, address).status_code == 303
    assert is_in(visitor)
    (form,) = forging.forms
    assert code_challenge(form["code_verifier"]) == query_of(address)["code_challenge"]
    assert (form["code"], form["redirect_uri"], form["grant_type"]) == ("code-1", BACK, "authorization_code")
    assert CLIENT_SECRET not in str(form)
    kind, _, credentials = forging.authorizations[0].partition(" ")
    assert (kind, base64.b64decode(credentials).decode().partition(":")[0]) == ("Basic", CLIENT_ID)


def test_a_token_without_signature_or_of_another_key_is_refused(browser, configured, forging, person):
    configured(forging.issuer)
    forging.claims, right = {"email": person}, forging.signs_with
    stranger = RSAKey.generate_key(2048)
    stranger.ensure_kid()
    # The provider even announces `none` and HS256.
    for algorithm, key in (("none", right), ("RS256", stranger), ("HS256", right)):
        forging.algorithm, forging.signs_with = algorithm, key
        visitor = browser(HARBOR)
        assert sign_in(visitor, forging).status_code == 401, algorithm
        assert not is_in(visitor)
    forging.algorithm, forging.signs_with = "RS256", right
    visitor = browser(HARBOR)
    assert sign_in(visitor, forging).status_code == 303


def test_new_keys_of_the_provider_are_asked_for_and_not_too_often(browser, configured, forging, person, monkeypatch):
    configured(forging.issuer)
    forging.claims = {"email": person}
    assert sign_in(browser(HARBOR), forging).status_code == 303
    forging.rotate()
    # Within half a minute of the last reading the provider is left alone: tokens of strangers cannot make us ask all the time.
    assert sign_in(browser(HARBOR), forging).status_code == 401
    assert forging.asked.count("/keys") == 1
    now = time.monotonic()
    monkeypatch.setattr(oidc_client.time, "monotonic", lambda: now + oidc_client.KEYS_AGAIN_SECONDS + 1)
    assert sign_in(browser(HARBOR), forging).status_code == 303
    assert forging.asked.count("/keys") == 2


@pytest.mark.parametrize(
    "claims", [{"email_verified": False}, {"email_verified": None}, {"email_verified": "yes"}], ids=str
)
def test_an_address_that_is_not_verified_links_nobody(browser, configured, forging, person, served, claims):
    configured(forging.issuer)
    forging.claims = {"email": person, **claims}
    assert sign_in(browser(HARBOR), forging).status_code == 401
    # Linked by the administrator, the same person may come in.
    served.access.link_subject("harbor", person, "subject-1", actor="admin@harbor")
    assert sign_in(browser(HARBOR), forging).status_code == 303


def test_without_the_rule_a_verified_address_links_nobody(browser, configured, forging, person):
    configured(forging.issuer, links_by_email=False)
    forging.claims = {"email": person}
    assert sign_in(browser(HARBOR), forging).status_code == 401


def test_an_address_given_to_a_new_person_does_not_open_the_old_ones_account(browser, configured, forging, person):
    configured(forging.issuer)
    forging.claims = {"email": person}
    assert sign_in(browser(HARBOR), forging).status_code == 303
    forging.claims = {"email": person, "sub": "subject-2"}
    assert sign_in(browser(HARBOR), forging).status_code == 401


def test_the_address_may_come_from_the_user_info_of_the_same_subject_alone(browser, configured, forging, person):
    configured(forging.issuer)
    forging.claims = {"email": None, "email_verified": None}
    forging.user_info = {"email": person, "email_verified": True, "sub": "subject-2"}
    assert sign_in(browser(HARBOR), forging).status_code == 401
    forging.user_info["sub"] = "subject-1"
    assert sign_in(browser(HARBOR), forging).status_code == 303


def test_who_is_locked_does_not_come_in_and_a_lock_ends_the_session(browser, configured, forging, person, served):
    configured(forging.issuer)
    forging.claims = {"email": person}
    visitor = browser(HARBOR)
    sign_in(visitor, forging)
    served.access.change_rights("harbor", person, is_active=False, actor="admin@harbor")
    assert not is_in(visitor)
    assert sign_in(browser(HARBOR), forging).status_code == 401


def test_failures_from_one_address_make_it_wait(browser, configured, forging, person):
    configured(forging.issuer)
    forging.claims = {"nonce": "another"}
    answers = {sign_in(browser(HARBOR), forging).text.count("Too many attempts") for _ in range(55)}
    assert answers == {0, 1}


# What the provider announces, and what is configured


@pytest.mark.parametrize(
    "announced",
    [
        {"issuer": "https://evil.example"},
        {"token_endpoint": "http://evil.example/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": None},
        {"id_token_signing_alg_values_supported": ["none", "HS256"]},
    ],
    ids=str,
)
def test_a_provider_that_announces_something_else_is_not_asked(browser, configured, forging, announced):
    forging.announced = announced
    configured(forging.issuer)
    assert browser(HARBOR).get("/signin/oidc").status_code == 404


@pytest.mark.parametrize("address", ["http://idp.example", "ftp://localhost", "https://", "javascript:alert(1)", ""])
def test_an_address_without_https_is_refused(address):
    with pytest.raises(ConfigurationError):
        check_address(address)


def test_a_provider_that_does_not_answer_is_said_and_stops_no_password(browser, configured, person):
    configured("http://localhost:9")
    visitor = browser(HARBOR)
    answer = visitor.get("/signin/oidc")
    assert (answer.status_code, "does not answer" in answer.text) == (404, True)
    assert visitor.sign_in().status_code == 303


def test_a_provider_that_fails_is_left_alone_for_a_moment(browser, configured, forging, monkeypatch):
    forging.announced = {"jwks_uri": None}
    configured(forging.issuer)
    answers = {browser(HARBOR).get("/signin/oidc").status_code for _ in range(5)}
    assert (answers, len(forging.asked)) == ({404}, 1)
    # It is mended, and asked again after the moment.
    forging.announced, now = {}, time.monotonic()
    monkeypatch.setattr(oidc_client.time, "monotonic", lambda: now + oidc_client.FAILED_SECONDS + 1)
    assert browser(HARBOR).get("/signin/oidc").status_code == 303


def test_many_tokens_of_new_keys_make_one_reading(configured, forging, served, monkeypatch):
    configured(forging.issuer)
    metadata = oidc_client.metadata_of(forging.issuer)
    oidc_client._decoded(metadata, forging.token())
    forging.rotate()
    now = time.monotonic()
    monkeypatch.setattr(oidc_client.time, "monotonic", lambda: now + oidc_client.KEYS_AGAIN_SECONDS + 1)
    with ThreadPoolExecutor(8) as pool:
        tokens = list(pool.map(lambda _: oidc_client._decoded(metadata, forging.token()), range(16)))
    assert (len(tokens), forging.asked.count("/keys")) == (16, 2)


def test_the_secret_is_kept_sealed_or_read_where_it_is(configured, served, home, tmp_path, monkeypatch):
    configured("https://idp.example")
    content = b"".join(path.read_bytes() for path in home.path.glob("access.sqlite*"))
    assert CLIENT_SECRET.encode() not in content
    assert served.access.oidc_client_secret("harbor") == CLIENT_SECRET
    assert CLIENT_SECRET not in repr(served.access.oidc_provider("harbor"))
    file = tmp_path / "secret"
    file.write_text("from a file\n")
    configured("https://idp.example", secret="", secret_from=f"file:{file}")
    assert served.access.oidc_client_secret("harbor") == "from a file"
    monkeypatch.setenv("HARBOR_SECRET", "from the environment")
    configured("https://idp.example", secret="", secret_from="env:HARBOR_SECRET")
    assert served.access.oidc_client_secret("harbor") == "from the environment"
    for missing in ("env:NOT_SET", f"file:{tmp_path / 'absent'}"):
        configured("https://idp.example", secret="", secret_from=missing)
        with pytest.raises(ConfigurationError):
            served.access.oidc_client_secret("harbor")
    details = str([row.detail for row in served.access.audit_rows("harbor", action="identity provider set")])
    assert CLIENT_SECRET not in details


def test_the_operator_sets_shows_links_and_removes_on_the_command_line(forging, home, person, served, monkeypatch):
    oidc_client._kept.cache_clear()
    at_home = ("--tenant", "harbor", "--home", home.path)
    monkeypatch.setattr("sys.stdin", io.StringIO("typed secret\n"))
    named = ("--issuer", forging.issuer, "--client-id", CLIENT_ID)
    assert clinicmart_here("tenants", "oidc", "set", *named, "--secret-stdin", *at_home).code == 0
    assert served.access.oidc_client_secret("harbor") == "typed secret"
    shown = clinicmart_here("tenants", "oidc", "show", *at_home).out
    assert (forging.issuer in shown, "typed secret" in shown) == (True, False)
    assert clinicmart_here("users", "link", person, "--subject", "s-9", *at_home).code == 0
    assert clinicmart_here("users", "link", person, *at_home).code == 0
    wrong = ("--issuer", f"{forging.issuer}/other", "--client-id", CLIENT_ID)
    assert clinicmart_here("tenants", "oidc", "set", *wrong, *at_home).code == 1
    assert served.access.oidc_provider("harbor").issuer == forging.issuer
    assert clinicmart_here("tenants", "oidc", "remove", *at_home).code == 0
    assert served.access.oidc_provider("harbor") is None


def test_another_provider_ends_the_sessions_of_the_earlier_one(browser, configured, forging, person, served):
    configured(forging.issuer)
    forging.claims = {"email": person}
    visitor, other = browser(HARBOR), browser(HARBOR)
    sign_in(visitor, forging)
    other.sign_in()
    configured("https://idp.example")
    assert not is_in(visitor)
    assert is_in(other)


def test_a_subject_belongs_to_one_person(configured, forging, person, served):
    configured(forging.issuer)
    served.access.link_subject("harbor", person, "s", actor="admin@harbor")
    with pytest.raises(ConfigurationError, match="another person"):
        served.access.link_subject("harbor", "admin@harbor", "s", actor="admin@harbor")
    served.access.link_subject("harbor", person, None, actor="admin@harbor")
    served.access.link_subject("harbor", "admin@harbor", "s", actor="admin@harbor")
    served.access.link_subject("harbor", "admin@harbor", None, actor="admin@harbor")
    with pytest.raises(AccessError):
        served.access.link_subject("harbor", "nobody@harbor", "s", actor="admin@harbor")


# The provider says that a sign-in has ended


def logout(visitor, forging, **claims):
    token = forging.token(**{"nonce": None, "exp": None, "jti": "1", "events": {LOGOUT_EVENT: {}}, **claims})
    return visitor.post("/signin/oidc/ended", {"logout_token": token}, headers={"origin": "https://idp.example"})


def test_the_provider_ends_sessions_of_a_subject_or_one_session(browser, configured, forging, person):
    configured(forging.issuer)
    one, two, by_password = browser(HARBOR), browser(HARBOR), browser(HARBOR)
    by_password.sign_in()
    for visitor, session in ((one, "s1"), (two, "s2")):
        forging.claims = {"email": person, "sid": session}
        sign_in(visitor, forging)
    forging.claims = {}
    assert logout(browser(HARBOR), forging, sub=None, sid="s1").status_code == 200
    assert (is_in(one), is_in(two)) == (False, True)
    assert logout(browser(HARBOR), forging, sub="subject-1").status_code == 200
    assert (is_in(two), is_in(by_password)) == (False, True)


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "n"},
        {"events": {}},
        {"events": None},
        {"sub": None},
        {"aud": "another-client"},
        {"iss": "https://evil.example"},
        {"iat": LONG_AGO},
        {"jti": None},
    ],
    ids=str,
)
def test_a_logout_token_that_is_none_ends_nothing(browser, configured, forging, person, claims):
    configured(forging.issuer)
    forging.claims = {"email": person}
    visitor = browser(HARBOR)
    sign_in(visitor, forging)
    forging.claims = {}
    assert logout(browser(HARBOR), forging, **claims).status_code == 400
    forging.algorithm = "none"
    assert logout(browser(HARBOR), forging).status_code == 400
    assert is_in(visitor)
