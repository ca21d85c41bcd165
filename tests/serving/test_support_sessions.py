"""Support sessions: what an organization decides, what is recorded, and every way to data tried from within one."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from dashboards import served_home
from dashboards.data import Source
from dashboards.pages import ALL
from dashboards.reports import make
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.administration import Administration
from serving.content.desk import ContentDesk
from serving.extracts import extract
from serving.metering import metered
from serving.model import MetricQuery
from serving.organization_settings import seen_in, settings_of
from serving.people.api_tokens import ALLOWED
from serving.people.look_ups import check_may_look_up
from serving.people.principal import PLATFORM, Principal, Role
from serving.people.rights import ROLES, TENANT_ROLES
from serving.people.scope import Scope
from serving.people.store import AccessStore
from serving.people.support_sessions import (
    LONGEST_REASON,
    TIME_LIMITS,
    SupportPolicy,
    SupportSession,
    SupportState,
)
from serving.people.tables import SUPPORT_SESSION
from serving.platform import Platform
from serving.reader import open_reader
from serving.scope_files.unheld import remove_unheld
from serving.workbench import Bench, Stop
from tests.control_server import BOTH, home_with_people
from tests.serving.conftest import Place

ROOT, ADMIN, PASSWORD = "root@platform", "admin@harbor", "correct horse battery"


@pytest.fixture(params=BOTH)
def store(request: pytest.FixtureRequest, tmp_path: Any) -> AccessStore:
    """People in a file, and on a PostgreSQL server: two organizations and two platform administrators."""
    made = AccessStore.open(home_with_people(tmp_path, request.param, request))
    for tenant in ("harbor", "mesa", PLATFORM):
        made.ensure_tenant(tenant, tenant.title())
    add_people(made)
    return made


def add_people(store: AccessStore) -> None:
    for email in (ROOT, "other@platform"):
        store.add_user(
            PLATFORM, email, display_name="Root", role=Role.SUPER_ADMIN, password=PASSWORD, must_change=False
        )


def approved(store: AccessStore, tenant: str = "harbor", *, minutes: int = 30, by: str = ROOT) -> SupportSession:
    session = store.support_sessions.ask(tenant, reason="tiles are empty", minutes=minutes, by=by)
    store.support_sessions.decide(tenant, session.support_id, is_approved=True, actor=ADMIN)
    return session


def opened(store: AccessStore, tenant: str = "harbor") -> tuple[SupportSession, str]:
    """A session that runs, and the token of a browser in it."""
    session = approved(store, tenant)
    link = store.support_sessions.begin(tenant, session.support_id, by=ROOT)
    return session, store.support_sessions.open_link(link)


def state(store: AccessStore, session: SupportSession) -> SupportState:
    return next(
        item.state
        for item in store.support_sessions.of_tenant(session.tenant_id)
        if item.support_id == session.support_id
    )


def move(store: AccessStore, session: SupportSession, **times: datetime) -> None:
    """Sets times of a session, as if they had passed."""
    with store._engine.begin() as connection:
        mine = SUPPORT_SESSION.c.support_id == session.support_id
        connection.execute(update(SUPPORT_SESSION).where(mine).values(**times))


def actions(store: AccessStore, tenant: str = "harbor") -> list[tuple[str, str, str]]:
    rows = reversed(store.audit_rows(tenant))
    return [(row.action, row.actor, row.result) for row in rows if row.action.startswith("support")]


def test_a_session_is_asked_for_approved_opened_and_ended_and_each_step_is_recorded(store: AccessStore) -> None:
    session = store.support_sessions.ask("harbor", reason="  tiles  are empty ", minutes=60, by=ROOT)
    assert (session.state, session.reason, session.minutes) == (SupportState.WAITING, "tiles are empty", 60)
    with pytest.raises(AccessError, match="not approved"):
        store.support_sessions.begin("harbor", session.support_id, by=ROOT)
    store.support_sessions.decide("harbor", session.support_id, is_approved=True, actor=ADMIN)
    token = store.support_sessions.open_link(store.support_sessions.begin("harbor", session.support_id, by=ROOT))
    principal = store.session(token)
    assert principal == Principal(
        tenant_id="harbor", email=f"{ROOT} (support)", display_name="Root (support)", role=Role.SUPPORT
    )
    (running,) = store.support_sessions.open_of_tenant("harbor")
    assert running.state is SupportState.RUNNING
    assert running.until is not None
    assert running.began_at is not None
    assert running.until - running.began_at == timedelta(minutes=60)
    store.support_sessions.end("harbor", session.support_id, actor=ADMIN)
    assert store.session(token) is None
    assert actions(store) == [
        ("support asked", ROOT, "done"),
        ("support approved", ADMIN, "done"),
        ("support began", ROOT, "done"),
        ("support ended", ADMIN, "done"),
    ]
    assert store.support_sessions.open_of_tenant("harbor") == ()
    assert store.verify_audit().is_intact


@pytest.mark.parametrize("reason", ["", "  ", "x" * (LONGEST_REASON + 1), "a\x1b[2Jb"])
def test_a_reason_is_a_sentence(store: AccessStore, reason: str) -> None:
    with pytest.raises(ConfigurationError, match="write a reason"):
        store.support_sessions.ask("harbor", reason=reason, minutes=30, by=ROOT)
    assert store.support_sessions.of_tenant("harbor") == ()


@pytest.mark.parametrize("minutes", [-30, 0, 1, 241, 10_000])
def test_a_time_limit_is_one_of_the_list(store: AccessStore, minutes: int) -> None:
    assert max(TIME_LIMITS) <= 240
    with pytest.raises(ConfigurationError, match="time limit"):
        store.support_sessions.ask("harbor", reason="why", minutes=minutes, by=ROOT)


def test_an_organization_refuses_and_what_runs_or_waits_ends(store: AccessStore) -> None:
    session, token = opened(store)
    waiting = store.support_sessions.ask("harbor", reason="another", minutes=30, by="other@platform")
    ready = approved(store, "mesa", by="other@platform")
    store.support_sessions.set_policy("harbor", SupportPolicy.REFUSED, actor=ADMIN)
    assert store.session(token) is None
    assert (state(store, session), state(store, waiting)) == (SupportState.ENDED, SupportState.REFUSED)
    assert state(store, ready) is SupportState.READY
    with pytest.raises(AccessError, match="refuses"):
        store.support_sessions.ask("harbor", reason="why", minutes=30, by=ROOT)
    assert actions(store)[-1] == ("support asked", ROOT, "refused")
    # Allowed again later, what ended or was refused stays so.
    store.support_sessions.set_policy("harbor", SupportPolicy.ALLOWED, actor=ADMIN)
    assert (state(store, session), state(store, waiting)) == (SupportState.ENDED, SupportState.REFUSED)
    for each in (session, waiting):
        with pytest.raises(AccessError):
            store.support_sessions.begin("harbor", each.support_id, by=each.asked_by)


def test_where_sessions_are_allowed_one_begins_at_once_and_never_after_the_rule_was_tightened(
    store: AccessStore,
) -> None:
    store.support_sessions.set_policy("harbor", SupportPolicy.ALLOWED, actor=ADMIN)
    session = store.support_sessions.ask("harbor", reason="why", minutes=15, by=ROOT)
    assert session.state is SupportState.READY
    store.support_sessions.set_policy("harbor", SupportPolicy.AFTER_APPROVAL, actor=ADMIN)
    with pytest.raises(AccessError):
        store.support_sessions.begin("harbor", session.support_id, by=ROOT)
    store.support_sessions.set_policy("harbor", SupportPolicy.ALLOWED, actor=ADMIN)
    assert store.support_sessions.begin("harbor", session.support_id, by=ROOT)


def test_the_time_limit_ends_a_session_and_the_end_is_recorded_at_that_time(store: AccessStore) -> None:
    session, token = opened(store)
    over = datetime.now(UTC) - timedelta(minutes=5)
    move(store, session, began_at=over - timedelta(minutes=30), until=over)
    assert store.session(token) is None
    (shown,) = store.support_sessions.of_tenant("harbor")
    assert (shown.state, shown.ended_by) == (SupportState.ENDED, "the time limit")
    assert shown.ended_at == over
    assert actions(store)[-1] == ("support ended", "system", "done")
    for _ in range(2):
        store.support_sessions.of_tenant("harbor")
    assert [name for name, *_ in actions(store)].count("support ended") == 1
    with pytest.raises(AccessError):
        store.support_sessions.begin("harbor", session.support_id, by=ROOT)


def test_a_session_that_does_not_begin_within_a_day_lapses(store: AccessStore) -> None:
    session = approved(store)
    move(store, session, asked_at=datetime.now(UTC) - timedelta(hours=24, seconds=1))
    assert state(store, session) is SupportState.LAPSED
    with pytest.raises(AccessError):
        store.support_sessions.begin("harbor", session.support_id, by=ROOT)
    # It stands in nobody's way.
    assert store.support_sessions.ask("harbor", reason="again", minutes=30, by=ROOT).state is SupportState.WAITING


def test_one_person_has_one_open_session_in_an_organization(store: AccessStore) -> None:
    session, _ = opened(store)
    with pytest.raises(ConfigurationError, match="end it first"):
        store.support_sessions.ask("harbor", reason="why", minutes=30, by=ROOT)
    assert store.support_sessions.ask("mesa", reason="why", minutes=30, by=ROOT)
    store.support_sessions.end("harbor", session.support_id, actor=ROOT)
    assert store.support_sessions.ask("harbor", reason="why", minutes=30, by=ROOT)


def test_a_link_opens_one_browser_for_two_minutes(store: AccessStore) -> None:
    session = approved(store)
    first, second = (store.support_sessions.begin("harbor", session.support_id, by=ROOT) for _ in range(2))
    for link in ("", "x", first, session.support_id):
        with pytest.raises(AccessError, match="used or is too old"):
            store.support_sessions.open_link(link)
    assert store.session(store.support_sessions.open_link(second)) is not None
    with pytest.raises(AccessError):
        store.support_sessions.open_link(second)
    late = store.support_sessions.begin("harbor", session.support_id, by=ROOT)
    move(store, session, ticket_until=datetime.now(UTC) - timedelta(seconds=1))
    assert store.support_sessions.tenant_of_link(late) is None
    with pytest.raises(AccessError):
        store.support_sessions.open_link(late)


def test_nobody_acts_on_the_session_of_another_organization_or_opens_that_of_another_person(store: AccessStore) -> None:
    session = approved(store)
    acts: list[Callable[[], object]] = [
        lambda: store.support_sessions.begin("mesa", session.support_id, by=ROOT),
        lambda: store.support_sessions.begin("harbor", session.support_id, by="other@platform"),
        lambda: store.support_sessions.begin("harbor", session.support_id, by=ADMIN),
        lambda: store.support_sessions.end("mesa", session.support_id, actor="admin@mesa"),
        lambda: store.support_sessions.decide("mesa", session.support_id, is_approved=False, actor="admin@mesa"),
    ]
    for act in acts:
        with pytest.raises(AccessError):
            act()
    assert state(store, session) is SupportState.READY
    assert store.support_sessions.of_tenant("mesa") == ()


@pytest.mark.parametrize("change", ["locked", "new password", "signed out everywhere"])
def test_what_ends_the_sign_in_of_the_administrator_ends_the_look(store: AccessStore, change: str) -> None:
    session, token = opened(store)
    root = store.principal(PLATFORM, ROOT)
    match change:
        case "locked":
            store.change_rights(PLATFORM, ROOT, is_active=False, actor="other@platform")
        case "new password":
            store.begin_reset(PLATFORM, ROOT, actor="other@platform")
        case _:
            store.end_sessions(root)
    assert store.session(token) is None
    if change == "locked":
        assert store.support_sessions.principals("harbor") == ()
        link = store.support_sessions.begin("harbor", session.support_id, by=ROOT)
        with pytest.raises(AccessError):
            store.support_sessions.open_link(link)


def test_signing_out_in_the_pages_ends_the_session(store: AccessStore) -> None:
    session, token = opened(store)
    _, own = session, store.create_session(store.principal(PLATFORM, ROOT))
    store.end_session(token)
    assert state(store, session) is SupportState.ENDED
    # The console stays open.
    assert store.session(own) is not None


def test_nobody_is_given_the_role_or_has_the_name(store: AccessStore) -> None:
    assert Role.SUPPORT not in TENANT_ROLES
    for tenant in ("harbor", PLATFORM):
        with pytest.raises(ConfigurationError, match="nobody is given the role"):
            store.add_user(tenant, "s@x", display_name="s", role=Role.SUPPORT)
    store.add_user("harbor", "s@x", display_name="s", role=Role.EXECUTIVE, password=PASSWORD)
    with pytest.raises(ConfigurationError, match="nobody is given the role"):
        store.change_rights("harbor", "s@x", role="support", actor=ADMIN)
    with pytest.raises(ConfigurationError, match="not a user name"):
        store.add_user("harbor", f"{ROOT} (support)", display_name="s", role=Role.EXECUTIVE)


def test_a_person_of_the_support_has_no_account_and_is_not_metered(store: AccessStore) -> None:
    session, _ = opened(store)
    helper = Principal(tenant_id="harbor", email=session.actor, display_name="", role=Role.SUPPORT)
    with pytest.raises(AccessError):
        store.principal("harbor", session.actor)
    assert session.actor not in {person.email for person in store.everybody("harbor")}
    with pytest.raises(AccessError, match="makes no tokens"):
        store.api_tokens.create(helper, name="mine", allowed=ALLOWED, days=1, actor=session.actor)
    store.audit("harbor", session.actor, "page", detail={"page": "overview"})
    today = datetime.now(UTC).date()
    assert {row.tenant_id: row.people for row in metered(store, today, today)}["harbor"] == 0


# What is behind the pages, in a published home.


@pytest.fixture
def running(place: Place) -> Principal:
    """A platform administrator in a support session of harbor."""
    place.access.ensure_tenant(PLATFORM, "Platform")
    add_people(place.access)
    _, token = opened(place.access)
    principal = place.access.session(token)
    assert principal is not None
    return principal


def test_figures_are_seen_and_every_other_way_is_refused(
    place: Place, running: Principal, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(served_home, "home", lambda: place.home)
    monkeypatch.setattr(served_home, "access", lambda: place.access)
    reader = open_reader(place.home, running)
    source = Source(reader, running)
    # The positive controls.
    executive = open_reader(place.home, place.access.principal("harbor", "ceo@harbor"))
    names = {metric.name for metric in reader.metrics()}
    assert {"visits", "billed_amount", "referrals"} & names
    for name in ("visits", "billed_amount"):
        asked = MetricQuery(metrics=[name])
        assert reader.query(asked).equals(executive.query(asked))
    assert reader.health()
    assert {page.key for page in ALL if page.is_held_by(source)} <= set(ROLES[Role.SUPPORT].pages)
    tree = list(reader.tree()["service_unit_id"])
    view = None
    refused: dict[str, Callable[[], object]] = {
        "drill": lambda: reader.drill("visits"),
        "export": lambda: reader.export_rows("visits", file_format="csv"),
        "source": lambda: reader.sources("fct_visits", "x"),
        "extract": lambda: extract(place.home, running, tmp_path / "extract.duckdb"),
        "SQL": lambda: Bench(place.home, place.access, running, reader).run("select 1", Stop()),
        "file": lambda: make.make(source, "overview", view, "pdf"),  # type: ignore[arg-type]
        "file taken later": source.opened_later(),
        "administration": lambda: Administration(place.home, place.access, running, units=tree, providers=[]),
        "console": lambda: Platform(place.home, place.access, running),
        "shared content": lambda: ContentDesk(place.home, place.access, running, reader),
        "identity": lambda: check_may_look_up(place.access, running, breaks_glass=True),
        "today": lambda: reader.today(datetime.now(UTC)),
        "target": lambda: reader.targets.set("visits", tree[0], datetime.now(UTC).date(), None),
        "annotations": reader.annotations.standing,
    }
    for way, act in refused.items():
        with pytest.raises(AccessError):
            act()
        assert way
    assert reader.worklists.names == ()
    shape = "select table_name, column_name from duckdb_columns() where not internal order by all"
    # The file behind the figures has the form of an executive's, which holds no patient.
    assert reader._metrics.data.frame(shape).equals(executive._metrics.data.frame(shape))


def test_settings_are_shown_while_the_session_runs_and_to_nobody_else(place: Place, running: Principal) -> None:
    settings = settings_of(place.access, running)
    assert "admin@harbor" in {person.email for person in settings.people}
    others = [place.access.principal("harbor", f"{name}@harbor") for name in ("admin", "ceo")]
    others += [replace(running, tenant_id="mesa"), replace(running, email="other@platform (support)")]
    for person in others:
        with pytest.raises(AccessError):
            settings_of(place.access, person)
    (session,) = place.access.support_sessions.open_of_tenant("harbor")
    place.access.support_sessions.end("harbor", session.support_id, actor=ADMIN)
    with pytest.raises(AccessError):
        settings_of(place.access, running)
    rows = place.access.audit_rows("harbor", action="settings", actor=running.email)
    assert [row.result for row in reversed(rows)] == ["done", "refused"]


def test_small_cells_stay_hidden(place: Place, running: Principal) -> None:
    policy = place.access.policy("harbor")
    strict = replace(policy, deidentification=replace(policy.deidentification, rule="safe_harbor", smallest_cell=11))
    assert Scope.of(running, strict).smallest_cell == 11
    assert Scope.of(running, strict).row_tables_allowed is False


def test_the_administrator_reads_what_was_seen_and_the_scope_is_removed_with_the_session(
    place: Place, running: Principal
) -> None:
    reader = open_reader(place.home, running)
    reader.note("page", {"page": "overview"}, "done")
    reader.note("page", {"page": "overview"}, "done")
    reader.note("page", {"page": "sql"}, "refused")
    reader.query(MetricQuery(metrics=["visits"]))
    administration = Administration(
        place.home, place.access, place.access.principal("harbor", ADMIN), units=[], providers=[]
    )
    ((session, seen),) = administration.support_sessions()
    assert (seen.pages, seen.metrics, seen.refused) == ({"overview": 2}, ("visits",), 1)
    assert seen_in(place.access, session) == seen
    files = {file.stem for file in place.home.path.rglob("*.duckdb") if file.parent.name == "by_scope"}
    assert reader.scope.hash in files
    remove_unheld(place.home, "harbor")
    assert list(place.home.path.rglob(f"{reader.scope.hash}.duckdb"))
    administration.end_support(session.support_id)
    assert not list(place.home.path.rglob(f"{reader.scope.hash}.duckdb"))
    with pytest.raises(AccessError):
        administration.end_support(session.support_id)


def test_a_restored_home_has_no_running_session(place: Place, running: Principal) -> None:
    from serving.people.restored import settle

    assert place.access.support_sessions.principals("harbor") == (running,)
    settle(place.home, tenant=None, actor="operator", detail={})
    store = AccessStore.open(Home.at(place.home.path))
    (session,) = store.support_sessions.of_tenant("harbor")
    assert (session.state, session.ended_by) == (SupportState.ENDED, "the restore")
