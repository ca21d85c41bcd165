"""A run that is killed leaves no process at work in its home, and a process that holds the warehouse is waited for by name."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dagster_project.dbt_process import PARENT_VARIABLE
from dagster_project.dbt_project import DBT_MODULE, DBT_PROGRAM
from dagster_project.together import run_together
from dagster_project.workspace import DBT_PROJECT, Workspace
from foundation import duck
from foundation.config import Config
from foundation.errors import ClinicmartError
from foundation.home import Home
from tests.faults.kill_runs import children
from tests.support import ROOT

# Prints the number of its child, which would sleep for a minute.
PARENT = """
import os, subprocess, sys, time
child = "import time; from dagster_project.dbt_process import *; end_with_parent(); print(0, flush=True); time.sleep(60)"
environment = os.environ | {"CLINICMART_PARENT": str(os.getpid())}
started = subprocess.Popen([sys.executable, "-c", child], env=environment, stdout=subprocess.PIPE)
started.stdout.readline()
print(started.pid, flush=True)
time.sleep(60)
"""


def is_alive(process: int) -> bool:
    """Whether a process runs; one that ended and that nobody asked for its result does not."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def ends(process: int) -> bool:
    """Whether a process that was told to end does so."""
    if not is_alive(process):
        return True
    # A descriptor of a process becomes readable when it ends.
    return bool(select.select([os.pidfd_open(process)], [], [], 30)[0])


def test_dbt_ends_with_the_process_that_started_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert is_alive(child)
    parent.kill()
    parent.wait()
    assert ends(child)


def test_dbt_does_not_begin_for_a_process_that_has_ended() -> None:
    command = [DBT_PROGRAM, *DBT_MODULE, "--version"]
    ran = subprocess.run(command, env=os.environ | {PARENT_VARIABLE: "1"}, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "the process that started dbt has ended" in ran.stderr


def test_every_dbt_of_a_run_is_started_so(tmp_path: Path) -> None:
    workspace = Workspace(Home.at(tmp_path), Config(file=tmp_path / "clinicmart.yaml", tenants=()))
    dbt = workspace.dbt()
    assert [dbt.dbt_executable, *dbt.global_config_flags] == [DBT_PROGRAM, *DBT_MODULE]
    assert dbt.project_dir == str(DBT_PROJECT)
    with workspace.dbt_environment():
        assert os.environ[PARENT_VARIABLE] == str(os.getpid())


def test_who_holds_the_warehouse_is_waited_for_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    home, key = Home.at(tmp_path), "ab" * 32
    script = (
        "import sys, time; from pathlib import Path; from foundation import duck; from foundation.home import Home\n"
        f"connection = duck.connect(Home.at({str(tmp_path)!r}))\n"
        f"duck.attach(connection, Path({str(home.warehouse)!r}), alias='warehouse', key={key!r})\n"
        "print('ready', flush=True); sys.stdin.readline()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdin is not None
    holder.stdout.readline()
    try:
        with duck.session(home) as connection:
            monkeypatch.setattr(duck, "_LOCK_PATIENCE_SECONDS", 0.3)
            with pytest.raises(
                ClinicmartError, match=rf"warehouse.duckdb is held by another process \(PID {holder.pid}\)"
            ):
                duck.attach(connection, home.warehouse, alias="warehouse", key=key)
            monkeypatch.setattr(duck, "_LOCK_PATIENCE_SECONDS", 60)
            monkeypatch.setattr(duck.time, "sleep", lambda _: (holder.stdin.close(), holder.wait()))
            with caplog.at_level("INFO", "clinicmart.progress"):
                duck.attach(connection, home.warehouse, alias="warehouse", key=key)
            assert f"waiting for another process (PID {holder.pid})" in caplog.text
            assert connection.execute("select 1 from duckdb_databases() where database_name = 'warehouse'").fetchone()
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()


# Two programs that run together, as the orchestrator's page and its daemon do: each starts a process and prints its number.
TOGETHER = """
import os, sys
from dagster_project.together import run_together
run_together([[sys.executable, "-c", {program!r}]] * 2, os.environ)
"""
PROGRAM = """
import signal, subprocess, sys, time
child = subprocess.Popen(["sleep", "60"])
signal.signal(signal.SIGTERM, {handler})
# In one piece: both programs write to the same pipe.
sys.stdout.write("%d\\n" % child.pid)
sys.stdout.flush()
time.sleep(60)
"""
ENDS_ITS_CHILD = "lambda *_: (child.terminate(), sys.exit(0))"
LEAVES_ITS_CHILD = "lambda *_: sys.exit(0)"


@pytest.mark.parametrize(
    ("number", "handler"),
    [
        (signal.SIGTERM, ENDS_ITS_CHILD),
        (signal.SIGINT, ENDS_ITS_CHILD),
        (signal.SIGTERM, LEAVES_ITS_CHILD),
        (signal.SIGKILL, ENDS_ITS_CHILD),
    ],
)
def test_what_runs_together_ends_together_with_all_it_started(number: int, handler: str) -> None:
    script = TOGETHER.format(program=PROGRAM.format(handler=handler))
    runner = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None
    grandchildren = [int(runner.stdout.readline()) for _ in range(2)]
    programs = children(runner.pid)
    assert len(programs) == 2
    runner.send_signal(number)
    assert runner.wait(30) == (-number if number == signal.SIGKILL else 0)
    assert all(ends(process) for process in [*programs, *grandchildren])


def test_when_one_of_them_ends_the_other_ends_too() -> None:
    long = [sys.executable, "-c", "import time; time.sleep(60)"]
    # Other tests of this process may have helpers of their libraries running.
    before = children(os.getpid())
    assert run_together([long, [sys.executable, "-c", "raise SystemExit(3)"]], os.environ) == 3
    assert set(children(os.getpid())) <= set(before)
