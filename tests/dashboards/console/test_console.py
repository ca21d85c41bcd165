"""The console: a platform administrator makes organizations and sets plans, sees no data, and nobody else comes in."""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnect

from dashboards import served_home
from dashboards.server import auth_gate
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.people.announcements import Announcements
from serving.people.principal import PLATFORM, Role
from serving.people.store import AccessStore
from serving.platform import Platform
from tests.dashboards.conftest import Browser
from tests.dashboards.console.forms import ROOT, sent
from tests.support import clinicmart_here

NEW = {"action": "create", "tenant": "delta", "name": "Delta <Care>", "email": "Dora@Delta.example", "person": "Dora"}


def test_an_organization_is_live_at_once_and_its_administrator_signs_in(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser]
) -> None:
    assert browser("http://delta.localhost:8501").get("/signin").status_code == 404
    answer = sent(root, **NEW)
    assert answer.status_code == 200
    assert "Delta &lt;Care&gt; is there, and dora@delta.example is invited." in answer.text
    link = re.search(r"<code>(.*?)</code>", answer.text)
    assert link is not None
    assert link[1].startswith("http://delta.localhost:8501/password?reset=")
    # The link stands on no later page.
    assert "password?reset" not in root.get("/console").text
    dora = browser("http://delta.localhost:8501")
    path = link[1].removeprefix("http://delta.localhost:8501")
    fields = {"token": dora.token_on(path), "reset": path.partition("reset=")[2]}
    mine = "a long and quiet river"
    assert dora.post("/password", {**fields, "password": mine, "again": mine}).status_code == 303
    assert dora.get("/no_show").text == "inside"
    principal = served.access.principal("delta", "dora@delta.example")
    assert (principal.role, principal.display_name) == (Role.ORGANIZATION_ADMIN, "Dora")
    rows = served.access.audit_rows("delta")
    made = {row.action: row.actor for row in rows}
    assert (made["tenant created"], made["user added"]) == (ROOT, ROOT)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tenant": "harbor"}, "There is an organization harbor already"),
        ({"tenant": PLATFORM}, "There is an organization platform already"),
        ({"tenant": "De lta"}, "is not a tenant id"),
        ({"tenant": ""}, "is not a tenant id"),
        ({"name": " "}, "give the organization a name"),
        ({"name": "x" * 81}, "give the organization a name"),
        ({"email": "nobody"}, "is not a user name"),
    ],
)
def test_what_cannot_be_an_organization_makes_nothing_and_stays_in_the_form(
    served: served_home.Served, root: Browser, change: dict[str, str], words: str
) -> None:
    answer = sent(root, **(NEW | change))
    assert answer.status_code == 422
    assert words.lower() in answer.text.lower()
    assert 'value="Dora"' in answer.text
    assert dict(served.access.tenants()) == {"harbor": "Harbor", "mesa": "Mesa"}


def test_a_plan_takes_and_gives_modules(served: served_home.Served, root: Browser) -> None:
    page = root.get("/console/harbor").text
    granted = set(re.findall(r'name="module_(\w+)" value="yes" checked', page))
    assert {"no_show", "extracts"} <= granted
    before = served.access.policy("harbor")
    kept = {f"module_{name}": "yes" for name in granted - {"extracts"}}
    answer = sent(root, "/console/harbor", action="plan", tenant="harbor", **kept)
    assert "The plan is saved" in answer.text
    after = served.access.policy("harbor")
    assert before.modules - after.modules == {"extracts"}
    assert after.version == before.version + 1
    row = served.access.audit_rows("harbor", action="module changed")[0]
    assert (row.actor, row.detail) == (ROOT, {"module": "extracts", "is_granted": False})
    # Saved again, nothing is changed.
    sent(root, "/console/harbor", action="plan", tenant="harbor", **kept)
    assert served.access.policy("harbor").version == after.version


