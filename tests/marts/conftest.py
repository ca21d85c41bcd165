"""The dbt project, compiled once for all files of this folder by the test process that comes first."""

import fcntl
import shutil

import pytest

from tests.marts.building import Compiled, compile_project
from tests.support import shared_folder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    base = shared_folder(tmp_path_factory, "compiled")
    with (base / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (base / "done").exists():
            shutil.rmtree(base / "project", ignore_errors=True)
            (base / "project").mkdir()
            compile_project(base / "project")
            (base / "done").touch()
    return Compiled(base / "project")
