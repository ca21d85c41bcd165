"""The dbt project, compiled once for all files of this folder by the test process that comes first."""

import shutil

import pytest

from tests.marts.building import Compiled, compile_project
from tests.support import made_once, shared_folder


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    base = shared_folder(tmp_path_factory, "compiled")
    with made_once(base) as is_mine:
        if is_mine:
            shutil.rmtree(base / "project", ignore_errors=True)
            (base / "project").mkdir()
            compile_project(base / "project")
    return Compiled(base / "project")
