"""SCIM: an identity provider keeps accounts and groups of its tenant; what groups give is decided here."""

import uuid
from typing import Annotated

import pytest
from limits import RateLimitItemPerMinute
from pydantic import Field
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import Mutability, Required, ScimProvider, Uniqueness
from scim2_tester import Status, check_server
from starlette.testclient import TestClient

from dashboards.api import who
from dashboards.scim import LARGEST_BODY
from dashboards.scim.resources import CONFIG, POLICY, Group, User
from foundation.errors import AccessError, ConfigurationError
from serving.people.group_rights import GroupRight
from serving.people.principal import Role
from serving.people.rights import ROLES
from tests.dashboards.scim_provider import GROUP, USER, added, grouped, name, patched, principal

HARBOR, MESA = "http://harbor.localhost:8501", "http://mesa.localhost:8501"


# Models with user names of our form, for the tester that fills fields with random text.
class NamedUser(User):
    user_name: Annotated[str | None, Mutability.immutable, Uniqueness.server, Required.true] = Field(
        None, examples=[f"tester{number}@harbor" for number in range(20_000)]
    )


def test_the_tester_of_scim_finds_nothing_wrong(provider, monkeypatch):
    monkeypatch.setattr(who, "QUESTIONS", RateLimitItemPerMinute(10_000))
    described = ScimProvider(models=[NamedUser, Group], config=CONFIG, policy=POLICY)
    client = SyncSCIMClient(provider(), provider=described)
    results = check_server(client)
    wrong = [f"{each.title}: {each.reason}" for each in results if each.status in (Status.ERROR, Status.CRITICAL)]
    assert wrong == []
    assert sum(each.status is Status.SUCCESS for each in results) > 20


def test_a_person_is_added_read_found_and_named(provider, served):
    client = provider()
    person = added(client, displayName="Pia", externalId="x-1", emails=[{"value": "pia@x.example"}], title="Dr")
    assert (person["displayName"], person["externalId"], person["active"]) == ("Pia", "x-1", True)
    assert person["meta"]["location"].startswith(f"{HARBOR}/scim/v2/Users/")
    found = client.get("/Users", params={"filter": f'userName eq "{person["userName"].upper()}"'}).json()
    assert (found["totalResults"], found["Resources"][0]["id"]) == (1, person["id"])
    assert client.get("/Users", params={"filter": 'userName eq "nobody@harbor"'}).json()["totalResults"] == 0
    again = client.post("/Users", json={"schemas": [USER], "userName": person["userName"]})
    assert (again.status_code, again.json()["scimType"]) == (409, "uniqueness")
    # Added, the person sees nothing, and has no password.
    assert (principal(served, person).role, principal(served, person).unit_ids) == (Role.FRONT_DESK, ())
    with pytest.raises(AccessError):
        served.access.authenticate("harbor", person["userName"], "")
    row = served.access.audit_rows("harbor", action="account added", limit=1)[0]
    assert (row.actor, row.channel, row.detail["user"]) == ("scim:Okta", "scim", person["userName"])


def test_pages_of_a_list(provider):
    client = provider()
    for _ in range(3):
        added(client)
    whole = client.get("/Users", params={"sortBy": "userName"}).json()
    part = client.get("/Users", params={"sortBy": "userName", "startIndex": 2, "count": 2}).json()
    assert (part["startIndex"], part["itemsPerPage"], part["totalResults"]) == (2, 2, whole["totalResults"])
    assert part["Resources"] == whole["Resources"][1:3]


@pytest.mark.parametrize("active", [False, "False"])
def test_a_lock_ends_sessions_and_tokens_at_once_and_for_good(provider, served, active):
    client = provider()
    person = added(client)
    who_ = principal(served, person)
    session = served.access.create_session(who_)
    token = served.access.api_tokens.create(who_, name="notebook", allowed=["figures"], days=1, actor="x")
    assert served.access.sign_in(session) is not None
    answer = patched(client, f"/Users/{person['id']}", {"op": "Replace", "path": "active", "value": active})
    assert (answer.status_code, answer.json()["active"]) == (200, False)
    assert (served.access.sign_in(session), served.access.api_tokens.of_secret(token)) == (None, None)
    patched(client, f"/Users/{person['id']}", {"op": "replace", "value": {"active": True}})
    assert principal(served, person).email == person["userName"]
    assert (served.access.sign_in(session), served.access.api_tokens.of_secret(token)) == (None, None)


