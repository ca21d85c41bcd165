"""`clinicmart upgrade`: a home of an earlier release gets the form of this one, whenever the command is killed."""

import hashlib
import hmac
import json
import shutil
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from clinicmart.upgrade import backup_folder, changes, restored, upgrade
from foundation import earlier_keys, formats
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import FORMAT_FILE, Home
from foundation.key_masters import GRANTS, expand
from foundation.keys import Keys
from foundation.run_lock import alone
from ingest.landing.payment_memory import PAYMENTS
from ingest.ledger import LEDGER, Ledger, now, unit
from ingest.sources.hl7v2.seen_messages import MESSAGES
from serving.people.principal import Role
from serving.people.store import AccessStore
from serving.people.tables import ACCESS
from tests.support import clinicmart_here, run_killed_at

NAMES = [f"remits/Okonkwo_Adaeze_{number:03}.835" for number in range(40)]


def make_older(home: Home) -> None:
    """Takes from a home of today what an earlier release did not write: numbers of databases, encrypted names, key files, the home's
    number."""
    (home.path / FORMAT_FILE).unlink(missing_ok=True)
    for grant in GRANTS:
        shutil.rmtree(home.keys / grant)
    check = hmac.new(expand(home.master_key.read_bytes(), "check/"), b"clinicmart", hashlib.sha256)
    (home.path / earlier_keys.CHECK).write_text(f"{check.hexdigest()}\n")
    (home.path / earlier_keys.RING).write_bytes(b"sealed")
    for path in (home.ledger, *home.path.glob("messages/*.sqlite"), *home.path.glob("payments/*.sqlite")):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("drop table alembic_version")
            if path == home.ledger:
                for number, name in enumerate(NAMES, start=1):
                    connection.execute("update unit set name = ? where unit_id = ?", (name, number))
            connection.execute("vacuum")


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small home as an earlier release left it."""
    home = Home.at(tmp_path_factory.mktemp("older") / "home")
    # Its keys follow from the master key, as they did then.
    earlier_keys.carry_over(home, {"t": ()})
    ledger = Ledger(home)
    row = {"run_id": "r", "tenant_id": "t", "feed": "remits", "outcome": "landed", "read_at": now()}
    with ledger.write() as connection:
        connection.execute(sa.insert(unit), [row | {"name": name} for name in NAMES])
    ledger.close()
    for store, name in ((MESSAGES, "messages"), (PAYMENTS, "payments")):
        store.bring_up_to_date(home.folder(name) / "t.sqlite")
    access = AccessStore.open(home)
    access.ensure_tenant("t", "Tenant")
    access.add_user("t", "ann@t", display_name="Ann", role=Role.EXECUTIVE, password="correct horse battery")
    access._engine.dispose()
    make_older(home)
    return home.path


@pytest.fixture
def home(older: Path, tmp_path: Path) -> Home:
    shutil.copytree(older, tmp_path / "home")
    return Home.of_any_format(tmp_path / "home")


def is_upgraded(home: Home) -> bool:
    ledger = Ledger(Home.at(home.path))
    names = [row["name"] for row in ledger.rows(sa.select(unit.c.name).order_by(unit.c.unit_id))]
    ledger.close()
    kept = b"".join(path.read_bytes() for path in home.path.rglob("*") if path.is_file())
    return (
        names == NAMES
        and b"Okonkwo" not in kept
        and changes(home) == ()
        and earlier_keys.left_over(home) == []
        and all(MESSAGES.form(path) == MESSAGES.newest for path in home.path.glob("messages/*.sqlite"))
        and AccessStore.open(home).verify_audit().is_intact
    )


def names_before(home: Home) -> list[str]:
    """Names of files as the copy from before the upgrade has them."""
    path = home.path.parent / "ledger-before.sqlite"
    path.write_bytes(restored(home, "ledger.sqlite"))
    with closing(sqlite3.connect(path)) as connection:
        return [name for (name,) in connection.execute("select name from unit order by unit_id")]


def test_what_would_change_is_said_and_nothing_is_changed(home: Home) -> None:
    before = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    ran = clinicmart_here("upgrade", "--home", home.path, "--check")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines() == [
        "the home and 1 tenants get key files; the keys that they have stay valid",
        f"ledger.sqlite is brought from form 0 to form {int(LEDGER.newest)}: names of feed files are encrypted",
        "messages/t.sqlite is brought from form 0 to form 1: the database gets a number",
        "payments/t.sqlite is brought from form 0 to form 1: the database gets a number",
        "key-check is removed: the key files say what it said",
        "keys/serving.ring is removed: the key files say what it said",
        f"the home gets format {formats.HOME} (it has 1); earlier releases then refuse it",
        f"7 changes; clinicmart upgrade --home {home.path} makes them.",
    ]
    assert json.loads(clinicmart_here("upgrade", "--home", home.path, "--check", "--json").out)["format"] == 1
    after = {path: path.read_bytes() for path in home.path.rglob("*") if path.is_file()}
    assert after == before


def test_an_upgraded_home_works_and_its_older_files_are_kept_sealed(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="run clinicmart upgrade --home"):
        Home.at(home.path)
    assert clinicmart_here("upgrade", "--home", home.path).code == 0
    assert is_upgraded(home)
    assert names_before(home) == NAMES
    again = clinicmart_here("upgrade", "--home", home.path)
    assert (again.code, again.out) == (0, "The home has the form of this release.\n")


# Runs the command and kills itself with the operating system's own means at the n-th point that is reached.
KILLED = """
import os, signal, sys
from foundation import home as homes, migrations
from ingest.inbox import inbox
from clinicmart import upgrade
reached, at = 0, int(sys.argv[2])
def pointed(function):
    def work(*arguments, **named):
        global reached
        reached += 1
        if reached == at: os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **named)
        reached += 1
        if reached == at: os.kill(os.getpid(), signal.SIGKILL)
        return result
    return work
