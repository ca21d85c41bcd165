"""Fixtures that several suites share: the demo's home, made once, and the real feeds."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
REAL_DATA = ROOT.parent / "shared" / "data"
CLINICMART = Path(sys.executable).parent / "clinicmart"


@dataclass(frozen=True)
class Ran:
    """A finished command: exit code and what it printed."""

    code: int
    out: str
    err: str


def clinicmart(*arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Ran:
    """Runs the command line as a user does, in a process of its own."""
    done = subprocess.run(
        [str(CLINICMART), *map(str, arguments)],
        cwd=cwd,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Demo:
    """The demo's home after `clinicmart demo --no-serve`, and the one-time passwords it printed."""

    home: Path
    passwords: dict[str, str]
    printed: Ran


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