def test_who_was_locked_here_is_not_unlocked_by_the_provider(provider, served):
    client = provider()
    person = added(client)
    served.access.change_rights("harbor", person["userName"], is_active=False, actor="admin@harbor")
    answer = patched(client, f"/Users/{person['id']}", {"op": "replace", "path": "active", "value": True})
    assert answer.json()["active"] is False
    served.access.change_rights("harbor", person["userName"], is_active=True, actor="admin@harbor")
    assert client.get(f"/Users/{person['id']}").json()["active"] is True


def test_the_last_administrator_is_not_locked_out(provider, served):
    client = provider()
    (admin,) = client.get("/Users", params={"filter": 'userName eq "admin@harbor"'}).json()["Resources"]
    for answer in (
        patched(client, f"/Users/{admin['id']}", {"op": "replace", "path": "active", "value": False}),
        client.delete(f"/Users/{admin['id']}"),
    ):
        assert (answer.status_code, "only administrator" in answer.json()["detail"]) == (400, True)
    assert served.access.principal("harbor", "admin@harbor").role is Role.ORGANIZATION_ADMIN


def test_a_removed_person_is_gone_and_the_name_may_be_given_to_somebody_new(provider, served):
    client = provider()
    person = added(client)
    group = grouped(client, person)
    served.access.set_group_right("harbor", GroupRight(group_name=group["displayName"], role=Role.ANALYST), actor="a")
    session = served.access.create_session(principal(served, person))
    assert client.delete(f"/Users/{person['id']}").status_code == 204
    assert client.get(f"/Users/{person['id']}").status_code == 404
    assert served.access.sign_in(session) is None
    new = added(client, person["userName"])
    assert principal(served, new).role is Role.FRONT_DESK
    assert client.get(f"/Groups/{group['id']}").json().get("members") is None


def test_groups_give_what_the_table_here_says_and_no_more(provider, served):
    client, store = provider(), served.access
    person = added(client, roles=[{"value": "organization_admin"}], entitlements=[{"value": "all"}])
    group, other = grouped(client, person), grouped(client, person)
    assert principal(served, person).role is Role.FRONT_DESK
    session = store.create_session(principal(served, person))
    right = GroupRight(group_name=group["displayName"], role=Role.BILLING_STAFF, unit_ids=("BU1", "BU2"))
    store.set_group_right("harbor", right, actor="admin@harbor")
    assert (principal(served, person).role, principal(served, person).unit_ids) == (Role.BILLING_STAFF, ("BU1", "BU2"))
    # Rights changed: the session that began under others has ended.
    assert store.sign_in(session) is None
    # Two groups that give different roles give none.
    store.set_group_right(
        "harbor", GroupRight(group_name=other["displayName"], role=Role.ANALYST), actor="admin@harbor"
    )
    assert (principal(served, person).role, principal(served, person).unit_ids) == (Role.FRONT_DESK, ())
    patched(client, f"/Groups/{other['id']}", {"op": "remove", "path": f'members[value eq "{person["id"]}"]'})
    assert principal(served, person).role is Role.BILLING_STAFF
    assert client.get(f"/Users/{person['id']}").json()["groups"] == [
        {"value": group["id"], "display": group["displayName"]}
    ]
    # A renamed group is another one for the table.
    patched(client, f"/Groups/{group['id']}", {"op": "replace", "path": "displayName", "value": uuid.uuid4().hex})
    assert principal(served, person).role is Role.FRONT_DESK


def test_a_person_added_here_keeps_rights_until_a_group_gives_others_and_an_administrator_always(provider, served):
    client, store, email = provider(), served.access, name()
    store.add_user("harbor", email, display_name="Lou", role=Role.EXECUTIVE)
    (person,) = client.get("/Users", params={"filter": f'userName eq "{email}"'}).json()["Resources"]
    (admin,) = client.get("/Users", params={"filter": 'userName eq "admin@harbor"'}).json()["Resources"]
    group = grouped(client, person, admin)
    assert principal(served, person).role is Role.EXECUTIVE
    store.set_group_right("harbor", GroupRight(group_name=group["displayName"], role=Role.ANALYST), actor="a")
    assert principal(served, person).role is Role.ANALYST
    assert client.delete(f"/Groups/{group['id']}").status_code == 204
    assert principal(served, person).role is Role.FRONT_DESK
    assert principal(served, admin).role is Role.ORGANIZATION_ADMIN