def test_a_new_link_is_for_an_invited_administrator_alone(served: served_home.Served, root: Browser) -> None:
    sent(root, **NEW)
    page = root.get("/console/delta").text
    assert "dora@delta.example was invited" in page
    answer = sent(root, "/console/delta", action="invite", tenant="delta", email="dora@delta.example")
    assert "/password?reset=" in answer.text
    for tenant, email in (("harbor", "admin@harbor"), ("harbor", "dora@delta.example"), ("delta", ""), ("no", "x@y")):
        answer = sent(root, "/console/delta", action="invite", tenant=tenant, email=email)
        assert answer.status_code == 403, email
        assert "reset=" not in answer.text


def test_nobody_else_comes_in(served: served_home.Served, browser: Callable[..., Browser]) -> None:
    visitor = browser()
    assert visitor.get("/console").headers["location"] == "/signin?next=/console"
    assert visitor.post("/console", NEW).status_code == 403
    for base in ("http://localhost:8501", "http://harbor.localhost:8501"):
        person = browser(base)
        person.sign_in()
        for path in ("/console", "/console/", "/console/harbor", "/console/metering.csv?from=2026-01&to=2026-02"):
            answer = person.get(path)
            assert answer.status_code == 403, path
            assert "for administrators of the platform" in answer.text
        assert person.post("/console", NEW).status_code == 403
    assert "delta" not in dict(served.access.tenants())
    assert served.access.audit_rows("harbor", action="request")[0].result == "refused"
    with pytest.raises(AccessError, match="only an administrator of the platform"):
        Platform(served.home, served.access, served.access.principal("harbor", "admin@harbor"))


def test_a_platform_administrator_sees_the_console_and_no_page(root: Browser, browser: Callable[..., Browser]) -> None:
    for path in ("/", "/no_show", "/overview"):
        assert root.get(path).headers["location"] == "/console"
    assert ROOT in root.get("/account").text
    assert root.get("/_stcore/host-config", headers={"accept": "application/json"}).status_code == 403
    with pytest.raises(WebSocketDisconnect), root.socket():
        pass
    elsewhere = browser("http://harbor.localhost:8501")
    session = f"{auth_gate.SESSION_COOKIE}={root.client.cookies[auth_gate.SESSION_COOKIE]}"
    assert elsewhere.get("/console", headers={"cookie": session}).status_code == 403


def test_a_form_from_elsewhere_does_nothing(served: served_home.Served, root: Browser) -> None:
    assert root.post("/console", NEW).status_code == 403
    assert root.post("/console", NEW | {"token": "0" * 64}).status_code == 403
    token = re.search(r'name="token" value="([0-9a-f]+)"><input type="hidden" name="action"', root.get("/console").text)
    assert token is not None
    forged = root.post("/console", NEW | {"token": token[1]}, headers={"origin": "https://evil.example"})
    assert forged.status_code == 403
    assert "delta" not in dict(served.access.tenants())


def test_an_administrator_who_was_locked_does_nothing_more(served: served_home.Served, root: Browser) -> None:
    platform = Platform(served.home, served.access, served.access.principal(PLATFORM, ROOT))
    served.access.change_rights(PLATFORM, ROOT, is_active=False, actor="test")
    for act in (
        platform.organizations,
        lambda: platform.organization("harbor"),
        lambda: platform.create("delta", "Delta", admin_email="a@delta"),
        lambda: platform.grant("harbor", "extracts", is_granted=False),
        lambda: platform.invited_administrators("harbor"),
        platform.announcements,
        lambda: platform.announce("x", date(2026, 1, 1), date(2026, 1, 1)),
        lambda: platform.end_announcement(1),
        lambda: platform.metered(date(2026, 1, 1), date(2026, 1, 1)),
    ):
        with pytest.raises(AccessError):
            act()
    assert root.get("/console").headers["location"] == "/signin?next=/console"


def test_the_list_names_what_is_to_be_looked_at_and_no_person(served: served_home.Served, root: Browser) -> None:
    text = root.get("/console").text
    assert "<h1>2 organizations, nothing to look at</h1>" in text
    assert "Nothing yet" in text
    assert "admin@" not in text
    row = served.access.audit_rows(PLATFORM, limit=1)[0]
    assert (row.actor, row.action, row.channel) == (ROOT, "list", "page")


