"""Authenticator apps and recovery codes: what is taken, how often, and what no path leads around."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import AccessError, ConfigurationError
from serving.people import passwords, second_factors, sessions
from serving.people.principal import Role
from serving.people.sealed import seal, unseal
from serving.people.second_factors import MOST_FAILURES, Step
from serving.people.store import AccessStore
from tests.control_server import BOTH, IN_A_FILE, home_with_people

PASSWORD = "correct horse battery 9"
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


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
    for email in ("ann@x", "bob@x"):
        own = {"password": PASSWORD, "must_change": False}
        store.add_user("harbor", email, display_name=email, role=Role.EXECUTIVE, **own)
    return store


@pytest.fixture
def clock(monkeypatch):
    """`clock(minutes=1)`: stops the time that long after noon."""

    def stop(**later):
        moment = NOON + timedelta(**later)

        class Clock(datetime):
            @classmethod
            def now(cls, tz=None):
                return moment

        for module in (passwords, second_factors, sessions):
            monkeypatch.setattr(module, "datetime", Clock)
        return moment

    stop()
    return stop


def enrolled(store, moment, email="ann@x"):
    """The app of a person who set it up at a moment, the new session, and the recovery codes."""
    person = store.principal("harbor", email)
    app = pyotp.TOTP(store.offer_second_factor(person))
    made = store.enrol_second_factor(store.create_session(person), PASSWORD, app.at(moment), address="192.0.2.1")
    return app, made.session_token, made.recovery_codes


def begun(store, email="ann@x"):
    """The token of a session that has the password and waits for a code."""
    return store.create_session(store.principal("harbor", email))


def test_a_person_with_an_app_sees_nothing_before_a_code(store, clock):
    app, session, _ = enrolled(store, clock())
    assert store.session(session) == store.principal("harbor", "ann@x")
    token = begun(store)
    assert (store.session(token), store.sign_in(token).step) == (None, Step.CODE)
    passed = store.pass_second_factor(token, app.at(clock(minutes=1)))
    assert store.session(passed).email == "ann@x"
    # The session of the password alone is not the one that opens pages.
    assert passed != token
    assert store.sign_in(token) is None


def test_a_code_is_taken_once_also_by_two_at_the_same_time(store, clock):
    app, *_ = enrolled(store, clock())
    code = app.at(clock(minutes=1))
    tokens = [begun(store) for _ in range(2)]

    def attempt(token):
        try:
            return store.pass_second_factor(token, code, address=token[:8])
        except AccessError:
            return None

    with ThreadPoolExecutor(2) as pool:
        assert sorted(value is None for value in pool.map(attempt, tokens)) == [False, True]
    with pytest.raises(AccessError, match="used already"):
        store.pass_second_factor(begun(store), code)


def test_the_code_that_set_the_app_up_signs_nobody_in(store, clock):
    app, *_ = enrolled(store, clock())
    with pytest.raises(AccessError, match="used already"):
        store.pass_second_factor(begun(store), app.at(NOON))


@pytest.mark.parametrize(("steps", "is_taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_differ_by_one_step(store, clock, steps, is_taken):
    app, *_ = enrolled(store, clock())
    code = app.at(clock(minutes=10) + timedelta(seconds=30 * steps))
    if is_taken:
        assert store.session(store.pass_second_factor(begun(store), code)) is not None
    else:
        with pytest.raises(AccessError):
            store.pass_second_factor(begun(store), code)


def test_an_earlier_code_is_refused_after_a_later_one(store, clock):
    app, *_ = enrolled(store, clock())
    now = clock(minutes=10)
    store.pass_second_factor(begun(store), app.at(now))
    with pytest.raises(AccessError):
        store.pass_second_factor(begun(store), app.at(now - timedelta(seconds=30)))


def test_a_recovery_code_counts_once_and_people_may_type_it_as_they_like(store, clock):
    _, _, codes = enrolled(store, clock())
    assert len(set(codes)) == second_factors.RECOVERY_CODES
    typed = f" {codes[0].upper().replace('-', ' ')} "
    assert store.session(store.pass_second_factor(begun(store), typed)) is not None
    with pytest.raises(AccessError):
        store.pass_second_factor(begun(store), codes[0])
    assert store.second_factor(store.principal("harbor", "ann@x")).recovery_codes_left == len(codes) - 1


def test_new_recovery_codes_replace_the_earlier_ones_and_need_a_code(store, clock):
    app, session, codes = enrolled(store, clock())
    with pytest.raises(AccessError):
        store.renew_recovery_codes(session, "000000")
    new = store.renew_recovery_codes(session, app.at(clock(minutes=1)))
    with pytest.raises(AccessError):
        store.pass_second_factor(begun(store), codes[0])
    clock(minutes=5)
    assert store.pass_second_factor(begun(store), new[0])


def test_another_persons_codes_do_not_fit(store, clock):
    enrolled(store, clock())
    other_app, _, other_codes = enrolled(store, clock(), "bob@x")
    for code in (other_app.at(clock(minutes=1)), other_codes[0]):
        with pytest.raises(AccessError):
            store.pass_second_factor(begun(store), code)
        clock(minutes=5)


def test_wrong_codes_wait_longer_each_time_from_every_address(store, clock):
    app, *_ = enrolled(store, clock())
    waits = []
    for attempt in range(9):
        clock(minutes=10, seconds=attempt)
        with pytest.raises(AccessError) as refused:
            store.pass_second_factor(begun(store), "000000", address=f"192.0.2.{attempt}")
        waits.append("Too many attempts" in str(refused.value))
    assert waits[:5] == [False] * 5
    assert any(waits[5:])
    # The right code waits too, and is taken afterwards.
    with pytest.raises(AccessError, match="Too many"):
        store.pass_second_factor(begun(store), app.at(clock(minutes=10, seconds=9)), address="192.0.2.99")
    later = app.at(clock(minutes=40))
    assert store.pass_second_factor(begun(store), later, address="192.0.2.99")


def test_after_a_hundred_wrong_codes_only_a_recovery_code_helps(store, clock):
    app, _, codes = enrolled(store, clock())
    for attempt in range(MOST_FAILURES):
        clock(hours=2 * attempt + 1)
        with pytest.raises(AccessError):
            store.pass_second_factor(begun(store), "000000")
    right = app.at(clock(hours=2 * MOST_FAILURES + 1))
    with pytest.raises(AccessError):
        store.pass_second_factor(begun(store), right)
    clock(hours=2 * MOST_FAILURES + 3)
    assert store.pass_second_factor(begun(store), codes[0])
    later = app.at(clock(hours=2 * MOST_FAILURES + 5))
    assert store.pass_second_factor(begun(store), later)


def test_a_session_waits_a_quarter_of_an_hour_for_a_code(store, clock):
    app, *_ = enrolled(store, clock())
    clock(minutes=1)
    token = begun(store)
    moment = clock(minutes=17)
    assert store.sign_in(token) is None
    with pytest.raises(AccessError):
        store.pass_second_factor(token, app.at(moment))


def test_the_rule_stops_open_sessions_until_the_person_has_an_app(store, clock):
    open_before = begun(store)
    assert store.session(open_before) is not None
    store.require_second_factor("harbor", True, actor="admin@harbor")
    assert (store.session(open_before), store.sign_in(open_before).step) == (None, Step.ENROL)
    assert store.sign_in(begun(store, "bob@x")).step is Step.ENROL
    app = pyotp.TOTP(store.offer_second_factor(store.principal("harbor", "ann@x")))
    made = store.enrol_second_factor(open_before, PASSWORD, app.at(clock()))
    assert store.session(made.session_token) is not None
    store.require_second_factor("harbor", False, actor="admin@harbor")
    assert store.session(begun(store, "bob@x")) is not None
    # Who has an app keeps it.
    assert store.sign_in(begun(store)).step is Step.CODE


def test_no_new_password_leads_around_the_code(store, clock):
    app, session, _ = enrolled(store, clock())
    store.change_password(store.session(session), PASSWORD, "another password of 4 words")
    assert store.session(session) is None
    link = store.begin_reset("harbor", "ann@x", actor="admin@harbor")
    person = store.person_of_reset(link)
    store.set_password("harbor", "ann@x", "yet another password 7")
    token = store.create_session(person)
    assert (store.session(token), store.sign_in(token).step) == (None, Step.CODE)
    store.change_rights("harbor", "ann@x", is_active=False, actor="admin@harbor")
    store.change_rights("harbor", "ann@x", is_active=True, actor="admin@harbor")
    assert store.sign_in(begun(store)).step is Step.CODE
    later = app.at(clock(minutes=3))
    assert store.pass_second_factor(begun(store), later)


def test_setting_up_needs_the_password_a_session_and_the_code_of_the_offered_app(store, clock):
    person = store.principal("harbor", "ann@x")
    app, session = pyotp.TOTP(store.offer_second_factor(person)), begun(store)
    code = app.at(clock())
    for token, password, typed in (
        (session, "wrong", code),
        (session, PASSWORD, "000000"),
        ("no session", PASSWORD, code),
        (begun(store, "bob@x"), PASSWORD, code),
    ):
        with pytest.raises(AccessError):
            store.enrol_second_factor(token, password, typed)
    assert store.second_factor(person) is None
    assert store.enrol_second_factor(session, PASSWORD, code)
    # A second app does not replace the first one unseen.
    with pytest.raises(AccessError, match="already"):
        store.offer_second_factor(person)


def test_an_offer_stays_for_a_while_and_then_changes(store, clock):
    person = store.principal("harbor", "ann@x")
    first = store.offer_second_factor(person)
    clock(minutes=14)
    assert store.offer_second_factor(person) == first
    clock(minutes=16)
    assert store.offer_second_factor(person) != first


def test_removal_needs_password_and_code_and_ends_every_session(store, clock):
    app, session, _ = enrolled(store, clock())
    code = app.at(clock(minutes=1))
    with pytest.raises(AccessError):
        store.remove_second_factor(session, "wrong", code)
    with pytest.raises(AccessError):
        store.remove_second_factor(session, PASSWORD, "000000")
    new = store.remove_second_factor(session, PASSWORD, code)
    assert store.session(session) is None
    assert store.session(new) is not None
    assert store.session(begun(store)) is not None


def test_an_administrators_reset_ends_sessions_and_is_recorded(store, clock):
    _, session, _ = enrolled(store, clock())
    assert store.reset_second_factor("harbor", "Ann@x ", actor="admin@harbor")
    assert store.session(session) is None
    assert store.session(begun(store)) is not None
    assert not store.reset_second_factor("harbor", "ann@x", actor="admin@harbor")
    with pytest.raises(AccessError):
        store.reset_second_factor("harbor", "nobody@x", actor="admin@harbor")
    (row, _) = reversed(store.audit_rows("harbor", action="second factor reset"))
    assert (row.actor, row.detail) == ("admin@harbor", {"user": "ann@x", "had_one": True})


@IN_A_FILE
def test_neither_secret_nor_codes_stand_in_the_database_or_the_audit(store, home, clock):
    person = store.principal("harbor", "ann@x")
    secret = store.offer_second_factor(person)
    app, _, codes = enrolled(store, clock())
    code = app.at(clock(minutes=1))
    store.pass_second_factor(begun(store), code)
    content = b"".join(path.read_bytes() for path in home.path.glob("access.sqlite*"))
    assert app.secret == secret
    for text in (secret, *codes, *(each.replace("-", "") for each in codes)):
        assert text.encode() not in content
    details = " ".join(str(row.detail) for row in store.audit_rows("harbor"))
    assert not any(text in details for text in (secret, code, *codes))
    actions = {row.action for row in store.audit_rows("harbor")}
    assert {"second factor", "second factor set up"} <= actions


@IN_A_FILE
def test_a_sealed_secret_moved_to_another_person_does_not_open(store, home, clock):
    enrolled(store, clock())
    enrolled(store, clock(), "bob@x")
    with sqlite3.connect(home.access) as connection:
        taken = connection.execute("select sealed_secret from totp where email = 'bob@x'").fetchone()
        connection.execute("update totp set sealed_secret = ? where email = 'ann@x'", taken)
    connection.close()
    with pytest.raises(ConfigurationError, match="does not open"):
        store.pass_second_factor(begun(store), "000000")


@settings(max_examples=50)
@given(secret=st.text(), owner=st.text(min_size=1), other=st.text(min_size=1))
def test_a_sealed_text_opens_for_its_tenant_and_owner_alone(secret, owner, other):
    key = b"k" * 32
    sealed = seal(key, "harbor", owner, secret)
    assert unseal(key, "harbor", owner, sealed) == secret
    for tenant, name in (("mesa", owner), ("harbor", owner + other)):
        with pytest.raises(ConfigurationError):
            unseal(key, tenant, name, sealed)


def test_a_wrong_code_at_setting_up_is_an_audit_row(store, clock):
    clock()
    person = store.principal("harbor", "ann@x")
    store.offer_second_factor(person)
    with pytest.raises(AccessError):
        store.enrol_second_factor(store.create_session(person), PASSWORD, "000000")
    (row,) = store.audit_rows("harbor", action="second factor")
    assert (row.actor, row.result, row.detail) == ("ann@x", "refused", {"throttled": False})
