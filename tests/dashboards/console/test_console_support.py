"""Support sessions over HTTP: asked for in the console, opened at the organization's address, shown and ended there."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from dashboards import served_home
from dashboards.server import auth_gate
from serving.people.principal import PLATFORM, Role
from serving.people.support_sessions import SupportPolicy, SupportState
from tests.dashboards.conftest import PASSWORD, Browser
from tests.dashboards.console.forms import ROOT, sent

PAGE, AT_HARBOR = "/console/harbor", "http://harbor.localhost:8501"


def asked(root: Browser, **fields: str) -> Any:
    wanted = {"action": "ask support", "tenant": "harbor", "reason": "tiles <are> empty", "minutes": "30"}
    return sent(root, PAGE, **(wanted | fields))


def begun(served: served_home.Served, root: Browser) -> str:
    """Asks, approves and begins; returns the path of the link."""
    assert asked(root).status_code == 200
    (session,) = served.access.support_sessions.open_of_tenant("harbor")
    served.access.support_sessions.decide("harbor", session.support_id, is_approved=True, actor="admin@harbor")
    answer = sent(root, PAGE, action="open support", tenant="harbor", support=session.support_id)
    link = re.search(r'href="http://harbor\.localhost:8501(/support\?link=[^"]+)"', answer.text)
    assert link is not None
    return link[1]


def entered(visitor: Browser, path: str) -> Any:
    """Presses the button on the page of a link."""
    fields = {"token": visitor.token_on(path), "link": path.partition("link=")[2]}
    return visitor.post("/support", fields)


def test_a_session_is_opened_at_the_organizations_address_and_ended_from_either_side(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser]
) -> None:
    page = asked(root)
    assert "has to approve it" in page.text
    assert "tiles &lt;are&gt; empty" in page.text
    assert "open support" not in page.text
    # There is one of this person already: the form is gone, and a form that was kept is refused.
    assert "Ask for a support session" not in page.text
    assert asked(root).status_code == 422
    (session,) = served.access.support_sessions.open_of_tenant("harbor")
    served.access.support_sessions.end("harbor", session.support_id, actor=ROOT)
    path = begun(served, root)
    helper = browser(AT_HARBOR)
    assert "Open the pages" in helper.get(path).text
    assert entered(helper, path).headers["location"] == "/"
    assert helper.get("/no_show").text == "inside"
    with helper.socket() as socket:
        assert socket.receive_text() == "inside"
    # The console is open beside it.
    assert "runs now" in root.get(PAGE).text
    (session,) = served.access.support_sessions.open_of_tenant("harbor")
    assert "has ended" in sent(root, PAGE, action="end support", tenant="harbor", support=session.support_id).text
    assert helper.get("/no_show").headers["location"].startswith("/signin")
    with pytest.raises(WebSocketDisconnect), helper.socket():
        pass


def test_signing_out_ends_it_and_the_console_stays(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser]
) -> None:
    helper = browser(AT_HARBOR)
    entered(helper, begun(served, root))
    token = helper.client.cookies[auth_gate.SESSION_COOKIE]
    assert helper.post("/signout", {"token": auth_gate.form_token("signout", token)}).status_code == 303
    (session,) = served.access.support_sessions.of_tenant("harbor")
    assert (session.state, session.ended_by) == (SupportState.ENDED, ROOT)
    assert root.get("/console").status_code == 200


def test_a_link_is_for_its_address_and_once(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser]
) -> None:
    path = begun(served, root)
    assert browser("http://mesa.localhost:8501").get(path).status_code == 403
    assert browser("http://evil.example").get(path).status_code == 403
    thief = browser("http://mesa.localhost:8501")
    fields = {"token": "0" * 64, "link": path.partition("link=")[2]}
    assert thief.post("/support", fields).status_code == 403
    nonce = "n" * 20
    thief.client.cookies.set(auth_gate.FORM_COOKIE, nonce)
    assert thief.post("/support", fields | {"token": auth_gate.form_token("support", nonce)}).status_code == 403
    helper = browser(AT_HARBOR)
    form = {"token": helper.token_on(path), "link": fields["link"]}
    assert helper.post("/support", form, headers={"origin": "http://evil.example"}).status_code == 403
    assert helper.post("/support", form).status_code == 303
    assert helper.post("/support", form).status_code == 403
    for link in ("/support", "/support?link=", "/support?link=x"):
        assert browser(AT_HARBOR).get(link).status_code == 403


def test_the_session_opens_no_account_no_console_and_no_other_organization(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser]
) -> None:
    helper = browser(AT_HARBOR)
    entered(helper, begun(served, root))
    for path in sorted(auth_gate.ACCOUNT_PATHS):
        answer = helper.get(path)
        assert answer.status_code == 403, path
        assert "changes nothing" in answer.text
        assert helper.post(path, {"action": "end", "password": PASSWORD}).status_code == 403, path
    for path in ("/console", PAGE, "/console/metering.csv?from=2026-01&to=2026-02"):
        assert helper.get(path).status_code == 403, path
    cookie = f"{auth_gate.SESSION_COOKIE}={helper.client.cookies[auth_gate.SESSION_COOKIE]}"
    mesa = browser("http://mesa.localhost:8501")
    assert mesa.get("/no_show", headers={"cookie": cookie}).status_code == 403
    refused = served.access.audit_rows("harbor", action="request")
    assert {row.actor for row in refused} == {f"{ROOT} (support)"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reason": " "}, "Write a reason"),
        ({"reason": "x" * 301}, "Write a reason"),
        ({"minutes": "5000"}, "The time limit is one of"),
        ({"minutes": "-1"}, "The time limit is one of"),
        ({"minutes": ""}, "The time limit is one of"),
    ],
)
def test_what_is_not_allowed_asks_nothing(
    served: served_home.Served, root: Browser, fields: dict[str, str], words: str
) -> None:
    answer = asked(root, **fields)
    assert answer.status_code == 422
    assert words in answer.text
    assert served.access.support_sessions.of_tenant("harbor") == ()


def test_an_organization_that_refuses_has_no_form_and_a_form_that_was_kept_is_refused(
    served: served_home.Served, root: Browser
) -> None:
    served.access.support_sessions.set_policy("harbor", SupportPolicy.REFUSED, actor="admin@harbor")
    page = root.get(PAGE).text
    assert "refuses support sessions" in page
    assert "Ask for a support session" not in page
    assert asked(root).status_code == 403
    assert asked(root, tenant="nowhere").status_code == 403


def test_another_administrator_of_the_platform_ends_a_session_and_does_not_open_it(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser]
) -> None:
    begun(served, root)
    (session,) = served.access.support_sessions.open_of_tenant("harbor")
    own = {"password": PASSWORD, "must_change": False}
    served.access.add_user(PLATFORM, "two@platform", display_name="Two", role=Role.SUPER_ADMIN, **own)
    other = browser()
    other.sign_in("two@platform")
    form = {"tenant": "harbor", "support": session.support_id}
    assert "Open again" not in other.get(PAGE).text
    assert sent(other, PAGE, action="open support", **form).status_code == 403
    assert "has ended" in sent(other, PAGE, action="end support", **form).text
    assert sent(other, PAGE, action="end support", **form).status_code == 403
