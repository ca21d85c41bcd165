"""What several suites use: the command line as a process, and where things lie."""

import fcntl
import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from clinicmart.main import main
from foundation.home import Home

ROOT = Path(__file__).parent.parent
REAL_DATA = ROOT.parent / "shared" / "data"
CLINICMART = Path(sys.executable).parent / "clinicmart"


def shared_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> Path:
    """A folder that all test processes of this session share. A process that makes something in it holds a file lock meanwhile."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    folder.mkdir(exist_ok=True)
    return folder


@contextmanager
def made_once(folder: Path, name: str = "made") -> Iterator[bool]:
    """True for the test process that is to make something in a shared folder. The others wait until it has, and get False; where the
    maker fails, the next one makes it."""
    done = folder / f"{name}.done"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        is_mine = not done.exists()
        yield is_mine
        done.touch()


def run_killed_at(program: str, home: Home, at: int) -> subprocess.CompletedProcess[str]:
    """Runs a program that kills itself at a numbered point of its work on a home; at 0 never, and it then prints how many points there
    are. The program reads both from its arguments."""
    return subprocess.run(
        [sys.executable, "-c", program, str(home.path), str(at)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


@dataclass(frozen=True)
class Ran:
    """A finished command: exit code and what it printed."""

    code: int
    out: str
    err: str


def clinicmart(*arguments: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> Ran:
    """Runs the command line as a user does, in a separate process."""
    done = subprocess.run(
        [str(CLINICMART), *map(str, arguments)],
        cwd=cwd,
        env=os.environ | (env or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def clinicmart_here(*arguments: str | Path) -> Ran:
    """The same command line in this process: for questions, of which a test asks many and a process takes seconds to start."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["clinicmart", *map(str, arguments)]
    try:
        with redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as ended:
        return Ran(int(ended.code or 0), out.getvalue(), err.getvalue())
    finally:
        sys.argv = before
    raise AssertionError("the command line did not end")


@dataclass(frozen=True)
class Demo:
    """The demo's home after `clinicmart demo --no-serve`, and the one-time passwords it printed."""

    home: Path
    passwords: dict[str, str]
    printed: Ran
