"""Fixtures that several suites share: the demo's home, made once, and the real feeds."""

import fcntl
import json
import os
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.support import REAL_DATA, Demo, Ran, clinicmart


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that hold slow tests come first, so that no process is left with one of them when the others are done: at once one that
    makes the demo, and last those that would only wait for it."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    waits = {item.path for item in items if "demo" in getattr(item, "fixturenames", ())}
    maker = min(slow & waits, default=None)
    items.sort(key=lambda item: (item.path != maker, item.path not in slow, item.path in waits))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Three tenants, from feeds to published pages; made once, whichever of the test processes comes first."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "demo"
    folder.mkdir(exist_ok=True)
    home, said = folder / "home", folder / "said.json"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not said.exists():
            ran = clinicmart("demo", "--home", home, "--no-serve")
            said.write_text(json.dumps(asdict(ran)), encoding="utf-8")
    ran = Ran(**json.loads(said.read_text("utf-8")))
    assert ran.code == 0, ran.out + ran.err
    passwords = dict(re.findall(r"sign in as admin@(\S+) with the one-time password (\S+)", ran.out))
    return Demo(home, passwords, ran)


@pytest.fixture(scope="session")
def demo_home(demo: Demo) -> Path:
    """Home of the published demo."""
    return demo.home


@pytest.fixture(scope="session")
def demo_passwords(demo: Demo) -> dict[str, str]:
    """Tenant id to the one-time password of `admin@<tenant>`."""
    return demo.passwords


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real feeds; skips where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("the real feeds are not beside the project (../shared/data)")
    return REAL_DATA
