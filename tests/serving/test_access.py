"""People, passwords, sessions and the audit log."""

import sqlite3
import time
from datetime import UTC, datetime, timedelta

import pytest

from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from serving.people import passwords
from serving.people import store as accessing
from serving.people.store import AccessStore, Role

PASSWORD = "correct horse battery"


@pytest.fixture
def home(tmp_path):
    return Home.at(tmp_path / "home")


@pytest.fixture
def store(home):
    store = AccessStore.open(home)
    store.ensure_tenant("harbor", "Harbor Health")
    store.ensure_tenant("mesa", "Mesa Verde Clinics")
    for tenant in ("harbor", "mesa"):
        store.add_user(tenant, "ann@x", display_name="Ann", role=Role.EXECUTIVE, password=PASSWORD + tenant)
    return store


def later(monkeypatch, by):
    """Moves the clock of the access store."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + by

    monkeypatch.setattr(accessing, "datetime", Clock)
    monkeypatch.setattr(passwords, "datetime", Clock)


# Signing in


def test_the_first_administrator_gets_a_password_once(store):
    password = store.ensure_admin("harbor")
    assert store.ensure_admin("harbor") is None
    admin = store.authenticate("harbor", "Admin@Harbor ", password)
    assert (admin.role, admin.email) == (Role.ORGANIZATION_ADMIN, "admin@harbor")
    assert store.must_change_password(admin)
    store.set_password("harbor", "admin@harbor", "a better password")
    assert not store.must_change_password(admin)
    with pytest.raises(AccessError):
        store.authenticate("harbor", "admin@harbor", password)


def test_the_same_person_in_two_tenants_has_two_passwords(store):
    assert store.authenticate("harbor", "ann@x", PASSWORD + "harbor").tenant_id == "harbor"
    with pytest.raises(AccessError):
        store.authenticate("mesa", "ann@x", PASSWORD + "harbor")


def test_an_unknown_user_and_a_wrong_password_look_the_same_and_take_as_long(store):
    messages, seconds = set(), []
    passwords._decoy()
    for user in ("ann@x", "nobody@x"):
        started = time.perf_counter()
        with pytest.raises(AccessError) as refused:
            store.authenticate("harbor", user, "wrong")
        seconds.append(time.perf_counter() - started)
        messages.add(str(refused.value))
    assert len(messages) == 1
    # A missing hash check would make one of them many times faster.
    assert max(seconds) < 5 * min(seconds)


def test_after_five_failures_even_the_right_password_waits(store, monkeypatch):
    for user in ("ann@x", "nobody@x"):
        for _ in range(5):
            with pytest.raises(AccessError):
                store.authenticate("harbor", user, "wrong")
        with pytest.raises(AccessError, match="Too many attempts"):
            store.authenticate("harbor", user, PASSWORD + "harbor")
    assert store.authenticate("mesa", "ann@x", PASSWORD + "mesa")
    later(monkeypatch, timedelta(minutes=16))
    assert store.authenticate("harbor", "ann@x", PASSWORD + "harbor")


def test_passwords_and_typed_user_names_are_not_in_the_database(home, store):
    with pytest.raises(AccessError):
        store.authenticate("harbor", "my-password-typed-here@x", "wrong")
    content = b"".join(path.read_bytes() for path in home.path.glob("access.sqlite*"))
    assert PASSWORD.encode() not in content
    assert b"my-password-typed-here" not in content
    assert b"$argon2id$" in content


@pytest.mark.parametrize("password", ["short", "ann-margaret"])
def test_weak_passwords_are_refused(store, password):
    store.add_user("harbor", "ann-margaret@x", display_name="A", role=Role.EXECUTIVE)
    with pytest.raises(ConfigurationError):
        store.set_password("harbor", "ann-margaret@x", password)


@pytest.mark.parametrize(
    ("email", "role"), [("ann@x", "executive"), ("no-at", "executive"), ("b@x", "king"), ("b@x", "super_admin")]
)
def test_people_that_cannot_be_are_refused(store, email, role):
    with pytest.raises(ConfigurationError):
        store.add_user("harbor", email, display_name="B", role=role)


# Sessions


def test_a_session_is_known_by_its_token_alone_and_kept_as_a_hash(home, store):
    principal = store.principal("harbor", "ann@x")
    token = store.create_session(principal)
    assert store.session(token) == principal
    assert store.session(token[:-1]) is None
    assert store.session("") is None
    assert token.encode() not in b"".join(path.read_bytes() for path in home.path.glob("access.sqlite*"))
    store.end_session(token)
    assert store.session(token) is None


def test_a_session_ends_when_idle_and_at_last_in_any_case(store, monkeypatch):
    principal = store.principal("harbor", "ann@x")
    idle, used = store.create_session(principal), store.create_session(principal)
    for minutes in range(20, 700, 20):
        later(monkeypatch, timedelta(minutes=minutes))
        assert store.session(used) == principal
    assert store.session(idle) is None
    later(monkeypatch, timedelta(hours=12, minutes=1))
    assert store.session(used) is None


def test_rights_are_those_of_this_moment(store):
    token = store.create_session(store.principal("harbor", "ann@x"))
    store.change_rights("harbor", "ann@x", role=Role.PROGRAM_MANAGER, unit_ids=["east"], actor="admin@harbor")
    now = store.session(token)
    assert (now.role, now.unit_ids) == (Role.PROGRAM_MANAGER, ("east",))
    store.change_rights("harbor", "ann@x", is_active=False, actor="admin@harbor")
    assert store.session(token) is None
    with pytest.raises(AccessError):
        store.authenticate("harbor", "ann@x", PASSWORD + "harbor")
    with pytest.raises(AccessError):
        store.principal("harbor", "ann@x")


def test_a_new_password_ends_the_sessions_of_its_owner_alone(store):
    mine = store.create_session(store.principal("harbor", "ann@x"))
    other = store.create_session(store.principal("mesa", "ann@x"))
    store.set_password("harbor", "ann@x", "quite another one")
    assert store.session(mine) is None
    assert store.session(other) is not None


# Audit


def test_sign_ins_and_changes_of_rights_are_audited(store):
    store.authenticate("harbor", "ann@x", PASSWORD + "harbor")
    with pytest.raises(AccessError):
        store.authenticate("harbor", "ann@x", "wrong")
    store.change_rights("harbor", "ann@x", unit_ids=["east"], actor="admin@harbor")
    store.set_module("harbor", "extracts", granted=False, actor="admin@harbor")
    rows = [(row.action, row.actor, row.result) for row in store.audit_rows("harbor")]
    assert rows[:4] == [
        ("module changed", "admin@harbor", "done"),
        ("rights changed", "admin@harbor", "done"),
        ("sign-in", "ann@x", "refused"),
        ("sign-in", "ann@x", "done"),
    ]
    assert all(row.tenant_id == "mesa" for row in store.audit_rows("mesa"))
    assert store.verify_audit().is_intact


def tamper(home, sql):
    """What somebody with the file in hands can do: drop the triggers, change what they like."""
    with sqlite3.connect(home.access) as connection:
        for trigger in ("audit_no_update", "audit_no_delete"):
            connection.execute(f"drop trigger {trigger}")
        connection.execute(sql)
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        "update audit set actor = 'somebody@else' where sequence = 3",
        "update audit set at = datetime(at, '-1 day') where sequence = 2",
        "update audit set detail = '{}' where sequence = 3",
        "delete from audit where sequence = 2",
        "delete from audit where sequence = (select max(sequence) from audit)",
        "delete from audit",
        "update audit_head set sequence = sequence - 1",
        "delete from audit_head",
        "insert into audit select 99, at, tenant_id, actor, action, scope_hash, detail, result, previous_mac, mac "
        "from audit where sequence = 1",
    ],
)
def test_a_changed_removed_or_added_row_is_found(home, store, sql):
    assert store.verify_audit().is_intact
    tamper(home, sql)
    check = store.verify_audit()
    assert not check.is_intact
    assert check.problem


def test_the_database_itself_refuses_to_change_audit_rows(home, store):
    with sqlite3.connect(home.access) as connection:
        for sql in ("update audit set actor = 'x'", "delete from audit"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                connection.execute(sql)
    connection.close()


def test_rows_written_from_many_threads_form_one_chain(store):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: store.audit("harbor", "ann@x", "look", detail={"n": number}), range(60)))
    check = store.verify_audit()
    assert check.is_intact
    assert len(store.audit_rows("harbor", action="look")) == 60
    assert store.audit_rows("harbor")[0].at <= datetime.now(UTC)


def test_policy_and_modules_say_what_the_tenant_may_use(store):
    before = store.policy("harbor")
    store.set_module("harbor", "payer_mix", enabled=False, actor="a")
    after = store.policy("harbor")
    assert before.modules - after.modules == {"payer_mix"}
    assert after.version > before.version
    assert store.policy("mesa").modules == before.modules
    with pytest.raises(ConfigurationError):
        store.set_module("harbor", "everything", enabled=True, actor="a")
    with pytest.raises(AccessError):
        store.policy("atlantis")
