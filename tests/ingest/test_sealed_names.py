"""Names of feed files are encrypted in the ledger: some systems name files after patients."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.home import Home
from foundation.keys import Keys, serving_keys
from ingest.ledger import LEDGER, Ledger, now, unit

NAME = "2026/Okonkwo_Adaeze_1961-03-04.835"


def add(ledger: Ledger, name: str, feed: str = "remits") -> int:
    values = {"run_id": "r", "tenant_id": "t", "feed": feed, "name": name, "outcome": "landed", "read_at": now()}
    with ledger.write() as connection:
        return int(connection.execute(sa.insert(unit).values(values).returning(unit.c.unit_id)).scalar_one())


def bytes_of(home: Home) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(home.path.rglob("*")) if path.is_file())


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return Ledger(Home.at(tmp_path_factory.mktemp("sealed") / "home"))


def test_a_name_is_found_by_itself_and_is_in_no_file_of_the_home(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    ledger = Ledger(home)
    first, second, _ = add(ledger, NAME), add(ledger, NAME), add(ledger, "other.835")
    rows = ledger.rows(sa.select(unit.c.unit_id, unit.c.name.label("file")).where(unit.c.name == NAME))
    assert rows == [{"unit_id": first, "file": NAME}, {"unit_id": second, "file": NAME}]
    assert ledger.frame(sa.select(unit.c.name).where(unit.c.name == NAME))["name"].to_list() == [NAME, NAME]
    assert ledger.table_state("t", "remits", NAME).units == ()
    ledger.close()
    kept = bytes_of(home)
    assert b"siv1:" in kept
    for part in (b"Okonkwo", b"Adaeze", b"1961-03-04", "Okonkwo".encode("utf-16-le")):
        assert part not in kept


def test_the_index_on_names_is_used(ledger: Ledger) -> None:
    query = sa.select(unit.c.unit_id).where(unit.c.tenant_id == "t", unit.c.feed == "remits", unit.c.name == NAME)
    compiled = query.compile(dialect=sa.dialects.sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with ledger.write() as connection:
        plan = connection.exec_driver_sql(f"explain query plan {compiled}").fetchall()
    assert "unit_by_name (tenant_id=? AND feed=? AND name=?)" in str(plan)


@given(name=st.text(min_size=0, max_size=80).filter(lambda text: "\0" not in text and text.isprintable()))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_name_comes_back_as_it_was(name: str, ledger: Ledger) -> None:
    number = add(ledger, name)
    assert ledger.rows(sa.select(unit.c.name).where(unit.c.unit_id == number)) == [{"name": name}]
    assert number in {row["unit_id"] for row in ledger.rows(sa.select(unit.c.unit_id).where(unit.c.name == name))}


def test_another_home_s_key_opens_no_name(tmp_path: Path) -> None:
    first, other = Home.at(tmp_path / "one"), Home.at(tmp_path / "other")
    ledger = Ledger(first)
    add(ledger, NAME)
    ledger.close()
    Keys.of(other)
    other.ledger.write_bytes(first.ledger.read_bytes())
    with pytest.raises(sa.exc.OperationalError, match="user-defined function raised exception"):
        Ledger(other).rows(sa.select(unit.c.name))


def test_the_names_of_an_earlier_ledger_are_sealed_and_leave_no_trace(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    ledger = Ledger(home)
    names = [f"{NAME}.{number}" for number in range(500)]
    for name in names:
        add(ledger, name)
    ledger.close()
    with closing(sqlite3.connect(home.ledger, isolation_level=None)) as connection:
        # As an earlier release wrote it: plain names, no number.
        for number, name in enumerate(names, start=1):
            connection.execute("update unit set name = ? where unit_id = ?", (name, number))
        connection.execute("drop table alembic_version")
    assert b"Okonkwo" in bytes_of(home)
    assert LEDGER.form(home.ledger) == "0000"
    ledger = Ledger(home)
    assert [row["name"] for row in ledger.rows(sa.select(unit.c.name).order_by(unit.c.unit_id))] == names
    ledger.close()
    assert b"Okonkwo" not in bytes_of(home)


def test_the_process_that_serves_pages_counts_the_ledger_and_reads_no_name(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    add(Ledger(home), NAME)
    with serving_keys(home):
        ledger = Ledger(home)
        assert ledger.rows(sa.select(sa.func.count(unit.c.unit_id).label("units"))) == [{"units": 1}]
        with pytest.raises(sa.exc.OperationalError, match="user-defined function raised exception"):
            ledger.rows(sa.select(unit.c.name))