@pytest.mark.parametrize("role", [role for role in Role if ROLES[role].administers or ROLES[role].is_of_platform])
def test_no_group_makes_an_administrator(served, role):
    with pytest.raises(ConfigurationError, match="cannot give"):
        served.access.set_group_right("harbor", GroupRight(group_name="Admins", role=role), actor="admin@harbor")


def test_a_token_sees_and_changes_its_own_tenant_alone(provider, served):
    own, foreign = provider("harbor"), provider("mesa")
    mine, theirs = added(own), added(foreign, name("mesa"))
    group = grouped(foreign, theirs)
    assert {each["userName"] for each in own.get("/Users", params={"count": 200}).json()["Resources"]} & {
        theirs["userName"],
        "admin@mesa",
    } == set()
    for answer in (
        own.get(f"/Users/{theirs['id']}"),
        own.get(f"/Groups/{group['id']}"),
        own.delete(f"/Users/{theirs['id']}"),
        own.delete(f"/Groups/{group['id']}"),
        patched(own, f"/Users/{theirs['id']}", {"op": "replace", "path": "active", "value": False}),
    ):
        assert answer.status_code == 404
    sent = {"schemas": [GROUP], "displayName": "Mixed", "members": [{"value": mine["id"]}, {"value": theirs["id"]}]}
    assert own.post("/Groups", json=sent).status_code == 400
    # At the other tenant's address the token opens nothing; the control is the own address.
    token = own.headers["authorization"].removeprefix("Bearer ")
    assert provider(base=MESA, token=token).get("/Users").status_code == 403
    assert provider(base="http://nobody.localhost:8501", token=token).get("/Users").status_code == 404
    assert own.get(f"/Users/{mine['id']}").status_code == 200
    assert foreign.get(f"/Users/{theirs['id']}").json()["active"] is True


def test_a_token_that_ended_or_is_for_something_else_opens_nothing(provider, served, browser):
    client, store = provider(), served.access
    secret = client.headers["authorization"].removeprefix("Bearer ")
    (token,) = [each for each in store.scim_tokens.of_tenant("harbor") if secret and each.is_open][:1]
    admin = store.principal("harbor", "admin@harbor")
    of_the_api = store.api_tokens.create(admin, name="notebook", allowed=["figures"], days=1, actor="x")
    for other in ("", "wrong", of_the_api, store.create_session(admin), secret[:-1]):
        assert TestClient(client.app, base_url=f"{HARBOR}/scim/v2", headers={"authorization": f"Bearer {other}"}).get(
            "/Users"
        ).status_code in (401, 429)
    # A token of SCIM is no token of the API, and no session.
    assert store.api_tokens.of_secret(secret) is None
    visitor = browser(HARBOR)
    visitor.client.cookies.set("clinicmart_session", secret)
    assert visitor.get("/no_show").status_code == 303
    with pytest.raises(AccessError):
        store.scim_tokens.revoke("mesa", token.token_id, actor="admin@mesa")
    who._limiter.storage.reset()
    assert client.get("/Users").status_code == 200
    store.scim_tokens.revoke("harbor", token.token_id, actor="admin@harbor")
    assert client.get("/Users").status_code == 401


def test_guesses_of_tokens_are_throttled(provider):
    stranger = provider(token="clinicmart_scim_wrong")
    answers = [stranger.get("/Users").status_code for _ in range(35)]
    assert (answers[0], answers[-1]) == (401, 429)


