"""People, rights, sessions and the audit on a PostgreSQL server: whose database it is, its form, and what happens without it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Integer, String, make_url

from foundation import run_lock
from foundation.backup.frozen import frozen
from foundation.config import load_config
from foundation.control_database import ControlDatabase, control_database_of, note_control_database
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from serving.people import control_server as server_side
from serving.people.audit_anchor import anchor_of
from serving.people.control_server import adopt, server_engine
from serving.people.engines import SENDING_LOCK
from serving.people.moving import KEPT, copy_to_file, move_to_server
from serving.people.principal import Role
from serving.people.removed_tenant import remove_people
from serving.people.restored import settle
from serving.people.store import AccessStore
from serving.people.tables import ACCESS, METADATA, Text
from tests.control_server import ControlServer
from tests.support import clinicmart_here

GOLDEN = Path(__file__).parents[1] / "golden"
PASSWORD = "correct horse battery"
CONFIG = """\
tenants:
  harbor: {{name: Harbor, time_zone: America/New_York, feeds: [{{name: pm, kind: x12, path: none}}]}}
control_database: {{postgres: "{url}"}}
"""


def filled(home: Home) -> AccessStore:
    store = AccessStore.open(home)
    store.ensure_tenant("harbor", "Harbor Health")
    store.add_user("harbor", "ann@x", display_name="Ann", role=Role.EXECUTIVE, password=PASSWORD, must_change=False)
    return store


@pytest.fixture
def home(tmp_path: Path, control_server: ControlServer) -> Home:
    home = Home.at(tmp_path / "home")
    control_server.give(home)
    return home


def database_of(home: Home) -> ControlDatabase:
    setting = control_database_of(home)
    assert setting is not None
    return setting


def fresh(home: Home) -> AccessStore:
    """Opened as a process does that has not opened it before."""
    server_engine.cache_clear()
    return AccessStore.open(home)


# The setting


def parsed(tmp_path: Path, url: str) -> ControlDatabase | None:
    file = tmp_path / "clinicmart.yaml"
    file.write_text(CONFIG.format(url=url), encoding="utf-8")
    return load_config(file).control_database


def test_the_setting_names_variables_and_the_home_keeps_no_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROL_PASSWORD", "hunter2")
    written = "postgresql://clinicmart:${CONTROL_PASSWORD}@127.0.0.1/control"
    setting = parsed(tmp_path, written)
    assert setting == ControlDatabase(postgres=written)
    assert setting.url == "postgresql://clinicmart:hunter2@127.0.0.1/control"
    home = Home.at(tmp_path / "home")
    note_control_database(home, setting)
    assert control_database_of(home) == setting
    assert all(b"hunter2" not in path.read_bytes() for path in home.path.iterdir() if path.is_file())
    monkeypatch.delenv("CONTROL_PASSWORD")
    with pytest.raises(ConfigurationError, match="CONTROL_PASSWORD is not set"):
        _ = setting.url


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("postgresql://clinicmart:hunter2@127.0.0.1/control", "holds a password"),
        ("postgresql://clinicmart@127.0.0.1/control?password=hunter2", "holds a password"),
        ("mysql://hunter2@127.0.0.1/control", "must be the URL of a PostgreSQL database"),
        ("postgresql://hunter2@127.0.0.1", "must name a database"),
        ("postgresql://hunter2@127.0.0.1:hunter2/control", "is not a URL"),
        ("postgresql://hunter2@db.example.org/control", "add sslmode=verify-full"),
        ("postgresql://hunter2@db.example.org/control?sslmode=prefer", "add sslmode=verify-full"),
        ("postgresql://hunter2@/control?host=db.example.org", "add sslmode=verify-full"),
        ("${CLINICMART_NOWHERE}", "CLINICMART_NOWHERE is not set"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_line_and_never_shown(
    tmp_path: Path, url: str, problem: str
) -> None:
    with pytest.raises(ConfigurationError, match=problem) as error:
        parsed(tmp_path, url)
    assert "hunter2" not in str(error.value)
    assert f"{tmp_path / 'clinicmart.yaml'}:3: control_database" in str(error.value)


def test_a_new_home_takes_the_database_that_the_configuration_names_and_keeps_to_it(
    tmp_path: Path, control_server: ControlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, setting = Home.at(tmp_path / "home"), ControlDatabase(postgres=control_server.database())
    adopt(home, None)
    assert control_database_of(home) is None
    adopt(home, setting)
    adopt(home, setting)
    filled(home)
    assert not home.access.exists()
    assert control_server.ask("select count(*) from tenant", setting.url) == [(1,)]
    with pytest.raises(ConfigurationError, match="the configuration does not name it"):
        adopt(home, None)
    with pytest.raises(ConfigurationError, match="is empty"):
        adopt(home, ControlDatabase(postgres=control_server.database()))
    # The same database under another name is taken.
    monkeypatch.setenv("CONTROL_URL", setting.url)
    adopt(home, ControlDatabase(postgres="${CONTROL_URL}"))
    assert database_of(home).postgres == "${CONTROL_URL}"


def test_a_home_with_people_in_a_file_is_not_parted_from_them(tmp_path: Path, control_server: ControlServer) -> None:
    home = Home.at(tmp_path / "home")
    filled(home)
    with pytest.raises(ConfigurationError, match="clinicmart control-database move"):
        adopt(home, ControlDatabase(postgres=control_server.database()))
    assert control_database_of(home) is None


# Databases that cannot be used


def test_an_unreachable_server_an_empty_database_and_one_of_others_are_named_without_the_password(
    home: Home, tmp_path: Path, control_server: ControlServer
) -> None:
    other = Home.at(tmp_path / "other")
    foreign = control_server.database()
    control_server.ask("create table fct_visits (n int)", foreign)
    for url, problem in {
        "postgresql://ann:hunter2@127.0.0.1:1/control": r"\(127.0.0.1, database control\) cannot be reached",
        control_server.database(): "is empty",
        foreign: "tables of another program",
        control_server.give(other): "belongs to another installation",
        control_server.database("encoding 'LATIN1' locale 'C'"): "encoding LATIN1",
    }.items():
        note_control_database(home, ControlDatabase(postgres=url))
        with pytest.raises(ClinicmartError, match=problem) as error:
            fresh(home)
        assert "hunter2" not in str(error.value)


def test_a_database_of_another_release_is_refused_and_upgrade_runs_the_steps(
    home: Home, control_server: ControlServer
) -> None:
    filled(home)
    url = database_of(home).url
    control_server.ask("update alembic_version set version_num = '9999'", url)
    with pytest.raises(ConfigurationError, match="a later release"):
        fresh(home)
    # The state before the step that is named here, which is any that an earlier release had.
    before = f"{int(ACCESS.newest) - 1:04d}"
    control_server.ask(f"update alembic_version set version_num = '{before}'", url)
    with pytest.raises(ConfigurationError, match="clinicmart upgrade"):
        fresh(home)
    assert server_side.older_form(home) == before


def test_a_server_that_goes_away_is_one_sentence_and_comes_back(home: Home, control_server: ControlServer) -> None:
    store = filled(home)
    token = store.create_session(store.principal("harbor", "ann@x"))
    name = make_url(database_of(home).url).database
    gone = f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'"
    control_server.ask(gone)
    assert store.session(token) is not None
    store.audit("harbor", "ann@x", "look")
    control_server.ask(f"alter database {name} allow_connections false")
    control_server.ask(gone)
    with pytest.raises(ClinicmartError, match="cannot be reached"):
        store.session(token)
    control_server.ask(f"alter database {name} allow_connections true")
    assert store.session(token) is not None
    assert store.verify_audit().is_intact


# What must be the same on both


def test_every_text_sorts_by_code_point_and_every_number_has_64_bits() -> None:
    columns = [column for table in METADATA.tables.values() for column in table.columns]
    assert [
        str(column) for column in columns if isinstance(column.type, String) and type(column.type) is not Text
    ] == []
    dialect = server_side.open_server("postgresql://nobody@127.0.0.1/none").dialect
    numbers = [column for column in columns if isinstance(column.type, Integer)]
    assert [str(column) for column in numbers if column.type.compile(dialect=dialect) != "BIGINT"] == []


def test_names_sort_and_differ_as_in_a_file(home: Home, tmp_path: Path) -> None:
    names = ("b", "a", "B", "ä", "Z", "_", "a b", "é", "\N{GRINNING FACE}", "\ufb01")
    seen = []
    for each in (home, Home.at(tmp_path / "in a file")):
        store = AccessStore.open(each)
        for number, name in enumerate(names):
            store.ensure_tenant(f"t{number}", name)
        seen.append([name for _, name in store.tenants()])
    assert seen[0] == seen[1] == sorted(names)


def test_a_text_with_nul_is_refused_or_kept_and_breaks_neither_a_statement_nor_the_chain(home: Home) -> None:
    store = filled(home)
    with pytest.raises(AccessError, match="wrong"):
        store.authenticate("harbor\0", "an\0n@x", "\0")
    store.audit("harbor", "an\0n", "look", detail={"of": "a\0b"})
    assert store.audit_rows("harbor", action="look")[0].actor == "an\ufffdn"
    assert store.audit_rows("harbor", action="look")[0].detail == {"of": "a\0b"}
    assert store.verify_audit().is_intact


def test_the_database_itself_refuses_to_change_or_empty_the_audit(home: Home, control_server: ControlServer) -> None:
    filled(home)
    for statement in ("update audit set actor = 'x'", "delete from audit", "truncate audit"):
        with pytest.raises(Exception, match="append-only"):
            control_server.ask(statement, database_of(home).url)


@pytest.mark.parametrize(
    "statement",
    [
        "update audit set actor = 'x' where sequence = 2",
        "delete from audit where sequence = 2",
        "delete from audit where sequence = (select max(sequence) from audit)",
        "delete from audit; delete from audit_head",
        "drop table audit; drop table audit_head",
        "update audit_head set sequence = sequence - 1",
    ],
)
def test_what_an_administrator_of_the_server_does_to_the_audit_is_found(
    home: Home, control_server: ControlServer, statement: str
) -> None:
    store = filled(home)
    assert store.verify_audit().is_intact
    control_server.ask("alter table audit disable trigger user", database_of(home).url)
    control_server.ask(statement, database_of(home).url)
    check = store.verify_audit()
    assert not check.is_intact
    assert check.problem


def test_a_row_that_was_rolled_back_is_in_no_file_of_heads(home: Home) -> None:
    store = filled(home)

    def fails() -> None:
        with store._writing() as connection:
            store._audit(connection, "harbor", "ann@x", "look", {})
            raise AccessError("no")

    with pytest.raises(AccessError):
        fails()
    store.create_session(store.principal("harbor", "ann@x"))
    assert store.check_audit_anchor() == ""
    assert store.verify_audit().is_intact


# Two servers: two engines stand for two processes


def both(home: Home) -> tuple[AccessStore, AccessStore]:
    here = filled(home)
    return here, fresh(home)


def test_guesses_at_two_servers_are_counted_together(home: Home) -> None:
    here, there = both(home)

    def guess(number: int) -> str:
        try:
            (here, there)[number % 2].authenticate("harbor", "ann@x", f"wrong {number}", address="192.0.2.1")
        except AccessError as error:
            return "wrong" if "wrong" in str(error) else "throttled"
        return "right"

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(guess, range(24)))
    # Waits of 1, 2, 4 ... seconds follow three free attempts: on a slow machine one or two more may be evaluated.
    assert answers.count("throttled") > 12
    rows = here.audit_rows("harbor", action="sign-in")
    assert len(rows) == 24
    assert sum(not row.detail["throttled"] for row in rows) == answers.count("wrong")


def test_what_ends_a_session_at_one_server_ends_it_at_the_other_at_once(home: Home) -> None:
    here, there = both(home)
    ann = here.principal("harbor", "ann@x")

    def ends(what: object) -> None:
        token = here.create_session(ann)
        assert there.session(token) is not None
        what(token)  # type: ignore[operator]
        assert there.session(token) is None

    ends(here.end_session)
    ends(lambda _: here.end_sessions(ann))
    ends(lambda _: here.change_rights("harbor", "ann@x", role=Role.BILLING_STAFF, actor="a"))
    assert there.principal("harbor", "ann@x").role is Role.BILLING_STAFF
    ends(lambda _: here.set_password("harbor", "ann@x", PASSWORD + " again"))
    ends(lambda _: here.change_rights("harbor", "ann@x", is_active=False, actor="a"))
    with pytest.raises(AccessError):
        there.authenticate("harbor", "ann@x", PASSWORD + " again")


def test_rows_from_two_servers_are_one_chain_and_a_lock_is_held_by_one_of_them(home: Home) -> None:
    here, there = both(home)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: (here, there)[n % 2].audit("harbor", "ann@x", "look", detail={"n": n}), range(80)))
    assert there.verify_audit().is_intact
    assert len(here.audit_rows("harbor", action="look")) == 80
    with here.held(SENDING_LOCK) as is_ours, there.held(SENDING_LOCK) as is_theirs:
        assert (is_ours, is_theirs) == (True, False)
    with there.held(SENDING_LOCK) as is_theirs:
        assert is_theirs


def test_a_link_counts_once_of_two_uses_at_the_same_time(home: Home) -> None:
    here, there = both(home)
    token = here.begin_reset("harbor", "ann@x", actor="a")

    def choose(store: AccessStore, word: str) -> bool:
        try:
            store.set_password("harbor", "ann@x", f"{word} {PASSWORD}", reset=token)
        except (AccessError, ConfigurationError):
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(choose, (here, there), ("violet", "orange")))
    assert done.count(True) == 1


def test_a_writer_that_waits_too_long_is_told_so(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.people.engines._SESSION", {"lock_timeout": "100ms"})
    store = fresh(home)
    store.ensure_tenant("harbor", "Harbor")
    with store._writing(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(store.audit, "harbor", "ann@x", "look")
        with pytest.raises(ClinicmartError, match="was being written"):
            waiting.result()
    server_engine.cache_clear()


# Moving, backup, removal of a tenant


@pytest.fixture
def in_file(tmp_path: Path) -> Home:
    home = Home.at(tmp_path / "in file")
    store = filled(home)
    admin = store.add_user(
        "harbor", "admin@harbor", display_name="Ä", role=Role.ORGANIZATION_ADMIN, unit_ids=["e", "w"]
    )
    assert admin
    with pytest.raises(AccessError):
        store.authenticate("harbor", "ann@x", "wrong")
    store.subscriptions.set_rule("harbor", ["example.org"], "figures", actor="a")
    return home


def rows_of(store: AccessStore) -> dict[str, list[tuple]]:
    with store._reading.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(table.select())), key=repr)
            for name, table in METADATA.tables.items()
        }


def test_a_move_copies_every_row_and_the_chain_goes_on(in_file: Home, control_server: ControlServer) -> None:
    before = AccessStore.open(in_file)
    rows, token = rows_of(before), before.create_session(before.principal("harbor", "ann@x"))
    rows = rows_of(before)
    moved = move_to_server(in_file, ControlDatabase(postgres=control_server.database()))
    after = AccessStore.open(in_file)
    assert rows_of(after) == rows
    assert moved.rows == {name: len(of_table) for name, of_table in rows.items()}
    assert after.session(token) == after.principal("harbor", "ann@x")
    # Numbers go on, and so do the chain and its heads outside.
    with pytest.raises(AccessError):
        after.authenticate("harbor", "nobody@x", "wrong")
    check = after.verify_audit()
    assert check.is_intact
    assert check.rows == moved.audit_rows + 1
    assert not in_file.access.exists()
    assert moved.kept == in_file.path / KEPT
    assert moved.kept.exists()


def test_a_process_that_has_the_old_file_open_neither_reads_nor_writes_it_after_a_move(
    in_file: Home, control_server: ControlServer
) -> None:
    old = AccessStore.open(in_file)
    token = old.create_session(old.principal("harbor", "ann@x"))
    move_to_server(in_file, ControlDatabase(postgres=control_server.database()))
    for look in (lambda: old.session(token), lambda: old.audit("harbor", "ann@x", "look"), old.tenants):
        with pytest.raises(ClinicmartError, match="start this process again"):
            look()


def test_an_altered_audit_is_not_moved_and_a_used_database_is_not_written(
    in_file: Home, tmp_path: Path, control_server: ControlServer
) -> None:
    used = control_server.database()
    control_server.ask("create table theirs (n int)", used)
    with pytest.raises(ConfigurationError, match="must be empty"):
        move_to_server(in_file, ControlDatabase(postgres=used))
    heads = anchor_of(in_file)
    written = heads.read_text()
    heads.write_text("")
    empty = control_server.database()
    with pytest.raises(ClinicmartError, match="nothing was moved"):
        move_to_server(in_file, ControlDatabase(postgres=empty))
    heads.write_text(written)
    assert control_server.ask(
        "select count(*) from information_schema.tables where table_schema = 'public'", empty
    ) == [(0,)]
    assert AccessStore.open(in_file).verify_audit().is_intact
    move_to_server(in_file, ControlDatabase(postgres=empty))
    with pytest.raises(ConfigurationError, match="already"):
        move_to_server(in_file, ControlDatabase(postgres=control_server.database()))


def test_the_command_moves_and_says_where_people_are(
    in_file: Home, tmp_path: Path, control_server: ControlServer
) -> None:
    config = tmp_path / "clinicmart.yaml"
    config.write_text(CONFIG.format(url=control_server.database()), encoding="utf-8")
    assert clinicmart_here("control-database", "check", "--home", in_file.path).out.startswith(
        f"People are in {in_file.access}"
    )
    with run_lock.alone(in_file):
        ran = clinicmart_here("control-database", "move", "--home", in_file.path, "--config", config)
        assert "another run is under way" in ran.err
    ran = clinicmart_here("control-database", "move", "--home", in_file.path, "--config", config)
    assert ran.code == 0, ran.err
    assert "Start the servers again" in ran.out
    ran = clinicmart_here("control-database", "check", "--home", in_file.path)
    assert ran.out.startswith("People are in a PostgreSQL database"), ran.err
    ran = clinicmart_here("audit", "verify", "--home", in_file.path)
    assert ran.code == 0, ran.err
    ran = clinicmart_here("doctor", "--home", in_file.path)
    assert "audit" not in ran.out
    assert "access.sqlite" not in ran.out
    assert AccessStore.open(in_file).audit_rows("platform", action="people moved to a server")


def test_a_copy_of_a_home_holds_its_people_in_a_file_and_names_no_server(home: Home, tmp_path: Path) -> None:
    store = filled(home)
    rows = rows_of(store)
    with store._writing(), frozen(home, lambda folder: copy_to_file(home, folder)) as folder:
        # Somebody writes meanwhile, and nobody waits.
        names = {path.name for path in folder.iterdir()}
        target = tmp_path / "restored"
        folder.rename(target)
    assert "access.sqlite" in names
    assert "control.json" not in names
    assert not names & {"access.lock", "access.sqlite-wal"}
    (home.path / "keys").rename(target / "keys")
    restored = Home.at(target)
    assert rows_of(AccessStore.open(restored)) == rows
    settle(restored, tenant=None, actor="a", detail={})
    assert AccessStore.open(restored).verify_audit().is_intact


def test_a_tenant_is_removed_and_the_audit_keeps_its_rows(home: Home, control_server: ControlServer) -> None:
    store = filled(home)
    store.ensure_tenant("mesa", "Mesa")
    kept = store.verify_audit().rows
    assert remove_people(home, "harbor")["user"] == 1
    assert store.tenants() == (("mesa", "Mesa"),)
    check = store.verify_audit()
    assert (check.is_intact, check.rows) == (True, kept)
    url = database_of(home).url
    assert control_server.ask("select pg_relation_size('\"user\"')", url) == [(0,)]


def test_master_keys_rotate_and_the_database_stays_ours(home: Home) -> None:
    filled(home)
    clinicmart_here("keys", "rotate", "--home", home.path)
    clinicmart_here("keys", "rotate", "--finish", "--home", home.path)
    assert fresh(home).verify_audit().is_intact


# Steps


def shape(control_server: ControlServer, url: str) -> set[tuple]:
    """Columns with type, size, sort order and whether they may be empty; indexes and rules."""
    columns = (
        "select table_name, column_name, data_type, collation_name, is_nullable from information_schema.columns "
        "where table_schema = 'public'"
    )
    indexes = "select tablename, indexdef from pg_indexes where schemaname = 'public'"
    return {*control_server.ask(columns, url), *control_server.ask(indexes, url)}


def test_the_steps_since_the_first_form_on_a_server_give_the_form_of_this_release(
    home: Home, control_server: ControlServer
) -> None:
    (first,) = GOLDEN.glob("control_*.sql")
    form = first.stem.removeprefix("control_")
    url = control_server.database()
    control_server.ask(first.read_text("utf-8"), url)
    setting = ControlDatabase(postgres=url)
    with server_side.opened_server(setting) as engine, engine.begin() as connection:
        server_side._OWN.create_all(connection)
        server_side.claim(connection, Keys.of(home).derive("audit"))
        connection.exec_driver_sql("create table alembic_version (version_num varchar(32) not null primary key)")
        connection.exec_driver_sql(f"insert into alembic_version values ('{form}')")
    made_new = database_of(home).url
    note_control_database(home, setting)
    if form != ACCESS.newest:
        with pytest.raises(ConfigurationError, match="clinicmart upgrade"):
            fresh(home)
        assert clinicmart_here("upgrade", "--home", home.path).code == 0
    assert shape(control_server, url) == shape(control_server, made_new)
    filled(home)
