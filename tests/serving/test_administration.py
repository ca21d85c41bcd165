"""An administrator runs the people of one's own tenant, and nobody else does."""

import csv
import io
from datetime import UTC, date, datetime, timedelta

import pytest

from foundation.errors import AccessError, ConfigurationError
from serving.administration import Administration, Asked
from serving.people.group_rights import GroupRight
from serving.people.principal import PLATFORM, Role
from serving.reader import open_reader
from tests.serving.conftest import PEOPLE

UNITS, PROVIDERS = ("imaging", "lab", "west", "east"), ("p1", "p2", "p3")


@pytest.fixture
def administration(place):
    def of(user: str = "admin@harbor") -> Administration:
        principal = place.access.principal(user.partition("@")[2], user)
        return Administration(place.home, place.access, principal, units=UNITS, providers=PROVIDERS)

    return of


def token_of(path: str) -> str:
    return path.partition("?reset=")[2]


def test_an_invited_person_chooses_a_password_and_sees_the_units_that_were_given(place, administration):
    made = administration().invite(" New@Harbor ", display_name="Nora New", role=Role.PROGRAM_MANAGER, unit_ids=["lab"])
    (person,) = [person for person in administration().people() if person.email == made.email]
    assert (person.display_name, person.status, person.unit_ids) == ("Nora New", "invited", ("lab",))
    invited = place.access.person_of_reset(token_of(made.path))
    assert invited is not None
    place.access.set_password("harbor", invited.email, "a long and quiet river")
    principal = place.access.authenticate("harbor", "new@harbor", "a long and quiet river")
    assert open_reader(place.home, principal).scope.unit_ids == ("lab",)
    assert administration().person("new@harbor").status == "active"
    assert place.access.person_of_reset(token_of(made.path)) is None


def test_a_site_of_others_gets_units_of_the_organization_alone_and_another_tenant_ends_none(place, administration):
    wanted = {"origin": "https://portal.example.org", "pages": ["overview"], "days": 30}
    with pytest.raises(ConfigurationError, match="no service unit north"):
        administration().register_embedding_site("Portal", unit_ids=["lab", "north"], **wanted)
    secret = administration().register_embedding_site("Portal", unit_ids=["lab"], **wanted)
    (site,) = administration().embedding_sites()
    assert (site.unit_ids, site.created_by) == (("lab",), "admin@harbor")
    assert administration("admin@mesa").embedding_sites() == ()
    with pytest.raises(AccessError):
        administration("admin@mesa").end_embedding_site(site.token_id)
    administration().end_embedding_site(site.token_id)
    assert place.access.embedding_sites.of_secret(secret) is None


@pytest.mark.parametrize("name", [name for name, role, *_ in PEOPLE if role is not Role.ORGANIZATION_ADMIN])
def test_no_other_role_administers(administration, name):
    with pytest.raises(AccessError, match="only an administrator"):
        administration(f"{name}@harbor")


def test_an_administrator_who_was_demoted_does_nothing_more(place, administration):
    held = administration()
    held.invite("second@harbor", display_name="", role=Role.ORGANIZATION_ADMIN)
    administration("second@harbor").change("admin@harbor", role=Role.EXECUTIVE, unit_ids=[], provider_id=None)
    before = place.access.users("harbor")
    acts = (
        lambda: held.people(),
        lambda: held.invite("x@harbor", display_name="", role=Role.ANALYST),
        lambda: held.change("ceo@harbor", role=Role.ORGANIZATION_ADMIN, unit_ids=[], provider_id=None),
        lambda: held.lock("second@harbor"),
        lambda: held.unlock("ceo@harbor"),
        lambda: held.reset("ceo@harbor"),
        lambda: held.activity(Asked(), "UTC"),
        lambda: held.activity_csv(Asked(), "UTC"),
        lambda: held.actions(),
        lambda: held.embedding_sites(),
        lambda: held.register_embedding_site("x", origin="https://x.example", pages=["overview"], unit_ids=[], days=1),
        lambda: held.end_embedding_site("x"),
    )
    for act in acts:
        with pytest.raises(AccessError, match="only an administrator"):
            act()
    assert place.access.users("harbor") == before


def test_people_and_activity_of_another_tenant_are_not_there(place, administration):
    place.access.add_user("mesa", "only@mesa", display_name="Only Mesa", role=Role.EXECUTIVE)
    held = administration()
    assert {person.email.partition("@")[2] for person in held.people()} == {"harbor"}
    for act in (held.person, held.lock, held.unlock, held.reset):
        with pytest.raises(AccessError, match="no such user in your organization"):
            act("only@mesa")
    with pytest.raises(AccessError, match="no such user in your organization"):
        held.change("only@mesa", role=Role.EXECUTIVE, unit_ids=[], provider_id=None)
    text = held.activity_csv(Asked(), "UTC")
    assert "only@mesa" not in text
    assert "only@mesa" in administration("admin@mesa").activity_csv(Asked(), "UTC")
    assert {row.tenant_id for row in held.activity(Asked(), "UTC", limit=1000)} == {"harbor"}


