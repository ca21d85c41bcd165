"""Tenants that are landed side by side: each once, by any process, also where a helper or the run is killed."""

import logging
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import sqlalchemy as sa

import ingest.landing.side_by_side as module
from foundation.config import Config, load_config
from foundation.home import Home
from foundation.keys import Keys
from foundation.run_lock import step
from ingest import ledger as tables
from ingest.accounts.status import status
from ingest.landing.land_feed import FeedReport, land_feed, progress
from ingest.landing.side_by_side import SideBySide, helpers_for
from ingest.ledger import Ledger
from ingest.load.raw_tables import load_warehouse
from tests.ingest.test_landing import remittance

ROOT = Path(__file__).parents[2]
TENANTS = ("cedar", "harbor", "mesa")
HOW = {"full_refresh": False, "accept_deletions": False}
pytestmark = pytest.mark.slow


@dataclass
class Group:
    """A home, and three tenants whose files share names and ids."""

    home: Home
    config: Config
    ledger: Ledger

    def bring(self, files: int) -> None:
        for tenant in TENANTS:
            folder = self.config.file.parent / tenant
            folder.mkdir(exist_ok=True)
            for number in range(1, files + 1):
                claims = [(f"C{number}-{n}", "10.00", "8.00") for n in range(20)]
                (folder / f"{number:03d}.835").write_text(remittance(number, claims))

    def land(self, ahead: SideBySide) -> dict[str, FeedReport]:
        """Every feed in the order of the configuration, as a run goes through them."""
        result = {}
        for tenant in self.config.tenants:
            (feed,) = tenant.feeds
            landed = ahead.report(feed)
            if landed is None:
                with step(self.home, tenant.tenant_id):
                    landed = land_feed(self.home, Keys.of(self.home), self.ledger, feed, "run")
            result[tenant.tenant_id] = landed
        return result

    def units(self, tenant: str) -> int:
        """How many files are landed."""
        query = sa.select(tables.unit.c.unit_id).where(
            tables.unit.c.tenant_id == tenant, tables.unit.c.outcome == "landed"
        )
        return len(self.ledger.rows(query))

    def begun(self, tenant: str) -> bool:
        return bool(self.ledger.rows(sa.select(tables.unit.c.unit_id).where(tables.unit.c.tenant_id == tenant)))

    def holds_everything_once(self, files: int) -> None:
        loaded = load_warehouse(self.home, Keys.of(self.home), self.ledger, self.config)
        assert [self.units(tenant) for tenant in TENANTS] == [files] * 3
        # A remittance, twenty claims and lines with an adjustment each, in every file of every tenant; and its payer.
        assert loaded.rows == 3 * (files * (1 + 3 * 20) + 1)
        assert status(self.ledger, Keys.of(self.home))["is_conserved"]


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[Group]:
    file = tmp_path / "clinicmart.yaml"
    lines = [
        f"  {tenant}: {{name: {tenant}, time_zone: America/Denver, feeds: [{{name: remits, kind: x12, path: {tenant}}}]}}"
        for tenant in TENANTS
    ]
    file.write_text("\n".join(["tenants:", *lines]), encoding="utf-8")
    home = Home.at(tmp_path / "home")
    with closing(Ledger(home)) as ledger:
        yield Group(home, load_config(file), ledger)


def test_every_tenant_is_landed_once_and_told_of_as_if_by_the_run(
    group: Group, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    group.bring(8)
    (tmp_path / "mesa" / "none.835").write_text("not an 835")
    alone = Group(Home.at(tmp_path / "alone"), group.config, Ledger(Home.at(tmp_path / "alone")))
    with closing(SideBySide(0)) as nobody:
        nobody.begin(alone.home, group.config.tenants, "run", **HOW)
        expected = alone.land(nobody)
    caplog.clear()
    with caplog.at_level(logging.INFO, progress.name), closing(SideBySide(1)) as ahead:
        ahead.begin(group.home, group.config.tenants, "run", **HOW)
        wait_for(lambda: group.units("mesa") == 8)
        result = group.land(ahead)
    assert {t: replace(r, problems=[]) for t, r in result.items()} == {
        t: replace(r, problems=[]) for t, r in expected.items()
    }
    (problem,) = result["mesa"].problems
    assert problem.startswith("mesa/remits")
    assert "none.835" not in problem
    assert sum("mesa/remits: 9 of 9 files" in line for line in caplog.messages) == 1
    group.holds_everything_once(8)


def test_what_a_killed_helper_left_is_landed_by_the_run(group: Group) -> None:
    group.bring(40)
    with closing(SideBySide(1)) as ahead:
        ahead.begin(group.home, group.config.tenants, "run", **HOW)
        wait_for(lambda: group.begun("mesa"))
        (helper,) = _children()
        os.kill(helper, signal.SIGKILL)
        group.land(ahead)
    group.holds_everything_once(40)


def test_an_error_that_a_helper_met_is_met_again_by_the_run(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    group.bring(2)
    # A file where the folder of the tenant's batches should be: no reader's fault, and none of the others'.
    (group.home.folder("landing") / "mesa").write_text("")
    with closing(SideBySide(1)) as ahead:
        ahead.begin(group.home, group.config.tenants, "run", **HOW)
        wait_for(lambda: group.units("harbor") == 2)
        with pytest.raises(OSError, match="mesa"):
            group.land(ahead)
    assert [group.units(tenant) for tenant in TENANTS] == [2, 2, 0]


def test_a_helper_ends_with_the_run_that_was_killed(group: Group) -> None:
    group.bring(60)
    script = textwrap.dedent(f"""
        import time
        from foundation.config import load_config
        from foundation.home import Home
        from ingest.landing.side_by_side import SideBySide
        if __name__ == "__main__":
            ahead = SideBySide(1)
            config = load_config({str(group.config.file)!r})
            ahead.begin(Home.at({str(group.home.path)!r}), config.tenants, "killed", full_refresh=False, accept_deletions=False)
            time.sleep(100)
    """)
    file = group.config.file.with_name("run.py")
    file.write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.Popen([sys.executable, str(file)], env=environment)
    wait_for(lambda: group.begun("mesa"))
    helpers = _children(run.pid)
    run.kill()
    run.wait()
    wait_for(lambda: not any(Path("/proc", str(helper)).exists() for helper in helpers))
    assert helpers
    with closing(SideBySide(0)) as nobody:
        group.land(nobody)
    group.holds_everything_once(60)


def _children(contract_of_entity: int | None = None) -> list[int]:
    """Helpers of a process: spawned, and not the tracker that comes with them."""
    contract_of_entity = contract_of_entity or os.getpid()
    children = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if parent == contract_of_entity and b"spawn_main" in words:
                children.append(int(folder.name))
    return children


def test_helpers_are_called_where_there_is_more_than_they_cost(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4, 5, 6, 7})
    group.bring(1)
    tenants = group.config.tenants
    assert helpers_for(tenants) == 0
    monkeypatch.setattr(module, "WORTH_BYTES", 2000)
    assert helpers_for(tenants) == 2
    # A folder that is not there holds nothing, however much lies beside it.
    (feed,) = tenants[0].feeds
    absent = replace(tenants[0], feeds=(replace(feed, path=f"{feed.path}-absent"),))
    assert helpers_for([absent, absent]) == 0
    assert helpers_for(tenants[:1]) == 0
    assert helpers_for([*tenants, *tenants]) == module.MAXIMUM_HELPERS
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert helpers_for(tenants) == 0
