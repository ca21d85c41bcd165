"""People, passwords, sessions and the audit log."""

import hashlib
import hmac
import json
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import event

from foundation import alembic
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from serving.people import account_store, credential_store, database, passwords, sessions
from serving.people.audit_anchor import anchor_of
from serving.people.caller import Caller, set_caller
from serving.people.principal import Role
from serving.people.second_factors import Step
from serving.people.store import AccessStore
from serving.people.tables import ACCESS
from tests.control_server import BOTH, IN_A_FILE, home_with_people

PASSWORD = "correct horse battery"
# The modules that read the clock.
CLOCKED = (account_store, credential_store, passwords, sessions)


@pytest.fixture(params=BOTH)
def kept_in(request):
    """Where people are kept."""
    return request.param


@pytest.fixture
def home(tmp_path, kept_in, request):
    return home_with_people(tmp_path, kept_in, request)


@pytest.fixture
def store(home):
    store = AccessStore.open(home)
    store.ensure_tenant("harbor", "Harbor Health")
    store.ensure_tenant("mesa", "Mesa Verde Clinics")
    for tenant in ("harbor", "mesa"):
        own = {"password": PASSWORD + tenant, "must_change": False}
        store.add_user(tenant, "ann@x", display_name="Ann", role=Role.EXECUTIVE, **own)
    return store


