"""Databases of a home are brought to the form of this release, and never to an older one."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from foundation.migrations import Store
from ingest.inbox.mllp_journal import JOURNAL
from ingest.landing.payment_memory import PAYMENTS
from ingest.ledger import LEDGER
from ingest.sealed_names import register
from ingest.sources.hl7v2.seen_messages import MESSAGES
from serving.people.tables import ACCESS

STORES = {"access": ACCESS, "ledger": LEDGER, "messages": MESSAGES, "payments": PAYMENTS, "journal": JOURNAL}


def shape(path: Path) -> dict[str, object]:
    """Tables with their columns, and indexes."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [
            name
            for (name,) in connection.execute("select name from sqlite_master where type = 'table'")
            if not name.startswith("sqlite_")
        ]
        return {name: sorted(row[1:4] for row in connection.execute(f"pragma table_info({name})")) for name in tables}


def indexes(path: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("select tbl_name, name from sqlite_master where type = 'index' and sql is not null")
        return set(found.fetchall())


@pytest.mark.parametrize("name", STORES)
def test_a_new_database_has_the_form_of_this_release_at_once(name: str, tmp_path: Path) -> None:
    store, path = STORES[name], tmp_path / "new.sqlite"
    assert store.form(path) is None
    assert not path.exists()
    assert store.bring_up_to_date(path) is False
    assert store.form(path) == store.newest
    assert {column for table in store.metadata.tables.values() for column in [c.name for c in table.columns]} <= {
        column[0] for columns in shape(path).values() for column in columns
    }
    before = path.read_bytes()
    assert store.bring_up_to_date(path) is False
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", STORES)
def test_a_database_of_a_later_release_is_refused_in_one_sentence_and_left_as_it_is(name: str, tmp_path: Path) -> None:
    store, path = STORES[name], tmp_path / "later.sqlite"
    store.bring_up_to_date(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
        connection.execute("pragma wal_checkpoint(truncate)")
    before = path.read_bytes()
    with pytest.raises(
        ConfigurationError, match=r"^later\.sqlite was written by a later release .*install that release$"
    ):
        store.bring_up_to_date(path)
    assert path.read_bytes() == before


def test_the_steps_of_the_ledger_lead_to_the_tables_that_a_new_one_has(tmp_path: Path) -> None:
    teach = register(Keys.of(Home.at(tmp_path / "home")))
    stepped, new = tmp_path / "stepped.sqlite", tmp_path / "new.sqlite"
    with closing(sqlite3.connect(stepped, isolation_level=None)) as connection:
        # A ledger of the first days: two tables, and of one of them not all columns.
        connection.execute(
            "create table run (run_id varchar primary key, config_file varchar not null, started_at datetime not null)"
        )
        connection.execute("create table loaded (warehouse varchar, batch_sequence integer)")
        connection.execute("insert into run values ('r1', 'c.yaml', '2026-01-01 00:00:00')")
    assert LEDGER.bring_up_to_date(stepped, teach) is True
    LEDGER.bring_up_to_date(new, teach)
    of_stepped, of_new = shape(stepped), shape(new)
    assert {t: {c[0] for c in columns} for t, columns in of_stepped.items()} == {  # type: ignore[attr-defined]
        t: {c[0] for c in columns}
        for t, columns in of_new.items()  # type: ignore[attr-defined]
    }
    assert indexes(stepped) == indexes(new)
    with closing(sqlite3.connect(stepped)) as connection:
        assert connection.execute("select run_id from run").fetchall() == [("r1",)]


@pytest.mark.parametrize("name", ["messages", "payments", "journal"])
def test_databases_without_a_number_keep_their_rows_and_get_one(name: str, tmp_path: Path) -> None:
    store, path = STORES[name], tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(store.schema)
        table = next(iter(store.metadata.sorted_tables))
        names = [column.name for column in table.columns]
        connection.execute(f"insert into {table.name} values ({', '.join('1' for _ in names)})")
    assert store.form(path) == "0000"
    assert store.bring_up_to_date(path) is True
    assert store.form(path) == store.newest
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(f"select count(*) from {table.name}").fetchone() == (1,)


def test_a_step_that_fails_changes_nothing(tmp_path: Path) -> None:
    steps = tmp_path / "steps"
    steps.mkdir()
    (steps / "0001_half.py").write_text(
        "from alembic import op\nrevision, down_revision = '0001', None\n"
        "def upgrade():\n    op.execute('create table half (a)')\n    op.execute('insert into absent values (1)')\n"
    )
    store, path = Store(metadata=ACCESS.metadata, steps=steps), tmp_path / "old.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("create table there (a)")
    with pytest.raises(Exception, match="no such table: absent"):
        store.bring_up_to_date(path)
    assert set(shape(path)) == {"there"}
    assert store.form(path) == "0000"
