"""Fixtures that several suites share: the demo's home, made once, and the real feeds."""

import re
from pathlib import Path

import pytest

from tests.support import REAL_DATA, Demo, clinicmart


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Three tenants, from feeds to published pages; made once a session."""
    home = tmp_path_factory.mktemp("demo") / "home"
    ran = clinicmart("demo", "--home", home, "--no-serve")
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
