"""Backups that are made while a run and readers work: what is restored gives every figure, and works by itself."""

import os
import subprocess
import threading
import time
from collections import deque
from pathlib import Path

import pytest

from foundation.home import Home
from serving.model import MetricQuery
from serving.people.store import AccessStore
from serving.reader import open_reader
from tests.faults.kill_runs import TENANTS, add_remittance, published, start
from tests.small_site import copy_site
from tests.support import CLINICMART, clinicmart, clinicmart_here

pytestmark = pytest.mark.slow
RECOVERY_KEY = "a sentence that is long enough"


def figures(home: Path) -> dict[tuple[str, str, str | None], list[tuple[object, ...]]]:
    """Every metric of every tenant, in total and by month, as an administrator asks for it."""
    opened, answers = Home.at(home), {}
    for tenant in TENANTS:
        reader = open_reader(opened, AccessStore.open(opened).principal(tenant, f"admin@{tenant}"))
        for item in reader.metrics():
            for grain in (None, "month"):
                rows = reader.query(MetricQuery(metrics=[item.name], grain=grain)).rows()
                # Sums of binary fractions differ in the last digit with the order of rows.
                answers[tenant, item.name, grain] = [
                    tuple(round(value, 9) if isinstance(value, float) else value for value in row) for row in rows
                ]
    return answers


def test_what_was_backed_up_while_a_run_worked_gives_the_same_figures(small_site: Path, tmp_path: Path) -> None:
    site, place = tmp_path / "site", tmp_path / "backups"
    workspace = copy_site(small_site, site)
    home, config, key = workspace.home.path, workspace.config.file, {"CLINICMART_RECOVERY_KEY": RECOVERY_KEY}

    def backup(*more: str) -> str:
        done = clinicmart("backup", "--home", home, "--to", place, *more, env=key)
        assert done.code == 0, done.err
        return done.out

    def restored(name: str, *more: str | Path) -> Path:
        done = clinicmart("restore", "--from", place, "--to", tmp_path / name, *more, env=key)
        assert done.code == 0, done.err
        return tmp_path / name

    first = published(home)
    add_remittance(site, 12)
    run = start(config, home)
    stop = threading.Event()
    # The last reading alone is kept: a run on a busy machine takes long.
    readings: deque[object] = deque(maxlen=1)

    def read() -> None:
        # People read now and then; without a pause the reader takes a core from the run.
        while not stop.wait(1):
            readings.append(published(home))

    reads = threading.Thread(target=read, daemon=True)
    reads.start()
    assert run.stderr is not None
    made = 0
    try:
        for line in run.stderr:
            # Once while feeds land and once while dbt builds; lines come as the run goes on.
            if made < 2 and ("harbor" in line or "building and testing" in line):
                backup()
                made += 1
        assert run.wait() == 0
    finally:
        stop.set()
        reads.join()
    assert made == 2
    assert readings

    # A backup that is killed while it sends leaves whole ones, and the next one goes on.
    before = sum(path.is_file() for path in (place / "data").rglob("*"))
    killed = subprocess.Popen(
        [str(CLINICMART), "backup", "--home", str(home), "--to", str(place)],
        env=os.environ | key,
        stderr=subprocess.DEVNULL,
    )
    while killed.poll() is None and sum(path.is_file() for path in (place / "data").rglob("*")) == before:
        time.sleep(0.001)
    killed.kill()
    killed.wait()
    assert "every part is what was written" in backup("--check")
    backup("--keep", "3")

    whole = restored("whole")
    assert published(whole) == published(home) != first
    assert figures(whole) == figures(home)

    assert clinicmart_here("doctor", "--home", whole).out.startswith(f"{whole}: nothing is wrong.")

    # The oldest that is left was made while the run worked: the next run brings a tenant of it to where the home is.
    oldest = sorted(path.name for path in (place / "backups").iterdir())[0]
    one = restored("one", "--tenant", "mesa", "--at", oldest)
    opened = Home.at(one)
    assert AccessStore.open(opened).tenants() == (("mesa", "Mesa"),)
    assert AccessStore.open(opened).verify_audit().is_intact
    names = [path.relative_to(one).as_posix() for path in one.rglob("*")]
    assert names
    assert not [name for name in names if "harbor" in name]
    assert b"harbor" not in (one / "ledger.sqlite").read_bytes()
    done = clinicmart("run", "--config", config, "--home", one, "--tenant", "mesa")
    assert done.code == 0, done.err
    assert published(one, ("mesa",))["mesa"] == published(home)["mesa"]
