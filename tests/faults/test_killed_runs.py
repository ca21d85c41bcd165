"""Runs that are killed while dbt builds and while they publish, and a home that loses what can be made again, in one history."""

import shutil
from pathlib import Path

import pytest

from dagster_project.run import run_pipeline
from dagster_project.workspace import load_checked_config
from foundation.home import Home
from serving.versions.store import current_version
from tests.faults.kill_runs import add_remittance, published, run_until, write_site
from tests.faults.test_processes import ends

pytestmark = pytest.mark.slow


def test_killed_runs_and_lost_files_change_no_published_row(tmp_path: Path) -> None:
    config, home = write_site(tmp_path / "site"), Home.at(tmp_path / "home")
    started = run_until(config, home.path, lambda line: "building and testing" in line, has_child=True)
    assert started
    assert all(ends(process) for process in started)
    assert current_version(home, "harbor") is None

    add_remittance(tmp_path / "site", 2)
    run_until(config, home.path, lambda line: "harbor: published" in line, whole_group=True)
    before = current_version(home, "harbor")
    assert before is not None

    # What is made from the landed batches goes, while nothing new comes.
    home.warehouse.unlink()
    for name in ("dbt", "payments"):
        shutil.rmtree(home.path / name)
    outcome = run_pipeline(home, load_checked_config(config))
    assert (outcome.outcome, outcome.problems) == ("published", ())
    for tenant, marts in published(home.path).items():
        assert len(marts["fct_remittance_lines"]) == 2, tenant
