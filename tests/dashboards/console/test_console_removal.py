"""An organization leaves: its name is typed in the console, the command does it, and the console shows a certificate that verifies."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from clinicmart.proof.report import verified
from dashboards import served_home
from foundation.errors import AccessError, ConfigurationError
from foundation.kept_files import ConfigurationRecord
from foundation.keys import serving_keys
from serving.people.restored import settle
from serving.platform import Platform
from tests.dashboards.conftest import Browser
from tests.dashboards.console.forms import ROOT, sent
from tests.support import clinicmart_here

PAGE, STATE = "/console/harbor/remove", "/console/harbor/removal"
FORM = {"action": "remove", "tenant": "harbor", "reason": "contract <ended>", "typed": "Harbor"}
WITHDRAW = {"action": "withdraw removal", "tenant": "harbor"}


def carried_out(served: served_home.Served) -> tuple[int, list[dict[str, object]]]:
    """Runs the command as an operator does; returns its exit code and what it says of each removal."""
    ran = clinicmart_here("tenants", "remove-asked", "--home", served.home.path, "--json")
    return ran.code, json.loads(ran.out)["removals"]


def test_what_is_destroyed_is_said_and_the_certificate_verifies(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser], tmp_path: Path
) -> None:
    assert f'href="{PAGE}"' in root.get("/console/harbor").text
    page = root.get(PAGE).text
    for words in ("1 account", "vault", "keys", "audit log keeps its rows", "Harbor"):
        assert words in page
    answer = sent(root, PAGE, **FORM)
    assert (answer.status_code, answer.headers["location"]) == (303, STATE)
    waiting = root.get(STATE).text
    assert "Harbor is going to be removed" in waiting
    assert "contract &lt;ended&gt;" in waiting
    # Until it is done everything works as before, and nobody asks twice.
    assert set(dict(served.access.tenants())) == {"harbor", "mesa"}
    assert root.get(PAGE).headers["location"] == STATE
    assert sent(root, STATE, **FORM).headers["location"] == STATE
    assert len(served.access.removal_requests.all()) == 1
    assert carried_out(served) == (0, [{"tenant": "harbor", "is_removed": True, "is_proven": False, "opened": []}])
    assert dict(served.access.tenants()) == {"mesa": "Mesa"}
    shown = root.get(STATE)
    assert shown.status_code == 200
    assert "Harbor is removed" in shown.text
    assert "contract &lt;ended&gt;" in shown.text
    file = tmp_path / "certificate.json"
    file.write_text(root.get("/console/harbor/certificate").text, encoding="utf-8")
    report = verified(file)
    assert report["reason"] == f"contract <ended> (asked for by {ROOT} in the console)"
    assert report["rows"]["access.user"] == 1
    asks = served.access.audit_rows("platform", action="tenant removal asked")
    assert [(row.actor, row.detail["tenant"]) for row in asks] == [(ROOT, "harbor")]
    # The list names it; its address is nobody's, and its id is not given again.
    assert "Organizations that left" in root.get("/console").text
    assert browser("http://harbor.localhost:8501").get("/signin").status_code == 404
    assert root.get(PAGE).status_code == 403
    again = sent(root, action="create", tenant="harbor", name="Harbor", email="a@harbor.example")
    assert "was removed" in again.text
    assert carried_out(served) == (0, [])


@pytest.mark.parametrize(
    "change", [{"typed": "harbor"}, {"typed": ""}, {"typed": "Mesa"}, {"reason": " "}, {"reason": "x" * 301}]
)
def test_nothing_is_asked_without_the_name_and_a_reason(
    served: served_home.Served, root: Browser, change: dict[str, str]
) -> None:
    answer = sent(root, PAGE, **(FORM | change))
    assert answer.status_code == 422
    assert "What is destroyed" in answer.text
    assert served.access.removal_requests.all() == ()
    assert served.access.audit_rows("platform", action="tenant removal asked") == ()


def test_what_cannot_be_removed_yet_waits_and_says_why(
    served: served_home.Served, root: Browser, tmp_path: Path
) -> None:
    configuration = tmp_path / "clinicmart.yaml"
    configuration.write_text(
        "tenants:\n  harbor:\n    name: Harbor\n    time_zone: UTC\n    feeds: []\n", encoding="utf-8"
    )
    ConfigurationRecord(file=str(configuration)).write(served.home.path / "config.json")
    sent(root, PAGE, **FORM)
    code, ((removal),) = carried_out(served)
    assert (code, removal["is_removed"]) == (1, False)
    assert set(dict(served.access.tenants())) == {"harbor", "mesa"}
    assert "The last attempt removed nothing" in root.get(STATE).text
    configuration.unlink()
    assert carried_out(served)[0] == 0
    assert dict(served.access.tenants()) == {"mesa": "Mesa"}


def test_a_process_with_the_keys_of_the_pages_removes_nothing(served: served_home.Served, root: Browser) -> None:
    sent(root, PAGE, **FORM)
    with serving_keys(served.home):
        code, (removal,) = carried_out(served)
    assert (code, removal["is_removed"]) == (1, False)
    assert "one grant alone" in str(removal["problem"])
    assert set(dict(served.access.tenants())) == {"harbor", "mesa"}


def test_a_removal_is_withdrawn_by_an_administrator_and_by_a_restore(served: served_home.Served, root: Browser) -> None:
    sent(root, PAGE, **FORM)
    assert "The removal is withdrawn" in sent(root, STATE, **WITHDRAW).text
    assert sent(root, PAGE, **WITHDRAW).status_code == 403
    assert carried_out(served) == (0, [])
    sent(root, PAGE, **FORM)
    settle(served.home, tenant=None, actor="operator", detail={})
    assert carried_out(served) == (0, [])
    assert set(dict(served.access.tenants())) == {"harbor", "mesa"}


def test_nobody_else_removes_an_organization(
    served: served_home.Served, root: Browser, browser: Callable[..., Browser]
) -> None:
    person = browser()
    person.sign_in()
    for path in (PAGE, STATE, "/console/harbor/certificate"):
        assert person.get(path).status_code == 403, path
    assert person.post("/console", FORM).status_code == 403
    assert root.post("/console", FORM).status_code == 403
    assert sent(root, PAGE, **(FORM | {"tenant": "nowhere"})).status_code == 403
    assert root.get("/console/nowhere/remove").status_code == 403
    assert root.get("/console/harbor/other").status_code == 404
    assert root.get("/console/mesa/removal").status_code == 404
    assert root.get("/console/mesa/certificate").status_code == 403
    assert served.access.removal_requests.all() == ()
    admin = served.access.principal("harbor", "admin@harbor")
    with pytest.raises(AccessError):
        Platform(served.home, served.access, admin)
    own = Platform(served.home, served.access, served.access.principal("platform", ROOT))
    with pytest.raises(ConfigurationError, match="type the name"):
        own.ask_removal("harbor", typed_name="Mesa", reason="x")
