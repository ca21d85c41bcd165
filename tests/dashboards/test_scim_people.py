"""What a change of the identity provider must not do: give a name's new holder what the earlier one had, open what was locked here, take
rights that no group gives, or lose another change."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from threading import Barrier, BrokenBarrierError, Thread
from types import SimpleNamespace

import polars as pl
import pytest

from dashboards.scim import application
from foundation.errors import AccessError
from foundation.keys import Keys
from serving.annotations import ScopedAnnotations
from serving.people.alert_rules import ABOVE, ALARM, THRESHOLD, Evaluation, Rule, Wanted
from serving.people.annotations import Annotation
from serving.people.group_rights import GroupRight
from serving.people.leaving import ENDED, PRIVATE
from serving.people.principal import Role
from serving.people.tables import METADATA
from serving.report_definition import ReportDefinition
from tests.dashboards.scim_provider import USER, added, grouped, name, patched, principal


def account_of(client, user_name):
    (person,) = client.get("/Users", params={"filter": f'userName eq "{user_name}"'}).json()["Resources"]
    return person


def put(client, person, **fields):
    return client.put(f"/Users/{person['id']}", json={"schemas": [USER], "userName": person["userName"], **fields})


# Who gets the name of somebody who left


def test_a_new_holder_of_a_name_finds_nothing_of_the_earlier_one(provider, served, home):
    client, store = provider(), served.access
    person = added(client)
    email = person["userName"]
    group = grouped(client, person)
    store.set_group_right("harbor", GroupRight(group_name=group["displayName"], role=Role.ANALYST), actor="a")
    who = principal(served, person)
    queries = store.queries(Keys.of(home), "harbor", email)
    queries.note("select 1", outcome="done")
    queries.save("Mine", "select 2", is_shared=False)
    store.api_tokens.create(who, name="notebook", allowed=["figures"], days=1, actor=email)
    store.subscriptions.set_rule("harbor", ["harbor"], "figures", actor="admin@harbor")
    kept = store.subscriptions.subscribe(who, page="overview", every="week", actor=email)
    store.subscriptions.note(kept, date(2026, 11, 16), date(2026, 11, 22), datetime.now(UTC))
    assert len(store.subscriptions.deliveries("harbor", email)) == 1
    link = store.begin_reset("harbor", email, actor="admin@harbor")
    assert (len(queries.history()), len([each for each in queries.saved() if each.email == email])) == (1, 1)
    assert store.person_of_reset(link) is not None

    assert client.delete(f"/Users/{person['id']}").status_code == 204
    new = added(client, email)
    assert (queries.history(), [each for each in queries.saved() if each.email == email]) == ((), [])
    assert store.api_tokens.of_tenant("harbor", email) == ()
    assert store.person_of_reset(link) is None
    ended = store.subscriptions.subscription("harbor", kept.subscription_id)
    assert ended.ended_at is not None
    assert ended.ended_because == "the person left"
    assert store.subscriptions.of_tenant("harbor", email) == ()
    assert store.subscriptions.deliveries("harbor", email) == ()
    store.change_rights("harbor", email, role=Role.ANALYST, actor="admin@harbor")
    again = store.subscriptions.subscribe(principal(served, new), page="overview", every="week", actor="admin@harbor")
    assert store.subscriptions.of_tenant("harbor", email) == (again,)
    # The administrators of the tenant still see which mails were sent.
    assert {ended, again} <= set(store.subscriptions.of_tenant("harbor"))
    # Another person has another id, and the earlier id stays the one of nobody.
    assert new["id"] != person["id"]
    assert client.get(f"/Users/{person['id']}").status_code == 404
    assert client.delete(f"/Users/{person['id']}").status_code == 404
    assert account_of(client, email)["id"] == new["id"]


def test_alerts_and_reports_end_with_the_person(provider, served, home):
    client, store = provider(), served.access
    person = added(client)
    email, now = person["userName"], datetime.now(UTC)
    store.change_rights("harbor", email, role=Role.ANALYST, actor="admin@harbor")
    wanted = Wanted(
        metric="no_show_rate", rule=Rule(kind=THRESHOLD, side=ABOVE, threshold=Decimal("0.2")), every="week"
    )
    alert = store.alerts.add(principal(served, person), wanted, actor=email)
    evaluation = Evaluation(
        service_unit_id="BU1",
        period_start=date(2026, 11, 16),
        period_end=date(2026, 11, 22),
        verdict=ALARM,
        reason="",
        data_as_of=date(2026, 11, 22),
    )
    store.alerts.log(alert, [evaluation], now)
    store.alerts.set_budget("harbor", email, 3, actor=email)
    (alarm,) = store.alerts.not_mailed("harbor", email)
    store.alarm_mails.note("harbor", email, [alarm.evaluation_id], now)
    reports = store.reports(Keys.of(home), "harbor", email)
    reports.save("Mine", ReportDefinition(metrics=("visits",)), is_shared=False)

    client.delete(f"/Users/{person['id']}")
    assert store.alarm_mails.unsent() == ()
    new = added(client, email)
    store.change_rights("harbor", email, role=Role.ANALYST, actor="admin@harbor")
    assert store.alerts.alert("harbor", alert.alert_id).ended_because == "the person left"
    assert store.alerts.of_tenant("harbor", email) == ()
    assert store.alerts.logged("harbor", email) == ()
    assert store.alerts.budget("harbor", email) != 3
    assert store.alerts.alarms_since("harbor", email, now - timedelta(days=1)) == 0
    assert store.alarm_mails.of_tenant("harbor", email) == ()
    assert reports.all() == ()
    again = store.alerts.add(principal(served, new), wanted, actor=email)
    assert store.alerts.of_tenant("harbor", email) == (again,)
    # The tenant's log keeps the alarm.
    assert alarm.evaluation_id in {each.evaluation_id for each in store.alerts.logged("harbor")}


def test_annotations_stay_and_the_new_holder_of_the_name_may_not_change_them(provider, served, home):
    client, store = provider(), served.access
    person = added(client)
    email, kept = person["userName"], store.annotations(Keys.of(home), "harbor")
    noted = []

    def opened(who):
        units = SimpleNamespace(units=pl.DataFrame({"path": ["/BU1/"]}))
        seen = SimpleNamespace(scope=SimpleNamespace(is_restricted=False), data=units, visible=lambda: ())
        return ScopedAnnotations(
            home=home,
            version=None,
            metrics=seen,
            kept=kept,
            principal=replace(who, role=Role.EXECUTIVE),
            note=lambda *row: noted.append(row),
            saw=lambda *_: None,
        )

    day = date(2026, 5, 4)
    written = Annotation(sentence="Flood", first_day=day, last_day=day)
    earlier = opened(principal(served, person)).add(written)
    assert opened(principal(served, person)).may_change(earlier)
    client.delete(f"/Users/{person['id']}")
    new = opened(principal(served, added(client, email)))
    # Another version, written since then, makes nobody an author.
    kept.change(replace(earlier, sentence="Flood at Elm", set_by="admin@harbor"))
    (standing,) = (item for item in new.standing() if item.annotation_id == earlier.annotation_id)
    assert (standing.sentence, standing.author) == ("Flood at Elm", email)
    assert not new.may_change(standing)
    for act in (lambda: new.change(earlier.annotation_id, written), lambda: new.remove(earlier.annotation_id)):
        with pytest.raises(AccessError, match="only its author or an administrator"):
            act()
    assert [row[2] for row in noted] == ["refused", "refused"]
    assert new.may_change(new.add(written))


def test_each_holder_of_a_name_has_an_id_that_lasts(provider):
    client, user_name, ids = provider(), name(), []
    for _ in range(3):
        person = added(client, user_name)
        ids.append(person["id"])
        put(client, person, displayName="New")
        assert account_of(client, user_name)["id"] == person["id"]
        assert client.delete(f"/Users/{person['id']}").status_code == 204
    assert len(set(ids)) == 3


def test_each_table_with_rows_of_people_says_what_goes_when_they_leave():
    of_people = {
        table.name
        for table in METADATA.tables.values()
        for key in table.foreign_key_constraints
        if key.referred_table.name == "user"
    }
    assert of_people == {table.name for table in (*PRIVATE, *ENDED)}


def test_who_is_added_again_has_no_rights_that_the_name_had(provider, served):
    client, store = provider(), served.access
    person = added(client)
    email = person["userName"]
    client.delete(f"/Users/{person['id']}")
    # What somebody here gave to the name of a person who had left.
    store.change_rights("harbor", email, role=Role.PROVIDER, unit_ids=["BU1"], provider_id="p1", actor="admin@harbor")
    assert added(client, email)["active"] is True
    now = store.principal("harbor", email)
    assert (now.role, now.unit_ids, now.provider_id) == (Role.FRONT_DESK, (), None)


# Locks


def test_a_lock_set_here_outlives_removing_and_adding_again(provider, served):
    client, store = provider(), served.access
    person = added(client)
    email = person["userName"]
    store.change_rights("harbor", email, is_active=False, actor="admin@harbor")
    assert client.delete(f"/Users/{person['id']}").status_code == 204
    again = added(client, email)
    assert again["active"] is False
    patched(client, f"/Users/{again['id']}", {"op": "replace", "path": "active", "value": True})
    with pytest.raises(AccessError):
        store.principal("harbor", email)
    store.change_rights("harbor", email, is_active=True, actor="admin@harbor")
    assert account_of(client, email) | {"meta": None} == again | {"active": True, "meta": None}


def test_a_lock_of_the_provider_ends_with_the_person(provider, served):
    client = provider()
    person = added(client, active=False)
    assert client.delete(f"/Users/{person['id']}").status_code == 204
    assert added(client, person["userName"])["active"] is True
    assert principal(served, person).email == person["userName"]


def test_whom_the_provider_removed_can_be_opened_here(provider, served):
    client, store = provider(), served.access
    person = added(client)
    client.delete(f"/Users/{person['id']}")
    store.change_rights("harbor", person["userName"], is_active=True, actor="admin@harbor")
    assert account_of(client, person["userName"])["id"] != person["id"]
    assert client.post("/Users", json={"schemas": [USER], "userName": person["userName"]}).status_code == 409


# Rights


@pytest.mark.parametrize(
    ("role", "link"), [(Role.PROVIDER, {"provider_id": "p1"}), (Role.REFERRAL_PARTNER, {"provider_id": "r1"})]
)
def test_a_role_with_a_link_stays_when_groups_change(provider, served, role, link):
    client, store = provider(), served.access
    person = added(client)
    group = grouped(client, person)
    store.change_rights("harbor", person["userName"], role=role, **link, actor="admin@harbor")
    session = store.create_session(principal(served, person))
    store.set_group_right("harbor", GroupRight(group_name=group["displayName"], role=Role.ANALYST), actor="a")
    patched(client, f"/Groups/{group['id']}", {"op": "remove", "path": "members"})
    now = principal(served, person)
    assert (now.role, now.provider_id) == (role, link["provider_id"])
    assert store.sign_in(session) is not None


def test_a_change_of_a_group_concerns_those_alone_who_come_and_go(provider, served):
    client, store = provider(), served.access
    stays, goes, comes = (added(client) for _ in range(3))
    group = grouped(client, stays, goes)
    store.set_group_right("harbor", GroupRight(group_name=group["displayName"], role=Role.ANALYST), actor="a")
    store.change_rights("harbor", stays["userName"], role=Role.EXECUTIVE, actor="admin@harbor")
    session = store.create_session(principal(served, stays))
    patched(
        client,
        f"/Groups/{group['id']}",
        {"op": "add", "path": "members", "value": [{"value": comes["id"]}]},
        {"op": "remove", "path": f'members[value eq "{goes["id"]}"]'},
    )
    roles = [principal(served, person).role for person in (stays, goes, comes)]
    assert roles == [Role.EXECUTIVE, Role.FRONT_DESK, Role.ANALYST]
    assert store.sign_in(session) is not None


# Requests


def test_capitals_in_a_user_name_are_the_same_name(provider):
    client = provider()
    person = added(client, name().upper())
    shouted = person["userName"].upper()
    answer = put(client, person | {"userName": shouted}, displayName="Pia", active=True)
    assert (answer.status_code, answer.json()["userName"]) == (200, person["userName"])
    answer = patched(
        client,
        f"/Users/{person['id']}",
        {"op": "replace", "value": {"userName": shouted, "displayName": "Pia Lang"}},
    )
    assert (answer.status_code, answer.json()["displayName"]) == (200, "Pia Lang")
    answer = put(client, person | {"userName": name()}, displayName="Pia", active=True)
    assert (answer.status_code, answer.json()["scimType"]) == (400, "mutability")


def test_a_replacement_leaves_what_it_does_not_name(provider, served):
    client = provider()
    person = added(client, displayName="Pia Lang")
    patched(client, f"/Users/{person['id']}", {"op": "replace", "path": "active", "value": False})
    answer = put(client, person, externalId="x-7").json()
    assert (answer["active"], answer["displayName"], answer["externalId"]) == (False, "Pia Lang", "x-7")
    with pytest.raises(AccessError):
        principal(served, person)
    assert put(client, person, name={"formatted": "Pia Berg"}).json()["displayName"] == "Pia Berg"


def test_two_changes_at_once_both_hold(provider, monkeypatch):
    client, both_have_read, people = provider(), Barrier(2), application._KINDS["Users"]
    person = added(client)

    def read(asked, key):
        resource = people.read(asked, key)
        # It breaks where the other request waits until this change is written.
        with suppress(BrokenBarrierError):
            both_have_read.wait(timeout=1)
        return resource

    monkeypatch.setitem(application._KINDS, "Users", replace(people, read=read))
    changes = [{"path": "active", "value": False}, {"path": "displayName", "value": "Pia"}]
    path, token = f"/Users/{person['id']}", client.headers["authorization"].removeprefix("Bearer ")
    threads = [
        Thread(target=patched, args=(provider(token=token), path, {"op": "replace", **change})) for change in changes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.undo()
    now = client.get(path).json()
    assert (now["active"], now["displayName"]) == (False, "Pia")
