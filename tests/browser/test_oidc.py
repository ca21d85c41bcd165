"""Sign-in at an identity provider in a browser: there, back, and what is refused, with a running provider."""

from urllib.parse import parse_qs, urlsplit

import pytest
from oidc_provider_mock import User, run_server_in_thread

from foundation.home import Home
from serving.people.oidc_store import OidcProvider
from serving.people.principal import Role
from serving.people.store import AccessStore

pytestmark = [pytest.mark.slow, pytest.mark.browser]
# No other module of the browser signs in here.
TENANT = "juniper"
PERSON = "olga@juniper"
STALE = "This sign-in was begun elsewhere, or too long ago. Begin again."


@pytest.fixture(scope="module")
def store(demo_home):
    return AccessStore.open(Home.at(demo_home))


@pytest.fixture(scope="module")
def provider(store):
    """The address of a provider that knows Olga, who is here, and Ben, who is not."""
    people = [
        User(sub="olga", claims={"email": PERSON, "email_verified": True, "role": "organization_admin"}),
        User(sub="ben", claims={"email": "ben@elsewhere", "email_verified": True}),
    ]
    store.add_user(TENANT, PERSON, display_name="Olga", role=Role.EXECUTIVE, password="unused password 11")
    with run_server_in_thread(user_claims=people) as server:
        issuer = f"http://localhost:{server.server_port}"
        named = OidcProvider(
            tenant_id=TENANT, issuer=issuer, client_id="clinicmart-juniper", name="Juniper ID", links_by_email=True
        )
        store.set_oidc_provider(named, secret="a secret of the client", actor="test")
        yield issuer
        store.remove_oidc_provider(TENANT, actor="test")


@pytest.fixture
def browser(chromium):
    """`browser()`: a tab of a browser that nobody has used."""
    contexts = []

    def new():
        contexts.append(chromium.new_context())
        return contexts[-1].new_page()

    yield new
    for context in contexts:
        context.close()


def go_to_provider(tab, site, provider, path="/no_show"):
    """Opens a page, and from the page of sign-in the provider's."""
    tab.goto(f"{site.of(TENANT)}{path}")
    tab.get_by_role("link", name="Sign in with Juniper ID").click()
    tab.wait_for_url(f"{provider}/oauth2/authorize**")


def choose(tab, subject):
    """Signs in at the provider."""
    tab.get_by_role("button", name=subject, exact=True).first.click()


def is_signed_in(tab, site):
    """Whether the browser has a session: a page is shown, not the page of sign-in."""
    tab.goto(f"{site.of(TENANT)}/no_show")
    tab.wait_for_selector("h1")
    return urlsplit(tab.url).path == "/no_show"


def answer_for(tab, site, provider, subject):
    """The address with the provider's answer, to which the browser does not go."""
    go_to_provider(tab, site, provider)
    answers = []

    def keep(route):
        if route.request.method != "POST":
            route.continue_()
            return
        answers.append(route.fetch(max_redirects=0).headers["location"])
        route.fulfill(status=200, content_type="text/html", body="<p>kept</p>")

    tab.route(f"{provider}/oauth2/authorize**", keep)
    choose(tab, subject)
    tab.get_by_text("kept").wait_for()
    tab.unroute(f"{provider}/oauth2/authorize**")
    return answers[0]


def test_a_person_goes_to_the_provider_and_comes_back_signed_in(browser, site, provider, store):
    tab = browser()
    go_to_provider(tab, site, provider, "/no_show?period=year")
    choose(tab, "olga")
    tab.wait_for_url(f"{site.of(TENANT)}/no_show?period=year")
    tab.get_by_text("Juniper").first.wait_for()
    assert is_signed_in(tab, site)
    # The role is the one given here, not the one that the provider names.
    row = store.audit_rows(TENANT, action="sign-in", limit=1)[0]
    assert (row.actor, row.result) == (PERSON, "done")
    assert store.principal(TENANT, PERSON).role == Role.EXECUTIVE


def test_an_account_that_is_nobody_here_sees_our_page_and_the_way_back(browser, site, provider, store):
    tab = browser()
    go_to_provider(tab, site, provider)
    choose(tab, "ben")
    tab.wait_for_url("**/signin/oidc/back**")
    text = tab.locator("main").inner_text()
    assert "belongs to nobody here" in text
    assert "ben@elsewhere" not in text
    assert store.audit_rows(TENANT, action="sign-in", limit=1)[0].result == "refused"
    assert not is_signed_in(tab, site)


def test_who_says_no_at_the_provider_is_not_signed_in(browser, site, provider):
    tab = browser()
    go_to_provider(tab, site, provider)
    tab.get_by_role("button", name="Deny").click()
    tab.wait_for_url("**/signin/oidc/back**")
    assert not is_signed_in(tab, site)


def test_the_answer_of_another_browser_is_refused(browser, site, provider):
    """A stranger sends a link with the answer to a sign-in of his own: who opens it would work in his account."""
    stranger, victim = browser(), browser()
    answer = answer_for(stranger, site, provider, "olga")
    # The victim has begun nothing, then has begun a sign-in.
    for begins in (False, True):
        if begins:
            go_to_provider(victim, site, provider)
        victim.goto(answer)
        assert STALE in victim.locator("main").inner_text()
        assert not is_signed_in(victim, site)
    # With the state of the victim's own sign-in, the code still belongs to another nonce and verifier.
    go_to_provider(victim, site, provider)
    state = parse_qs(urlsplit(victim.url).query)["state"][0]
    stolen = answer.replace(parse_qs(urlsplit(answer).query)["state"][0], state)
    assert stolen != answer
    victim.goto(stolen)
    assert victim.locator("main").inner_text()
    assert not is_signed_in(victim, site)
    # The same answer opens the browser that asked for it.
    fresh = answer_for(stranger, site, provider, "olga")
    stranger.goto(fresh)
    assert is_signed_in(stranger, site)