def test_what_is_announced_stands_on_the_pages_in_its_days_until_it_is_ended(
    served: served_home.Served, root: Browser
) -> None:
    today = datetime.now(UTC).date()
    days = {"first_day": today.isoformat(), "last_day": (today + timedelta(days=1)).isoformat()}
    answer = sent(root, action="announce", sentence="Closed on <Sunday>", **days)
    assert "Closed on &lt;Sunday&gt;" in answer.text
    store = served.access.announcements
    assert store.on(today) == store.on(today + timedelta(days=1)) == ("Closed on <Sunday>",)
    assert store.on(today - timedelta(days=1)) == store.on(today + timedelta(days=2)) == ()
    (made,) = store.all()
    ended = sent(root, action="end announcement", announcement=str(made.announcement_id))
    assert "Sunday" not in ended.text
    assert store.on(today) == ()
    assert sent(root, action="end announcement", announcement=str(made.announcement_id)).status_code == 403
    assert sent(root, action="end announcement", announcement="x").status_code == 403
    done = [row.action for row in served.access.audit_rows(PLATFORM) if row.action.startswith("announcement")]
    assert done == ["announcement ended", "announcement made"]


def test_what_cannot_be_announced_is_refused_in_a_sentence(served: served_home.Served, root: Browser) -> None:
    today = datetime.now(UTC).date()
    later, before = (today + timedelta(days=1)).isoformat(), (today - timedelta(days=1)).isoformat()
    for sentence, first, last, words in (
        ("", today.isoformat(), later, "write a sentence"),
        ("x" * 301, today.isoformat(), later, "write a sentence"),
        ("Closed", later, today.isoformat(), "not before the first"),
        ("Closed", before, before, "not over"),
        ("Closed", "soon", later, "is not a day"),
    ):
        answer = sent(root, action="announce", sentence=sentence, first_day=first, last_day=last)
        assert answer.status_code == 422
        assert words in answer.text.lower()
    for number in range(3):
        served.access.announcements.add(f"Number {number}", today, today, actor=ROOT)
    with pytest.raises(ConfigurationError, match="there are 3 announcements in these days"):
        served.access.announcements.add("One more", today, today, actor=ROOT)
    served.access.announcements.add("Later", today + timedelta(days=1), today + timedelta(days=1), actor=ROOT)


def test_an_announcement_stands_above_a_page(page: Any, markup_of: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Announcements, "on", lambda _self, _day: ("Closed on <Sunday>",))
    html = markup_of(page("no_show"))
    assert html.count("Closed on &lt;Sunday&gt;") == 1


def test_an_operator_makes_a_platform_administrator_and_an_organization(tmp_path: Any) -> None:
    home = ("--home", tmp_path / "home")
    AccessStore.open(Home.at(tmp_path / "home")).ensure_tenant("harbor", "Harbor")
    ran = clinicmart_here("users", "add", ROOT, *home, "--tenant", PLATFORM, "--role", "super_admin")
    assert ran.code == 0, ran.err
    add = ("tenants", "add", "delta", *home, "--name", "Delta", "--admin", "dora@delta")
    ran = clinicmart_here(*add)
    assert (ran.code, "/password?reset=" in ran.out) == (0, True), ran.err
    assert clinicmart_here(*add).code == 2
    today = f"{datetime.now(UTC):%Y-%m}"
    ran = clinicmart_here("tenants", "metering", *home, "--from", today, "--to", today)
    assert [line.split(",")[1] for line in ran.out.splitlines()[1:]] == ["delta", "harbor"]


def test_no_browser_keeps_the_console_and_an_unknown_organization_is_refused(root: Browser) -> None:
    assert root.get("/console").headers["cache-control"] == "no-store"
    assert root.get("/console/unknown").status_code == 403