def test_a_change_of_an_older_reading_is_refused(provider):
    client = provider()
    person = added(client)
    read = client.get(f"/Users/{person['id']}")
    tag = read.headers["etag"]
    assert tag == read.json()["meta"]["version"]
    assert client.get(f"/Users/{person['id']}", headers={"if-none-match": tag}).status_code == 304
    change = {"schemas": [USER], "userName": person["userName"], "displayName": "New", "active": True}
    assert client.put(f"/Users/{person['id']}", json=change, headers={"if-match": tag}).status_code == 200
    assert client.put(f"/Users/{person['id']}", json=change, headers={"if-match": tag}).status_code == 412


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/Users", b"{", 400),
        ("POST", "/Users", b"[]", 400),
        ("POST", "/Users", b'{"schemas": [], "userName": 7}', 400),
        ("POST", "/Users", b'{"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "no form"}', 400),
        ("POST", "/Users", b"x" * (LARGEST_BODY + 1), 413),
        ("GET", "/Users?filter=userName%20eq", b"", 400),
        ("GET", "/Users?filter=nothing%20eq%20%22x%22", b"", 400),
        ("GET", "/Users/nobody", b"", 404),
        ("GET", "/Nothing", b"", 404),
        ("DELETE", "/Users", b"", 405),
        ("PUT", "/ServiceProviderConfig", b"{}", 405),
        ("POST", "/Bulk", b"{}", 404),
    ],
)
def test_bad_requests_are_refused_in_the_form_of_scim(provider, method, path, body, status):
    answer = provider().request(method, path, content=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/scim+json"
    sent = answer.json()
    assert (sent["schemas"], sent["status"]) == (["urn:ietf:params:scim:api:messages:2.0:Error"], str(status))


@pytest.mark.parametrize(
    ("method", "path", "of", "status"),
    [("GET", "/Users/nobody", "Users", 404), ("POST", "/Groups", "Groups", 400), ("GET", "/Secret%20plan", "", 404)],
)
def test_a_refused_request_is_an_audit_row_of_the_tenant(provider, served, method, path, of, status):
    assert provider().request(method, path, content=b"{").status_code == status
    row = served.access.audit_rows("harbor", action="scim", limit=1)[0]
    assert (row.actor, row.result, row.detail) == ("scim:Okta", "refused", {"asks": method, "of": of, "status": status})


def test_every_change_of_a_group_is_a_row_and_nothing_else_is(provider, served):
    client = provider()
    person = added(client)
    group = grouped(client)
    path, named = f"/Groups/{group['id']}", {"schemas": [GROUP], "displayName": f"Nights {uuid.uuid4().hex[:8]}"}
    changes = [
        # Nobody is in the group: the table of what groups give knows it by its name all the same.
        (named, {"before": group["displayName"]}),
        (named | {"externalId": "x-9"}, {"external_id": "x-9"}),
        (named | {"externalId": "x-9", "members": [{"value": person["id"]}]}, {"added": [person["userName"]]}),
    ]
    same = {"group": named["displayName"], "before": named["displayName"], "added": [], "removed": []}
    for sent, changed in changes:
        assert client.put(path, json=sent).status_code == 200
        row = served.access.audit_rows("harbor", action="group changed", limit=1)[0]
        assert row.detail == same | {"external_id": sent.get("externalId")} | changed
    assert client.put(path, json=changes[-1][0]).status_code == 200
    again = served.access.audit_rows("harbor", action="group changed", limit=1)[0]
    assert again == row


@pytest.mark.parametrize("kind", ["User", "Group"])
def test_an_answer_that_shows_a_person_or_group_unchanged_is_a_row(provider, served, kind):
    client = provider()
    person = added(client)
    made = person if kind == "User" else grouped(client, person)
    path, tag = f"/{kind}s/{made['id']}", made["meta"]["version"]
    unchanged = {"op": "replace", "path": "displayName", "value": made["displayName"]}
    for ask, status in (
        (lambda: client.get(path, headers={"if-none-match": tag}), 304),
        (lambda: client.put(path, json=made), 200),
        (lambda: patched(client, path, unchanged), 200),
    ):
        # Another row between two readings, so that the newest row is that of this reading.
        assert client.get("/Users/nobody").status_code == 404
        answer = ask()
        assert (answer.status_code, answer.headers["etag"]) == (status, tag)
        row = served.access.audit_rows("harbor", limit=1)[0]
        assert (row.actor, row.result, row.detail) == ("scim:Okta", "done", {"reads": kind, "id": made["id"]})


def test_a_user_name_does_not_change(provider):
    client = provider()
    person = added(client)
    answer = patched(client, f"/Users/{person['id']}", {"op": "replace", "path": "userName", "value": name()})
    assert (answer.status_code, answer.json()["scimType"]) == (400, "mutability")