def later(monkeypatch, by):
    """Moves the clock of the access store."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + by

    for module in CLOCKED:
        monkeypatch.setattr(module, "datetime", Clock)


def still(monkeypatch, by=timedelta(0)):
    """Stops the clock of the access store, so that a slow machine waits no less than a fast one."""
    moment = datetime(2026, 11, 30, tzinfo=UTC) + by

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return moment

    for module in CLOCKED:
        monkeypatch.setattr(module, "datetime", Clock)


# Signing in


def test_the_first_administrator_gets_a_password_once(store):
    password = store.ensure_admin("harbor")
    assert store.ensure_admin("harbor") is None
    admin = store.authenticate("harbor", "Admin@Harbor ", password)
    assert (admin.role, admin.email) == (Role.ORGANIZATION_ADMIN, "admin@harbor")
    assert store.sign_in(store.create_session(admin)).step is Step.PASSWORD
    assert store.session(store.create_session(admin)) is None
    store.set_password("harbor", "admin@harbor", "a better password")
    assert store.session(store.create_session(admin)) == admin
    with pytest.raises(AccessError):
        store.authenticate("harbor", "admin@harbor", password)


def test_the_same_person_in_two_tenants_has_two_passwords(store):
    assert store.authenticate("harbor", "ann@x", PASSWORD + "harbor").tenant_id == "harbor"
    with pytest.raises(AccessError):
        store.authenticate("mesa", "ann@x", PASSWORD + "harbor")


def test_an_unknown_user_and_a_wrong_password_look_the_same_and_take_as_long(store):
    messages, seconds = set(), []
    passwords.no_password()
    for user in ("ann@x", "nobody@x"):
        started = time.perf_counter()
        with pytest.raises(AccessError) as refused:
            store.authenticate("harbor", user, "wrong")
        seconds.append(time.perf_counter() - started)
        messages.add(str(refused.value))
    assert len(messages) == 1
    # A missing hash check would make one of them many times faster.
    assert max(seconds) < 5 * min(seconds)


def test_after_three_failures_even_the_right_password_waits(store, monkeypatch):
    still(monkeypatch)
    for user in ("ann@x", "nobody@x"):
        for _ in range(3):
            with pytest.raises(AccessError, match="wrong"):
                store.authenticate("harbor", user, "wrong")
        with pytest.raises(AccessError, match="Too many attempts"):
            store.authenticate("harbor", user, PASSWORD + "harbor")
    assert store.authenticate("mesa", "ann@x", PASSWORD + "mesa")
    still(monkeypatch, timedelta(seconds=2))
    assert store.authenticate("harbor", "ann@x", PASSWORD + "harbor")


def test_people_are_read_with_the_same_number_of_questions_for_any_number_of_people(store):
    questions = []
    event.listen(store._engine, "before_cursor_execute", lambda *arguments: questions.append(arguments[2]))
    assert [(person.email, person.unit_ids) for person in store.users("harbor")] == [("ann@x", ())]
    of_one_person = len(questions)
    for number in range(5):
        store.add_user("harbor", f"p{number}@x", display_name="P", role=Role.EXECUTIVE, unit_ids=[f"U{number}", "A"])
    questions.clear()
    assert [person.unit_ids for person in store.users("harbor")] == [(), *(("A", f"U{n}") for n in range(5))]
    assert len(questions) == of_one_person


@IN_A_FILE
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


@IN_A_FILE
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


def test_a_change_of_rights_ends_sessions_for_good(store):
    token = store.create_session(store.principal("harbor", "ann@x"))
    changed = store.change_rights("harbor", "ann@x", role=Role.PROGRAM_MANAGER, unit_ids=["east"], actor="admin@harbor")
    assert (changed.role, changed.unit_ids) == (Role.PROGRAM_MANAGER, ("east",))
    assert store.session(token) is None
    token = store.create_session(changed)
    store.change_rights("harbor", "ann@x", is_active=False, actor="admin@harbor")
    assert store.session(token) is None
    with pytest.raises(AccessError):
        store.authenticate("harbor", "ann@x", PASSWORD + "harbor")
    with pytest.raises(AccessError):
        store.principal("harbor", "ann@x")
    store.change_rights("harbor", "ann@x", is_active=True, actor="admin@harbor")
    assert store.session(token) is None
    assert store.session(store.create_session(store.principal("harbor", "ann@x"))) is not None


def test_signing_out_everywhere_ends_every_session_of_one_person(store):
    ann = store.principal("harbor", "ann@x")
    mine = [store.create_session(ann, address="192.0.2.1", browser="Firefox/1") for _ in range(3)]
    other = store.create_session(store.principal("mesa", "ann@x"))
    assert {item.address for item in store.open_sessions(ann)} == {"192.0.2.1"}
    assert len(store.open_sessions(ann)) == 3
    assert store.end_sessions(ann) == 3
    assert [store.session(token) for token in mine] == [None] * 3
    assert store.session(other) is not None


def test_a_one_time_password_ends_and_cannot_be_kept(store, monkeypatch):
    password = store.add_user("harbor", "new@x", display_name="New", role=Role.EXECUTIVE)
    with pytest.raises(ConfigurationError, match="one-time password cannot be kept"):
        store.set_password("harbor", "new@x", password)
    assert store.authenticate("harbor", "new@x", password).email == "new@x"
    later(monkeypatch, timedelta(days=3, minutes=1))
    with pytest.raises(AccessError):
        store.authenticate("harbor", "new@x", password)


def test_a_link_to_choose_a_password_works_once_and_for_a_day(store, monkeypatch):
    session = store.create_session(store.principal("harbor", "ann@x"))
    older = store.begin_reset("harbor", "ann@x", actor="admin@harbor")
    token = store.begin_reset("harbor", "ann@x", actor="admin@harbor")
    assert store.session(session) is None
    assert store.person_of_reset(older) is None
    assert store.person_of_reset("") is None
    assert store.person_of_reset(token).email == "ann@x"
    store.set_password("harbor", "ann@x", "quite another long one")
    assert store.person_of_reset(token) is None
    late = store.begin_reset("harbor", "ann@x", actor="admin@harbor")
    later(monkeypatch, timedelta(hours=24, minutes=1))
    assert store.person_of_reset(late) is None


@pytest.mark.parametrize(
    "weak",
    ["password1234", "123456789012", "aaaaaaaaaaaa", "qwertyuiopas", "harbor123456", "            ", "clinicmart12"],
)
def test_a_password_that_is_easy_to_guess_is_refused(store, weak):
    with pytest.raises(ConfigurationError, match="easy to guess"):
        store.set_password("harbor", "ann@x", weak)


# Guessing


def test_parallel_guesses_see_each_other(store, monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    still(monkeypatch)
    checked = []
    matches = passwords.matches
    monkeypatch.setattr(passwords, "matches", lambda *given: checked.append(1) or matches(*given))

    def guess(number):
        with pytest.raises(AccessError):
            store.authenticate("harbor", "ann@x", f"wrong {number}", address="192.0.2.7")

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(guess, range(60)))
    assert len(checked) == 3


def test_waits_grow_for_who_guesses(store, monkeypatch):
    waits = []
    for minutes in range(0, 40, 4):
        still(monkeypatch, timedelta(minutes=minutes))
        with pytest.raises(AccessError) as refused:
            store.authenticate("harbor", "ann@x", "wrong", address="192.0.2.7")
        waits.append(str(refused.value))
    still(monkeypatch, timedelta(minutes=36, seconds=1))
    with pytest.raises(AccessError, match="Too many attempts"):
        store.authenticate("harbor", "ann@x", "wrong", address="192.0.2.7")
    assert waits[:3] == [credential_store.REFUSED] * 3


def test_one_address_that_tries_many_names_must_wait(store, monkeypatch):
    still(monkeypatch)
    for number in range(20):
        with pytest.raises(AccessError, match="wrong"):
            store.authenticate("harbor", f"name{number}@x", "wrong", address="192.0.2.7")
    with pytest.raises(AccessError, match="Too many attempts"):
        store.authenticate("harbor", "name21@x", "wrong", address="192.0.2.7")
    assert store.authenticate("harbor", "ann@x", PASSWORD + "harbor", address="192.0.2.8")


def test_strangers_cannot_lock_the_owner_out(store, monkeypatch):
    mark = store.browser_mark(store.principal("harbor", "ann@x"))
    for number in range(30):
        still(monkeypatch, timedelta(seconds=31 * number))
        with pytest.raises(AccessError):
            store.authenticate("harbor", "ann@x", "wrong", address=f"198.51.100.{number}")
    # In a browser that signed in before, at once; in a new one after half a minute at most.
    assert store.authenticate("harbor", "ann@x", PASSWORD + "harbor", address="192.0.2.1", browser_mark=mark)
    with pytest.raises(AccessError):
        store.authenticate("harbor", "ann@x", "wrong", address="198.51.100.99")
    still(monkeypatch, timedelta(seconds=31 * 32))
    assert store.authenticate("harbor", "ann@x", PASSWORD + "harbor", address="192.0.2.2")


def test_the_mark_of_a_browser_is_good_for_one_account(store):
    ann, other = store.principal("harbor", "ann@x"), store.principal("mesa", "ann@x")
    assert store.browser_mark(ann) != store.browser_mark(other)
    # Anybody may send anything as the mark.
    assert store.authenticate("harbor", "ann@x", PASSWORD + "harbor", browser_mark="é\ud800") == ann


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


@IN_A_FILE
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
        "insert into audit select 99, at, tenant_id, actor, action, scope_hash, detail, result, channel, address, session, "
        "os_user, previous_mac, mac from audit where sequence = 1",
        "update audit set os_user = 'somebody' where sequence = 2",
        "update audit set channel = 'page' where sequence = 2",
    ],
)
def test_a_changed_removed_or_added_row_is_found(home, store, sql):
    assert store.verify_audit().is_intact
    tamper(home, sql)
    check = store.verify_audit()
    assert not check.is_intact
    assert check.problem


@IN_A_FILE
def test_an_emptied_log_and_an_old_copy_contradict_the_heads_outside(home, store):
    with sqlite3.connect(home.access) as source, sqlite3.connect(home.path / "old.sqlite") as copy:
        source.backup(copy)
    store.audit("harbor", "ann@x", "look")
    for sql in ("delete from audit; delete from audit_head", "drop table audit; drop table audit_head", None):
        with sqlite3.connect(home.access) as now, sqlite3.connect(home.path / "now.sqlite") as kept:
            now.backup(kept)
        if sql is None:
            with sqlite3.connect(home.path / "old.sqlite") as old, sqlite3.connect(home.access) as now:
                old.backup(now)
        else:
            tamper_all(home, sql)
        check = store.verify_audit()
        assert not check.is_intact, sql
        assert store.check_audit_anchor(), sql
        with sqlite3.connect(home.path / "now.sqlite") as kept, sqlite3.connect(home.access) as now:
            kept.backup(now)
        assert store.verify_audit().is_intact
        assert store.check_audit_anchor() == ""


def tamper_all(home, script):
    with sqlite3.connect(home.access) as connection:
        for trigger in ("audit_no_update", "audit_no_delete"):
            connection.execute(f"drop trigger if exists {trigger}")
        connection.executescript(script)
    connection.close()


def test_a_forged_or_missing_file_of_heads_is_noticed(home, store):
    file = anchor_of(home)
    text = file.read_text()
    file.write_text("".join(line[:-3] + "00\n" for line in text.splitlines()))
    assert not store.verify_audit().is_intact
    file.unlink()
    assert not store.verify_audit().is_intact
    file.write_text(text)
    assert store.verify_audit().is_intact


def test_rows_name_the_caller(store):
    set_caller(Caller(channel="command line", os_user="deb"))
    store.audit("harbor", "ann@x", "look")
    set_caller(Caller())
    row = store.audit_rows("harbor", action="look")[0]
    assert (row.channel, row.os_user, row.address) == ("command line", "deb", "")


# Databases of other releases


FIRST_FORM = {
    "tenant": "tenant_id varchar primary key not null, name varchar, policy_version integer, created_at datetime",
    "module": "tenant_id varchar, module varchar, is_granted boolean, is_enabled boolean, primary key (tenant_id, module)",
    "user": "tenant_id varchar, email varchar, display_name varchar, role varchar, provider_id varchar, password_hash varchar, "
    "must_change_password boolean, is_active boolean, created_at datetime, primary key (tenant_id, email)",
    "user_unit": "tenant_id varchar, email varchar, service_unit_id varchar, primary key (tenant_id, email, service_unit_id)",
    "session": "token_hash varchar primary key, tenant_id varchar, email varchar, created_at datetime, last_seen_at datetime",
    "sign_in_failure": "id integer primary key, subject varchar, failed_at datetime",
    "audit": "sequence integer primary key, at datetime, tenant_id varchar, actor varchar, action varchar, scope_hash varchar, "
    "detail varchar, result varchar, previous_mac varchar, mac varchar",
    "audit_head": "id integer primary key, sequence integer, mac varchar",
}


def an_older_database(home, key):
    """What the release before the numbers wrote, with a row of its audit."""
    row = {
        "sequence": 1, "at": datetime(2026, 11, 1, tzinfo=UTC), "tenant_id": "harbor", "actor": "system", "action": "tenant created",
        "scope_hash": "", "detail": "{}", "result": "done", "previous_mac": "0" * 64,
    }  # fmt: skip
    signed = [value.isoformat() if isinstance(value, datetime) else value for value in row.values()]
    mac = hmac.new(key, json.dumps(signed).encode(), hashlib.sha256).hexdigest()
    head = hmac.new(key, f"head/1/{mac}".encode(), hashlib.sha256).hexdigest()
    with sqlite3.connect(home.access) as connection:
        for name, columns in FIRST_FORM.items():
            connection.execute(f"create table {name} ({columns})")
        connection.execute("insert into tenant values ('harbor', 'Harbor Health', 1, '2026-11-01 00:00:00')")
        connection.execute(
            "insert into user values ('harbor', 'ann@x', 'Ann', 'executive', null, ?, 0, 1, '2026-11-01 00:00:00')",
            (passwords.hashed(PASSWORD),),
        )
        connection.execute(
            "insert into audit values (1, '2026-11-01 00:00:00.000000', 'harbor', 'system', 'tenant created', '', '{}', 'done', ?, ?)",
            ("0" * 64, mac),
        )
        connection.execute("insert into audit_head values (1, 1, ?)", (head,))
    connection.close()


@IN_A_FILE
def test_an_older_database_is_brought_up_to_date_and_keeps_everything(home):
    an_older_database(home, Keys.of(home).derive("audit"))
    store = AccessStore.open(home)
    assert store.verify_audit().is_intact
    assert store.authenticate("harbor", "ann@x", PASSWORD).role == Role.EXECUTIVE
    assert store.verify_audit().rows == 2
    assert store.audit_rows("harbor")[-1].channel == ""
    (copy,) = home.access.parent.glob("access.before-*.sqlite")
    with sqlite3.connect(copy) as connection:
        assert connection.execute("select count(*) from audit").fetchone() == (1,)


@IN_A_FILE
def test_a_database_of_a_later_release_is_refused_in_a_sentence(home):
    AccessStore.open(home)
    with sqlite3.connect(home.access) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()
    database._engine.cache_clear()
    with pytest.raises(ConfigurationError, match="later release"):
        AccessStore.open(home)


def test_the_newest_step_is_the_one_that_new_databases_have(tmp_path):
    """A database made new and one brought up to date have the same columns, and Alembic's head is the number we note."""
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(alembic.__file__).parent))
    config.set_main_option("version_locations", str(ACCESS.steps))
    config.set_main_option("path_separator", "newline")
    assert ScriptDirectory.from_config(config).get_current_head() == ACCESS.newest
    columns = []
    for number, home in enumerate((Home.at(tmp_path / "new"), Home.at(tmp_path / "old"))):
        if number:
            an_older_database(home, Keys.of(home).derive("audit"))
        AccessStore.open(home)
        with sqlite3.connect(home.access) as connection:
            names = [row[0] for row in connection.execute("select name from sqlite_master where type = 'table'")]
            columns.append(
                {name: {row[1] for row in connection.execute(f"pragma table_info({name})")} for name in names}
            )
    assert columns[0] == columns[1]


@IN_A_FILE
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
