"""dbt's connection: the encrypted warehouse, and nothing confidential beside it."""

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from foundation import duck
from foundation.dbt_warehouse import Plugin
from foundation.home import Home
from foundation.keys import Keys


def opened(home: Home) -> duckdb.DuckDBPyConnection:
    """A connection as dbt-duckdb opens it with the plugin."""
    plugin = Plugin(name="dbt_warehouse", plugin_config={})
    config: dict[str, Any] = {}
    plugin.update_connection_config(None, config)
    connection = duckdb.connect(config=config)
    connection.install_extension("httpfs")
    connection.load_extension("httpfs")
    plugin.configure_connection(connection)
    return connection


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    home = Home.at(tmp_path)
    monkeypatch.setenv("CLINICMART_WAREHOUSE", str(home.warehouse))
    monkeypatch.setenv("CLINICMART_EXTENSIONS", str(duck.install_extension(home)))
    monkeypatch.setenv("CLINICMART_TMP", str(home.folder("tmp")))
    monkeypatch.setenv("DBT_ENV_SECRET_WAREHOUSE_KEY", Keys.of(home).derive_hex("warehouse"))
    return home


def test_what_dbt_builds_lies_encrypted_in_the_home(home: Home) -> None:
    with opened(home) as connection:
        # As dbt-duckdb says it, by the path that stands in the profile.
        connection.execute("attach if not exists 'warehouse.duckdb' as warehouse")
        connection.execute("create table warehouse.main.told as select 'Margarethe Lindqvist' as patient")
    assert b"Lindqvist" not in home.warehouse.read_bytes()
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="warehouse", key=Keys.of(home).derive_hex("warehouse"))
        assert connection.execute("from warehouse.main.told").fetchall() == [("Margarethe Lindqvist",)]


def test_what_does_not_fit_into_memory_is_written_encrypted_in_the_home(home: Home) -> None:
    with opened(home) as connection:
        connection.execute("set memory_limit = '60MB'; set threads = 1; set preserve_insertion_order = false")
        connection.execute(
            "create temp table big as select 'Margarethe Lindqvist ' || i as patient from range(5000000) t(i)"
        )
        spilt = [path for path in home.folder("tmp").rglob("*") if path.is_file()]
        assert spilt
        assert all(b"Lindqvist" not in path.read_bytes() for path in spilt)


def spilling(connection: duckdb.DuckDBPyConnection) -> str:
    """Has a DuckDB with little memory sort more than fits; returns a digest of what it read back."""
    connection.execute("set memory_limit = '100MB'; set threads = 1")
    query = (
        "select md5(string_agg(a, '' order by place)) from (select a, row_number() over (order by a desc) as place "
        "from (select ((i * 7) % 999983)::varchar || repeat('x', 90) as a from range(1000000) t(i))) where place % 1000 = 0"
    )
    row = connection.execute(query).fetchone()
    assert row is not None
    return str(row[0])


def test_two_that_write_what_does_not_fit_at_once_read_their_own(home: Home) -> None:
    with ThreadPoolExecutor(2) as side_by_side, opened(home) as one, duck.session(home) as other:
        found = list(side_by_side.map(spilling, [one, other]))
    assert found[0] == found[1]
    assert list(home.folder("tmp").iterdir()) == []


def test_what_killed_processes_wrote_is_removed_and_what_is_in_use_is_not(home: Home) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    yesterday = time.time() - 25 * 3600
    for name, moment in (
        (f"{ended.pid}-0a", yesterday),
        (f"{ended.pid}-0b", time.time()),
        (f"{os.getpid()}-0c", yesterday),
    ):
        folder = home.folder("tmp", name)
        folder.joinpath("duckdb_temp_storage_DEFAULT-0.tmp").write_bytes(b"\0")
        os.utime(folder, (moment, moment))
    duck.remove_left_over(home)
    assert {folder.name for folder in home.folder("tmp").iterdir()} == {f"{ended.pid}-0b", f"{os.getpid()}-0c"}


def test_a_dbt_of_ones_own_is_told_what_it_lacks(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBT_ENV_SECRET_WAREHOUSE_KEY")
    with pytest.raises(RuntimeError, match="DBT_ENV_SECRET_WAREHOUSE_KEY is not set"):
        opened(home)
