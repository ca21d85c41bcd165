"""One dbt command on a home, as a person types it (`clinicmart dbt`).

dbt gets the project, the connection and the warehouse's key through its environment. The key is never printed, and dbt keeps it out of
its logs. What dbt parses and compiles here goes to `dbt/command` of the home, apart from what a pipeline run leaves in `dbt/target`.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from dagster_project.dbt_project import DBT_MODULE, DBT_PROGRAM, DBT_PROJECT, TARGET
from dagster_project.postgres_target import dbt_variables, warehouse_server
from dagster_project.workspace import Workspace
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.run_lock import is_held

SHELL = "shell"
# Commands that open no warehouse.
_OFFLINE = frozenset({"clean", "deps", "list", "ls", "parse"})
# Commands that read the warehouse and change nothing in it.
_READ_ONLY = frozenset({"compile", "debug", "docs", "show", "source", "test"})


def run_dbt(home: Home, arguments: Sequence[str]) -> int:
    """Runs dbt with these arguments on the home's warehouse and returns dbt's exit code: 0 done, 1 failed, 2 wrong options.

    The first argument is dbt's command, or `shell`. While dbt has the warehouse open, steps of a pipeline run wait. Raises
    ClinicmartError while a run is under way, and ConfigurationError where nothing ran in the home or the command does not suit
    its target.
    """
    workspace = Workspace.of_home(home)
    if arguments[0] == SHELL:
        return _shell(home)
    if _is_offline(arguments):
        with _environment(workspace):
            return _dbt(arguments)
    if is_held(home):
        raise ClinicmartError(
            f"{home.path}: a pipeline run is under way in this home, and a warehouse has one user at a time; wait for it to end"
        )
    with workspace.step():
        if arguments[0] not in _READ_ONLY:
            _expect_changes(workspace, arguments[0])
        with _environment(workspace):
            return _dbt(arguments)


def _is_offline(arguments: Sequence[str]) -> bool:
    return arguments[0] in _OFFLINE or arguments[0].startswith("-") or tuple(arguments[:2]) == ("docs", "serve")


def _expect_changes(workspace: Workspace, command: str) -> None:
    """Makes the next run build and check every tenant: a build by hand may differ from a build of that run."""
    if workspace.target != TARGET:
        raise ConfigurationError(
            f"dbt {command} is not for a home whose marts are on PostgreSQL: clinicmart run builds them beside the served tables and "
            "switches once all tests have passed. Use clinicmart run --full-refresh, or a home on DuckDB"
        )
    workspace.forget(everybody=True)


@contextmanager
def _environment(workspace: Workspace) -> Iterator[None]:
    """Sets the environment variables that dbt reads, in this process."""
    folder = workspace.home.folder("dbt", "command")
    if not (folder / "partial_parse.msgpack").exists():
        workspace.project.parse(folder)
    variables = {
        "DBT_PROJECT_DIR": str(DBT_PROJECT),
        "DBT_PROFILES_DIR": str(DBT_PROJECT),
        "DBT_TARGET_PATH": str(folder),
        # Tests warn in a pipeline run, which then leaves out single tenants. Here one that finds rows fails.
        "DBT_WARN_ERROR_OPTIONS": '{"error": ["LogTestResult"]}',
    }
    on_server = workspace.target != TARGET
    with warehouse_server(workspace) if on_server else nullcontext() as server:
        if server is not None:
            variables |= {"CLINICMART_TARGET": workspace.target, **dbt_variables(server)}
        with workspace.dbt_environment(variables):
            yield


def _dbt(arguments: Sequence[str]) -> int:
    command = [DBT_PROGRAM, *DBT_MODULE, *arguments]
    return subprocess.run(command, cwd=DBT_PROJECT, check=False).returncode  # noqa: S603 - the user's own arguments


def _shell(home: Home) -> int:
    """The user's shell in the dbt project, where `dbt` means `clinicmart dbt` on this home. It holds neither the key nor the warehouse:
    each command opens them and closes them again."""
    with TemporaryDirectory(prefix="clinicmart-dbt-") as folder:
        script = Path(folder) / "dbt"
        words = [sys.executable, "-P", "-m", "clinicmart.main", "dbt", "--home", str(home.path)]
        script.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        script.chmod(0o700)
        path = os.pathsep.join((folder, os.environ.get("PATH", os.defpath)))
        shell = os.environ.get("SHELL", "/bin/sh")
        return subprocess.run([shell], cwd=DBT_PROJECT, env={**os.environ, "PATH": path}, check=False).returncode  # noqa: S603
