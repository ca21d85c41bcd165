"""dbt's connection: the encrypted warehouse, and nothing confidential beside it."""

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


def test_a_dbt_of_ones_own_is_told_what_it_lacks(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBT_ENV_SECRET_WAREHOUSE_KEY")
    with pytest.raises(RuntimeError, match="DBT_ENV_SECRET_WAREHOUSE_KEY is not set"):
        opened(home)
