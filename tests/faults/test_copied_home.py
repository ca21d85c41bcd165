"""A home that was copied or moved works by itself and writes nothing into the original."""

import shutil
from pathlib import Path

import pytest
import yaml

from dagster_project import together
from dagster_project.event_log import configure
from dagster_project.postgres_target import _forget_server_of_original
from dagster_project.workspace import Workspace
from foundation.home import Home
from tests.support import clinicmart_here


def test_the_orchestrator_on_a_copy_keeps_its_log_in_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "clinicmart.yaml"
    config.write_text(
        "tenants:\n  harbor: {name: Harbor, time_zone: America/New_York, feeds: [{name: remits, kind: x12, path: 835}]}\n"
    )
    original = Home.at(tmp_path / "original")
    (original.path / "config.json").write_text(f'{{"file": "{config}"}}')
    configure(original)
    before = {path: path.read_bytes() for path in original.path.rglob("*") if path.is_file()}
    copy = tmp_path / "copy"
    shutil.copytree(original.path, copy)
    environments: list[dict[str, str]] = []

    def started(_: object, environment: dict[str, str]) -> int:
        environments.append(environment)
        return 0

    monkeypatch.setattr(Workspace, "prepare_manifest", lambda _: Path())
    monkeypatch.setattr(together, "run_together", started)
    assert clinicmart_here("dagster", "--home", copy).code == 0
    settings = yaml.safe_load((copy / "dagster" / "dagster.yaml").read_text("utf-8"))
    assert settings["event_log_storage"]["config"]["base_dir"] == str(copy / "dagster" / "history" / "runs")
    assert str(original.path) not in (copy / "dagster" / "dagster.yaml").read_text("utf-8")
    (environment,) = environments
    assert environment["DAGSTER_HOME"] == str(copy / "dagster")
    assert {path: path.read_bytes() for path in original.path.rglob("*") if path.is_file()} == before


def test_the_copy_of_a_running_server_is_no_running_server(tmp_path: Path) -> None:
    original, copy = tmp_path / "original" / "postgres", tmp_path / "copy" / "postgres"
    original.mkdir(parents=True)
    note = f"1\n{original}\n1790000000\n5432\n{original}\n\n1 2\nready\n"
    (original / "postmaster.pid").write_text(note)
    (original / ".handle_pids.json").write_text("[1]")
    shutil.copytree(original, copy)
    for folder, stays in ((original, True), (copy, False)):
        _forget_server_of_original(folder)
        assert (folder / "postmaster.pid").exists() == stays
        assert (folder / ".handle_pids.json").exists() == stays