@pytest.mark.parametrize(
    ("rights", "problem"),
    [
        ({"role": Role.PROGRAM_MANAGER}, "at least one service unit"),
        ({"role": Role.PROVIDER}, "choose the provider"),
        ({"role": Role.PROVIDER, "provider_id": "p9"}, "no such provider"),
        ({"role": Role.BILLING_STAFF, "unit_ids": ["lab", "nope"]}, "no service unit nope"),
        ({"role": Role.SUPER_ADMIN}, "platform administrator"),
    ],
)
def test_rights_that_could_not_work_are_refused_and_nothing_changes(place, administration, rights, problem):
    held, before = administration(), place.access.users("harbor")
    with pytest.raises(ConfigurationError, match=problem):
        held.invite("x@harbor", display_name="X", **rights)
    with pytest.raises(ConfigurationError, match=problem):
        held.change("ceo@harbor", **{"unit_ids": [], "provider_id": None, **rights})
    assert place.access.users("harbor") == before


def test_somebody_is_always_left_to_administer(administration):
    held = administration()
    with pytest.raises(ConfigurationError, match="your own account"):
        held.lock("admin@harbor")
    with pytest.raises(ConfigurationError, match="only administrator"):
        held.change("admin@harbor", role=Role.EXECUTIVE, unit_ids=[], provider_id=None)
    held.invite("second@harbor", display_name="", role=Role.ORGANIZATION_ADMIN)
    other = administration("second@harbor")
    other.lock("admin@harbor")
    with pytest.raises(ConfigurationError, match="only administrator"):
        other.change("second@harbor", role=Role.ANALYST, unit_ids=[], provider_id=None)


def test_a_lock_ends_sessions_for_good_and_the_person_stays_in_the_list(place, administration):
    token = place.access.create_session(place.access.principal("harbor", "ceo@harbor"))
    held = administration()
    assert held.person("ceo@harbor").last_seen_at is not None
    held.lock("ceo@harbor")
    assert (held.person("ceo@harbor").status, place.access.session(token)) == ("locked", None)
    held.unlock("ceo@harbor")
    assert held.person("ceo@harbor").status == "invited"
    assert place.access.session(token) is None


def test_every_act_is_recorded_under_the_administrators_name(place, administration):
    held = administration()
    held.invite("new@harbor", display_name="", role=Role.PROVIDER, provider_id="p1")
    held.change("new@harbor", role=Role.ANALYST, unit_ids=[], provider_id=None)
    held.lock("new@harbor")
    held.activity_csv(Asked(), "UTC")
    mine = [row.action for row in held.activity(Asked(actor="admin@harbor"), "UTC")]
    assert mine == ["audit exported", "rights changed", "rights changed", "password reset", "user added"]
    assert place.access.verify_audit().is_intact
    assert open_reader(place.home, place.access.principal("harbor", "admin@harbor")).scope.provider_id is None


def test_activity_is_filtered_by_the_days_of_the_tenants_zone_and_paged(administration):
    held = administration()
    for number in range(5):
        held.invite(f"n{number}@harbor", display_name="", role=Role.ANALYST)
    today = datetime.now(UTC).date()
    days = {"first": today - timedelta(days=1), "last": today + timedelta(days=1)}
    every = held.activity(Asked(**days), "Asia/Kolkata", limit=1000)
    pages = [
        held.activity(Asked(**days), "Asia/Kolkata", limit=3, offset=3 * page) for page in range(len(every) // 3 + 1)
    ]
    assert [row for page in pages for row in page] == list(every)
    assert held.activity(Asked(last=today - timedelta(days=2)), "Asia/Kolkata") == ()
    assert held.activity(Asked(first=today + timedelta(days=2)), "Asia/Kolkata") == ()
    assert {row.action for row in held.activity(Asked(action="user added"), "UTC")} == {"user added"}
    assert "user added" in held.actions()


def test_the_csv_holds_every_row_and_no_formula(place, administration):
    place.access.audit("harbor", "=cmd|' /C calc'!A0", "query", detail={"metrics": ["a,b", 'c"d']})
    rows = list(csv.DictReader(io.StringIO(administration().activity_csv(Asked(action="query"), "UTC"))))
    assert [row["actor"] for row in rows] == ["'=cmd|' /C calc'!A0"]
    assert rows[0]["detail"] == '{"metrics": ["a,b", "c\\"d"]}'
    assert datetime.fromisoformat(rows[0]["at"]).tzinfo is not None
    assert date.fromisoformat(rows[0]["at"][:10]) >= date(2026, 1, 1)


def test_the_platforms_people_are_not_an_organizations(place, administration):
    place.access.ensure_tenant(PLATFORM, "Platform")
    place.access.add_user(PLATFORM, "root@platform", display_name="Root", role=Role.SUPER_ADMIN)
    principal = place.access.principal(PLATFORM, "root@platform")
    with pytest.raises(AccessError, match="only an administrator"):
        Administration(place.home, place.access, principal, units=(), providers=())


def test_a_group_gives_units_that_exist_and_no_administration(administration):
    mine = administration()
    mine.set_group_right(GroupRight(group_name="Desk", role=Role.BILLING_STAFF, unit_ids=("lab",)))
    for role, units, problem in (
        (Role.BILLING_STAFF, ("nowhere",), "no service unit"),
        (Role.BILLING_STAFF, (), "at least one"),
        (Role.ORGANIZATION_ADMIN, (), "cannot give"),
        (Role.SUPER_ADMIN, (), "platform"),
    ):
        with pytest.raises(ConfigurationError, match=problem):
            mine.set_group_right(GroupRight(group_name="Desk", role=role, unit_ids=units))
    assert [(right.group_name, right.unit_ids) for right in mine.group_rights()] == [("Desk", ("lab",))]
    mine.remove_group_right("Desk")
    assert mine.group_rights() == ()
