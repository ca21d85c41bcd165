"""Keys, the home folder and encrypted files."""

import base64
import os
import stat
from pathlib import Path

import duckdb
import pytest

from foundation import duck
from foundation.errors import ConfigurationError
from foundation.home import Home, write_atomically
from foundation.keys import VARIABLE, Keys


def test_the_master_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    first = Keys.of(home)
    assert Keys.of(home) == first
    assert stat.S_IMODE(home.master_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700
    assert first.master.hex() not in repr(first)


def test_every_purpose_and_tenant_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = Keys.of(Home.at(tmp_path))
    made = {keys.derive(p, t) for p in ("token", "landing", "vault") for t in ("harbor", "mesa", "")}
    assert len(made) == 9
    assert keys.derive("token", "harbor") == keys.derive("token", "harbor")


def test_the_environment_gives_the_key_and_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, base64.b64encode(os.urandom(32)).decode())
    home = Home.at(tmp_path)
    Keys.of(home)
    assert not home.master_key.exists()


@pytest.mark.parametrize("value", ["short", base64.b64encode(b"x" * 16).decode(), ""])
def test_a_broken_key_is_refused_without_showing_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ConfigurationError, match="32 bytes") as caught:
        Keys.of(Home.at(tmp_path))
    assert not value or value not in str(caught.value)


def test_a_damaged_key_file_is_not_replaced(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    Keys.of(home)
    home.master_key.write_bytes(b"half")
    with pytest.raises(ConfigurationError, match="backup"):
        Keys.of(home)
    assert home.master_key.read_bytes() == b"half"


def with_data(home: Home) -> Keys:
    keys = Keys.of(home)
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"))
        connection.execute("create table warehouse.main.t as select 1 as n")
    return keys


def test_a_missing_key_of_a_home_with_data_is_an_error_and_makes_no_new_one(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    with_data(home)
    home.master_key.unlink()
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="restore it from your backup"):
            Keys.of(home)
        assert not home.master_key.exists()


def test_another_key_is_noticed_before_anything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.at(tmp_path)
    keys = with_data(home)
    right = home.master_key.read_bytes()
    home.master_key.write_bytes(os.urandom(32))
    with pytest.raises(ConfigurationError, match="another key"):
        Keys.of(home)
    monkeypatch.setenv(VARIABLE, base64.b64encode(os.urandom(32)).decode())
    with pytest.raises(ConfigurationError, match=VARIABLE):
        Keys.of(home)
    monkeypatch.setenv(VARIABLE, base64.b64encode(right).decode())
    assert Keys.of(home) == keys


def test_processes_that_make_a_home_at_once_agree_on_its_key(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    home = Home.at(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(lambda _: Keys.of(home), range(32)))
    assert len({(keys.master, keys.derive("session"), keys.derive("warehouse")) for keys in opened}) == 1
    assert sorted(path.name for path in home.keys.iterdir()) == ["ingest", "master.key", "serving"]
    assert [path.name for path in home.keys.glob("*/*")] == ["home.key", "home.key"]


def test_a_database_file_opens_with_its_key_and_not_without(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    keys = Keys.of(home)
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="warehouse", key=keys.derive_hex("warehouse"))
        connection.execute("create table warehouse.main.t as select 'Ada Lovelace' as name")
    assert b"Ada Lovelace" not in home.warehouse.read_bytes()
    with duck.session(home) as connection, pytest.raises(duckdb.Error):
        duck.attach(connection, home.warehouse, alias="warehouse", key=keys.derive_hex("vault"))
    with duck.session(home) as connection:
        duck.attach(connection, home.warehouse, alias="w", key=keys.derive_hex("warehouse"), read_only=True)
        assert connection.execute("select name from w.main.t").fetchall() == [("Ada Lovelace",)]


def test_an_atomic_write_leaves_the_old_file_or_the_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "current.json"
    write_atomically(target, b"old")

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
