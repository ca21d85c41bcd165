"""Fixtures that several suites share: the demo's home, made once, and the real feeds."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from clinicmart.sample.writer import AS_OF
from tests.support import REAL_DATA, Demo, Ran, clinicmart, made_once, shared_folder
from tests.weights import QUICK_SECONDS, seconds_of

if TYPE_CHECKING:
    from tests.control_server import ControlServer

# Homes that are made once for all test processes, by the process that comes first.
MADE_ONCE = ("demo", "first", "small_site")

# No test asserts a time: examples take longer where other tests use the cores.
settings.register_profile("clinicmart", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("clinicmart")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="Run only files that take seconds, without a pipeline or a browser."
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files come first, so that no process is left with one when the others are done. Before them comes one file for each
    home that is made once: files that only need the home find it made, and no process waits."""
    weights = {path: seconds_of(path) for path in {item.path for item in items}}
    if config.getoption("quick"):
        is_quick = [weights[item.path] <= QUICK_SECONDS and not _is_slow(item) for item in items]
        config.hook.pytest_deselected(items=[item for item, quick in zip(items, is_quick, strict=True) if not quick])
        items[:] = [item for item, quick in zip(items, is_quick, strict=True) if quick]
    makers = []
    for fixture in MADE_ONCE:
        users = {item.path for item in items if fixture in getattr(item, "fixturenames", ())}
        makers += sorted(users, key=lambda path: (-weights[path], path))[:1]
    items.sort(key=lambda item: (item.path not in makers, -weights[item.path], item.path))


def _is_slow(item: pytest.Item) -> bool:
    needs = set(getattr(item, "fixturenames", ()))
    return bool(needs & set(MADE_ONCE)) or any(map(item.get_closest_marker, ("slow", "browser", "real_data")))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Three tenants, from feeds to published pages; made once, by the test process that comes first."""
    folder = shared_folder(tmp_path_factory, "demo")
    home, said = folder / "home", folder / "said.json"
    with made_once(folder) as is_mine:
        if is_mine:
            # A fixed day: tests name months.
            ran = clinicmart("demo", "--home", home, "--no-serve", "--until", AS_OF.isoformat())
            said.write_text(json.dumps(asdict(ran)), encoding="utf-8")
    ran = Ran(**json.loads(said.read_text("utf-8")))
    assert ran.code == 0, ran.out + ran.err
    passwords = dict(re.findall(r"sign in as admin@(\S+) with the one-time password (\S+)", ran.out))
    return Demo(home, passwords, ran)


@pytest.fixture(scope="session")
def small_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the small site of `tests/small_site.py`, to be copied; made once for all test processes."""
    folder = shared_folder(tmp_path_factory, "small")
    with made_once(folder) as is_mine:
        if is_mine:
            # Imported by the process that needs it alone: it imports the orchestrator.
            from tests.small_site import make

            shutil.rmtree(folder / "site", ignore_errors=True)
            (folder / "site").mkdir()
            make(folder / "site")
    return folder / "site"


@pytest.fixture(scope="session")
def control_server() -> "Iterator[ControlServer]":
    """A PostgreSQL server for homes whose people are not in a file; one for each test process that needs it."""
    from tests.control_server import running

    with tempfile.TemporaryDirectory(prefix="clinicmart-control-") as folder, running(Path(folder)) as server:
        yield server


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
