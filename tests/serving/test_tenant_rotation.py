"""New keys for one tenant: everything of it is written again while people read, and its earlier keys open nothing any more."""

import shutil
import signal
import threading
from pathlib import Path

import duckdb
import polars as pl
import pytest

from clinicmart.tenant_rotation import rotate_tenant
from foundation import duck
from foundation.errors import ClinicmartError, ConfigurationError, DamagedFileError
from foundation.home import Home
from foundation.key_masters import GRANTS
from foundation.keys import ROTATING, Keys
from serving.home_checks import closed_months
from serving.model import MetricQuery
from serving.open_files import close_all
from serving.reader import open_reader
from serving.versions.integrity import is_undamaged
from serving.versions.store import current_version
from tests.serving.tenant_files import files_of_tenant, landed, rows
from tests.support import clinicmart, run_killed_at

QUESTION = MetricQuery(metrics=["billed_amount"], by=["level_2"])


def answer(home: Home, access, name: str) -> pl.DataFrame:  # type: ignore[no-untyped-def]
    tenant = name.partition("@")[2]
    return open_reader(home, access.principal(tenant, name)).query(QUESTION)


def earlier_keys(home: Home, tenant: str) -> dict[str, bytes]:
    keys = Keys.of(home)
    return {purpose: keys.derive(purpose, tenant) for purpose in ROTATING}


def opens(home: Home, path: Path, keys: dict[str, bytes]) -> bool:
    """Whether any of some keys opens a file."""
    for key in keys.values():
        if path.suffix == ".parquet":
            try:
                duck.parquet_number(path, key)
            except DamagedFileError:
                continue
            return True
        with duck.session(home) as connection:
            try:
                duck.attach(connection, path, alias="tried", key=key.hex(), read_only=True)
            except duckdb.Error:
                continue
            return True
    return False


def test_a_tenant_is_written_again_while_people_read_and_its_earlier_keys_open_nothing(closed) -> None:  # type: ignore[no-untyped-def]
    home, access = closed.home, closed.access
    paths, of_mesa = landed(home, "harbor", 30), landed(home, "mesa", 2)
    before, lasting = (
        rows(home, "harbor", paths),
        {p: Keys.of(home).derive(p, "harbor") for p in ("token", "inbox", "scopes")},
    )
    figures = {name: answer(home, access, name) for name in ("admin@harbor", "biller@harbor", "admin@mesa")}
    copies = {path: path.read_bytes() for path in files_of_tenant(home, "harbor")}
    mesa_files = {path: path.read_bytes() for path in files_of_tenant(home, "mesa")}
    keys, mesa_keys = earlier_keys(home, "harbor"), earlier_keys(home, "mesa")
    ended, failures = threading.Event(), []

    def read() -> None:
        while not ended.is_set():
            try:
                for name, figure in figures.items():
                    close_all()
                    assert answer(home, access, name).equals(figure), name
                assert rows(home, "mesa", of_mesa)
            except BaseException as error:
                failures.append(error)
                return

    reader = threading.Thread(target=read)
    reader.start()
    done = rotate_tenant(home, "harbor")
    ended.set()
    reader.join()
    assert failures == []
    assert done.destroyed == (1,)
    assert done.files >= 30 + 2 + 1 + 3
    close_all()
    assert {name: answer(home, access, name).rows() for name in figures} == {n: f.rows() for n, f in figures.items()}
    assert rows(home, "harbor", paths) == before
    assert {p: Keys.of(home).derive(p, "harbor") for p in lasting} == lasting
    version = current_version(home, "harbor")
    assert version is not None
    assert set(version.digests) == {"base.duckdb", "health.duckdb"}
    assert is_undamaged(home, version)
    assert list(closed_months(home, "harbor")) == []
    # The earlier keys open no file of today; every key of today opens no kept copy.
    assert not any(opens(home, path, keys) for path in files_of_tenant(home, "harbor"))
    today = earlier_keys(home, "harbor") | {f"{name} of mesa": key for name, key in mesa_keys.items()}
    for path, content in copies.items():
        copy = home.path / f"kept{path.suffix}"
        copy.write_bytes(content)
        assert opens(home, copy, keys) or path.parent.name == "by_scope", path
        assert not opens(home, copy, today), path
        copy.unlink()
    assert {path: path.read_bytes() for path in mesa_files} == mesa_files


