"""A full disk, and files that end in the middle: what can be made again is made again, what cannot is named."""

import errno
import json
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from dagster_project import dbt_project
from dagster_project.dbt_project import DbtProject, is_parsed
from dagster_project.run import run_pipeline
from dagster_project.workspace import Workspace
from foundation import duck, faults
from foundation import home as home_module
from foundation.config import Config
from foundation.errors import ClinicmartError, ConfigurationError, DamagedFileError
from foundation.faults import sentence_of, sentence_of_words
from foundation.home import Home, json_object, write_atomically
from foundation.kept_files import Derived, read_derived

WHOLE = b'{"nodes": {"model.a": 1}}'


@given(st.integers(0, len(WHOLE)))
def test_a_file_that_ends_anywhere_is_made_again_or_named(tmp_path_factory: pytest.TempPathFactory, end: int) -> None:
    path = tmp_path_factory.mktemp("torn") / "file.json"
    path.write_bytes(WHOLE[:end])
    is_whole = end == len(WHOLE)
    content = json.loads(WHOLE) if is_whole else {}
    assert read_derived(path) == json_object(path) == content
    if is_whole:
        assert Derived.read(path).content == content
    else:
        with pytest.raises(DamagedFileError, match=r"file\.json: does not parse; restore it"):
            Derived.read(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"null", b"\xff\xfe", b"\0" * 40])
def test_a_file_of_something_else_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file.json").write_bytes(content)
    assert read_derived(tmp_path / "file.json") == json_object(tmp_path / "file.json") == {}


def test_a_torn_note_of_the_configuration_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"file": "/clin')
    with pytest.raises(ConfigurationError, match="start with clinicmart run --config"):
        Workspace.of_home(Home.at(tmp_path))


@pytest.mark.parametrize("name", ["manifest.json", "semantic_manifest.json"])
def test_a_torn_manifest_is_parsed_again(tmp_path: Path, name: str) -> None:
    workspace = Workspace(Home.at(tmp_path), Config(file=tmp_path / "clinicmart.yaml", tenants=()))
    whole = workspace.prepare_manifest().with_name(name).read_bytes()
    (workspace.dbt_target / name).write_bytes(whole[: len(whole) // 2])
    assert not is_parsed(workspace.dbt_target)
    workspace.prepare_manifest()
    assert is_parsed(workspace.dbt_target)
    assert list(json_object(workspace.dbt_target / name)) == list(json.loads(whole))


def test_a_torn_manifest_kept_with_the_project_is_not_handed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, target = DbtProject(tmp_path / "dbt"), tmp_path / "target"
    kept = project.path / "target" / "parsed" / project.fingerprint
    for folder in (kept, target):
        folder.mkdir(parents=True)
    for name in ("manifest.json", "semantic_manifest.json", "partial_parse.msgpack"):
        (kept / name).write_bytes(WHOLE[:-5])

    def parse(*_: Any, **__: Any) -> Any:
        for path in kept.iterdir():
            (target / path.name).write_bytes(WHOLE)
        return dbt_project.subprocess.CompletedProcess((), 0, "", "")

    monkeypatch.setattr(dbt_project.subprocess, "run", parse)
    project.parse(target)
    assert is_parsed(target)


def test_a_disk_that_is_full_when_dbt_parses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project, said = DbtProject(tmp_path / "dbt"), 'File "/lib/logging.py"\nOSError: [Errno 28] No space left on device'
    ran = dbt_project.subprocess.CompletedProcess((), 1, "", said)
    monkeypatch.setattr(dbt_project.subprocess, "run", lambda *_, **__: ran)
    with pytest.raises(
        ClinicmartError, match=rf"^{tmp_path}/target: the disk is full; free space on it and try again$"
    ):
        project.parse(tmp_path / "target")


def test_a_run_does_not_begin_without_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home.at(tmp_path / "home")
    monkeypatch.setattr(faults.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 1 << 40, 20 << 20))
    with pytest.raises(Exception, match=r"20 MB are free on its disk and a run needs 256 MB; .* Nothing was changed"):
        run_pipeline(home, Config(file=tmp_path / "clinicmart.yaml", tenants=()))
    assert not [path for path in home.path.rglob("*") if path.is_file()]


def test_a_full_disk_leaves_the_old_file_and_no_half_of_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "current.json"
    write_atomically(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(home_module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, b"new")
    assert [item.name for item in tmp_path.iterdir()] == ["current.json"]
    assert path.read_bytes() == b"old"


FULL = "the disk is full; free space on it and try again"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/h/landing/a.parquet"), f"/h/landing/a.parquet: {FULL}"),
        (
            duckdb.IOException('IO Error: Could not write file "/h/w.duckdb": No space left on device'),
            f"/h/w.duckdb: {FULL}",
        ),
        (sqlite3.OperationalError("database or disk is full"), f"a file of the home: {FULL}"),
        (
            OperationalError("insert", {}, sqlite3.OperationalError("database or disk is full")),
            f"a file of the home: {FULL}",
        ),
        (
            OperationalError("pragma", {}, sqlite3.OperationalError("disk I/O error")),
            "a file of the home: the disk is full or cannot be written; free space, check the disk and try again",
        ),
        (KeyError("a mistake of ours"), None),
        (ValueError("No space left on device"), None),
    ],
)
def test_errors_of_the_machine_are_sentences_and_mistakes_of_ours_are_not(error: Exception, told: str | None) -> None:
    assert sentence_of(error) == told
    wrapped = RuntimeError("the step failed")
    wrapped.__cause__ = error
    assert sentence_of(wrapped) == told


def test_the_words_that_the_orchestrator_hands_on_are_enough() -> None:
    words = '_duckdb.IOException: IO Error: Cannot open file "/h/landing/x.parquet": Permission denied\n'
    assert sentence_of_words(words) is not None
    assert "check the owner and mode" in str(sentence_of_words(words))
    assert sentence_of_words("KeyError: 'payer'") is None


def test_a_database_that_lost_bytes_is_named(tmp_path: Path) -> None:
    home, path, key = Home.at(tmp_path), tmp_path / "vault.duckdb", "ab" * 32
    with duck.session(home) as connection:
        duck.attach(connection, path, alias="vault", key=key)
        connection.execute("create table vault.patient as select range as id from range(1000)")
        connection.execute("detach vault")
        content = bytearray(path.read_bytes())
        for place in (0, 9, 20, 4096 + 100, 3 * 4096 + 50):
            spoilt = bytearray(content)
            spoilt[place] ^= 0xFF
            path.write_bytes(spoilt)
            with pytest.raises(duckdb.Error) as caught:
                duck.attach(connection, path, alias="vault", key=key)
            told = sentence_of(caught.value)
            assert told is not None
            assert told.startswith(f"{path}: it ")
            assert "restore it from your backup" in told