os.replace, os.fsync = pointed(os.replace), pointed(os.fsync)
migrations.Store.run_steps = pointed(migrations.Store.run_steps)
migrations._note = pointed(migrations._note)
homes.Home.note_format = pointed(homes.Home.note_format)
upgrade.upgrade(homes.Home.of_any_format(sys.argv[1]))
print(reached)
"""


@pytest.mark.slow
def test_a_killed_upgrade_is_finished_by_the_next_one(home: Home, older: Path) -> None:
    undisturbed = run_killed_at(KILLED, home, 0)
    assert undisturbed.returncode == 0, undisturbed.stderr
    points = int(undisturbed.stdout)
    assert points >= 20
    tried = sorted({1, 2, points, *range(3, points, max(1, points // 8))})
    for at in tried:
        shutil.rmtree(home.path)
        shutil.copytree(older, home.path)
        assert run_killed_at(KILLED, home, at).returncode == -signal.SIGKILL, at
        upgrade(home)
        assert is_upgraded(home), at
        assert names_before(home) == NAMES, at


def test_the_keys_of_an_earlier_home_stay_valid_and_everything_else_gets_random_ones(home: Home) -> None:
    master = home.master_key.read_bytes()
    upgrade(home)
    keys = Keys.of(Home.at(home.path))
    for purpose in ("landing", "vault", "inbox", "token", "messages", "payments", "published", "closes"):
        assert keys.derive(purpose, "t") == expand(master, f"{purpose}/t")
    for purpose in ("warehouse", "session", "audit", "backup", "proof"):
        assert keys.derive(purpose) == expand(master, f"{purpose}/")
    assert keys.of_scope_file("t", "ab") == (expand(expand(master, "scopes/t"), "file/ab").hex(),)
    assert keys.derive("landing", "new") != expand(master, "landing/new")


def test_a_home_is_not_upgraded_under_another_master_key(home: Home) -> None:
    home.master_key.write_bytes(bytes(32))
    with pytest.raises(ConfigurationError, match="the master key is another one"):
        upgrade(home)
    assert not any((home.keys / grant).exists() for grant in GRANTS)


def test_nobody_upgrades_a_home_in_which_a_run_is_at_work(home: Home) -> None:
    with alone(home), pytest.raises(ClinicmartError, match="a run is under way in this home"):
        upgrade(home)
    assert home.format == 1
    assert not backup_folder(home).exists()


def test_a_home_or_a_database_of_a_later_release_is_refused_before_anything_is_changed(home: Home) -> None:
    with closing(sqlite3.connect(home.path / "payments" / "t.sqlite", isolation_level=None)) as connection:
        connection.execute("create table alembic_version (version_num varchar(32) not null primary key)")
        connection.execute("insert into alembic_version values ('9999')")
    ran = clinicmart_here("upgrade", "--home", home.path)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "t.sqlite was written by a later release" in ran.err
    assert LEDGER.form(home.ledger) == "0000"
    (home.path / FORMAT_FILE).write_text(f"{formats.HOME + 1}\n")
    ran = clinicmart_here("upgrade", "--home", home.path)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "install that release" in ran.err


def test_a_new_home_has_the_form_of_this_release_from_its_first_file_on(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    assert home.format == formats.HOME
    assert list(home.path.iterdir()) == []
    Keys.of(home)
    assert (home.path / FORMAT_FILE).read_text() == f"{formats.HOME}\n"
    assert changes(Home.at(home.path)) == ()
    assert ACCESS.newest == f"{formats.ACCESS:04}"
    assert LEDGER.newest == f"{formats.LEDGER:04}"