# Kills itself at the n-th file that is put in its place.
KILLED = """
import os, signal, sys
from foundation.home import Home
from clinicmart import tenant_rotation
reached, at, replace = 0, int(sys.argv[2]), os.replace
def pointed(*arguments):
    global reached
    for is_before in (True, False):
        reached += 1
        if reached == at: os.kill(os.getpid(), signal.SIGKILL)
        if is_before: replace(*arguments)
os.replace = pointed
tenant_rotation.rotate_tenant(Home.at(sys.argv[1]), "harbor")
print(reached)
"""


@pytest.mark.slow
def test_a_killed_rotation_is_finished_by_the_next_one(closed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    home, access = closed.home, closed.access
    paths = landed(home, "harbor", 3)
    before, figure, keys = (
        rows(home, "harbor", paths),
        answer(home, access, "admin@harbor"),
        earlier_keys(home, "harbor"),
    )
    close_all()
    whole = tmp_path / "whole"
    shutil.copytree(home.path, whole, symlinks=True)
    undisturbed = run_killed_at(KILLED, home, 0)
    assert undisturbed.returncode == 0, undisturbed.stderr
    points = int(undisturbed.stdout)
    for at in sorted({1, 2, points // 2, points // 2 + 1, points - 1, points}):
        shutil.rmtree(home.path)
        shutil.copytree(whole, home.path, symlinks=True)
        assert run_killed_at(KILLED, home, at).returncode == -signal.SIGKILL, at
        close_all()
        assert rows(home, "harbor", paths) == before, at
        assert answer(home, access, "admin@harbor").equals(figure), at
        close_all()
        rotate_tenant(home, "harbor")
        assert rows(home, "harbor", paths) == before, at
        assert answer(home, access, "admin@harbor").equals(figure), at
        version = current_version(home, "harbor")
        assert version is not None
        assert (is_undamaged(home, version), set(version.digests)) == (True, {"base.duckdb", "health.duckdb"}), at
        assert all(version.digests.values()), at
        assert not any(opens(home, path, keys) for path in files_of_tenant(home, "harbor")), at


def test_the_earlier_keys_stay_valid_where_a_file_cannot_be_written_again(place) -> None:  # type: ignore[no-untyped-def]
    paths = landed(place.home, "harbor", 2)
    paths[0].write_bytes(b"lost bytes")
    with pytest.raises((ClinicmartError, duckdb.Error)):
        rotate_tenant(place.home, "harbor")
    for grant in GRANTS:
        held = Keys.of(place.home).of_tenant(grant, "harbor")
        assert [item.number for item in held.generations] == [2, 1]
    assert rows(place.home, "harbor", paths[1:])
    paths[0].unlink()
    assert rotate_tenant(place.home, "harbor").destroyed == (1,)


def test_the_command_names_a_wrong_tenant_records_what_it_did_and_needs_both_grants(place, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    home = place.home.path
    wrong = clinicmart("keys", "rotate", "--home", home, "--tenant", "habor")
    assert (wrong.code, wrong.err.count("\n")) == (1, 1)
    assert "no tenant 'habor'; similar names: harbor" in wrong.err
    done = clinicmart("keys", "rotate", "--home", home, "--tenant", "harbor")
    assert (done.code, "the earlier keys are destroyed" in done.out) == (0, True)
    rows = place.access.audit_rows("harbor")
    assert "tenant keys rotated" in {row.action for row in rows}
    keys = Keys.of(place.home)
    monkeypatch.setattr(Keys, "of", classmethod(lambda cls, home: cls(home, {GRANTS[0]: keys.masters[GRANTS[0]]})))
    with pytest.raises(ConfigurationError, match="one grant alone"):
        rotate_tenant(place.home, "harbor")
