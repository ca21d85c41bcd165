"""What pages show and what the server refuses is audited, in few rows."""

import click
import pytest

from clinicmart.main import COMMANDS, cli
from dashboards.server import auth_gate, refusals
from serving.people.principal import PLATFORM, Role
from serving.people.store import AccessStore

# These write more detailed rows themselves, or show nothing that Clinicmart holds.
OF_THEIR_OWN = {
    "metrics query", "drill", "close month", "close reopen", "lineage", "source", "extract", "report", "users add",
    "users change", "users reset", "modules set", "keys serving", "keys ingest", "keys rotate", "tenants remove", "targets set",
    "bi-login create", "bi-login revoke",
    "users link", "users reset-second-factor", "tenants oidc set", "tenants oidc remove", "identity look-up",
    "tokens create", "tokens revoke", "mcp", "tenants scim create-token", "tenants scim revoke-token", "tenants scim give",
    "tenants scim take",
    "subscriptions rule", "subscriptions add", "subscriptions end", "subscriptions again", "deliver",
    "alerts add", "alerts snooze", "alerts end", "alerts acknowledge", "alerts budget", "alerts again", "alerts check",
    "content export", "content import", "annotations add", "annotations change", "annotations remove",
    "tenants embedding add", "tenants embedding revoke", "tenants add",
    "audit prove", "audit patient", "audit person", "audit breach", "backup", "replay", "doctor", "quarantine acknowledge",
    "control-database move", "forecasts make", "tenants remove-asked",
}  # fmt: skip
SHOW_NOTHING = {"audit verify", "upgrade", "serve", "dagster", "demo", "run", "listen", "sample"}


@pytest.fixture(autouse=True)
def _no_counts():
    refusals._COUNTS.clear()


def refused(store: AccessStore, tenant: str):
    return [row for row in store.audit_rows(tenant, action="request") if row.result == "refused"]


def test_a_page_is_one_row_before_it_is_shown_and_one_with_its_figures(page, reader, served):
    page("no_show", place="behavioral")
    (first, *_), figures = (
        [(a, d) for a, d, _ in reader.noted if a == "page"],
        [d for a, d, _ in reader.noted if a == "figures"],
    )
    assert first == ("page", {"page": "no_show", "view": {"place": "behavioral"}})
    assert len(figures) == 1
    assert "no_show_rate" in figures[0]["metrics"]
    reader.noted.clear()
    # Answers that the page keeps are shown all the same.
    page("no_show", place="behavioral")
    assert [d for a, d, _ in reader.noted if a == "figures"] == figures


def test_a_page_that_a_person_does_not_have_is_a_refused_row(page, reader, served):
    own = {"password": "correct horse battery 9", "must_change": False}
    served.access.add_user("harbor", "recorded@harbor", display_name="Rex", role=Role.EXECUTIVE, **own)
    page("administration", cookie=served.access.create_session(served.access.principal("harbor", "recorded@harbor")))
    assert ("page", "refused") in [(a, result) for a, _, result in reader.noted]


def test_forged_sessions_foreign_hosts_sockets_and_forms_are_rows(browser, served):
    before = len(refused(served.access, PLATFORM))
    stranger = browser("http://evil.example:8501")
    assert stranger.get("/").status_code == 404
    assert len(refused(served.access, PLATFORM)) == before + 1
    forged = browser("http://harbor.localhost:8501")
    forged.client.cookies.set(auth_gate.SESSION_COOKIE, "forged")
    assert forged.client.get(forged.base + "/_stcore/host-config").status_code == 403
    (row, *_) = refused(served.access, "harbor")
    assert (row.actor, row.detail["path"], row.detail["status"], row.channel) == (
        "unknown", "/_stcore/host-config", 403, "page",
    )  # fmt: skip
    assert forged.post("/signout", {"token": "x"}).status_code == 403
    assert refused(served.access, "harbor")[0].detail["path"] == "/signout"
    with pytest.raises(Exception):  # noqa: B017 the client's own error for a socket that is not accepted
        forged.socket().__enter__()
    assert refused(served.access, "harbor")[0].detail["kind"] == "websocket"


def test_what_is_allowed_writes_no_refusal(browser, served):
    before = len(refused(served.access, PLATFORM)), len(refused(served.access, "harbor"))
    visitor = browser("http://harbor.localhost:8501")
    assert visitor.get("/").status_code == 303
    visitor.sign_in()
    assert visitor.get("/").text == "inside"
    assert (len(refused(served.access, PLATFORM)), len(refused(served.access, "harbor"))) == before


def test_a_flood_of_refusals_is_one_row_a_minute_that_counts_them(browser, served, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(refusals.time, "monotonic", lambda: now[0])
    stranger = browser("http://harbor.localhost:8501")
    before = len(refused(served.access, "harbor"))
    for _ in range(20):
        stranger.client.get(stranger.base + "/_stcore/health")
    assert len(refused(served.access, "harbor")) == before + 1
    now[0] += refusals.EVERY_SECONDS + 1
    stranger.client.get(stranger.base + "/_stcore/health")
    assert refused(served.access, "harbor")[0].detail["times"] == 20


def test_many_addresses_at_once_share_rows(monkeypatch):
    monkeypatch.setattr(refusals, "ADDRESSES_KEPT", 50)
    written = [refusals._due(("harbor", "unknown", "page 403", f"address {n}"), 5.0) for n in range(500)]
    assert sum(1 for times in written if times) == 51


def _commands(command: click.Command, name: str):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            child = command.get_command(context, word)
            assert child is not None
            yield from _commands(child, f"{name} {word}".strip())
    else:
        yield name, command


def test_every_command_that_shows_something_is_recorded():
    commands = dict(_commands(cli, ""))
    assert len(commands) > len(COMMANDS)
    unrecorded = {
        name
        for name, command in commands.items()
        if not getattr(command.callback, "is_recorded", False) and any(p.name == "home" for p in command.params)
    }
    assert unrecorded - OF_THEIR_OWN - SHOW_NOTHING == set()
    assert {"users list", "audit list", "status", "quarantine list", "tenants list"}.isdisjoint(unrecorded)
