"""The dbt project: its files, and the result of parsing it."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path

from dagster_project.dbt_process import PARENT_VARIABLE
from foundation.errors import ClinicmartError
from foundation.faults import sentence_of_words
from foundation.home import json_object, write_atomically
from serving.lineage.columns import LINEAGE_FILE

DBT_PROJECT = Path(__file__).parent.parent / "dbt"
TARGET = "duckdb"
# What `dbt_project.yml` reads in a run: what was parsed with other values dbt would parse again.
RUN_VARIABLES = {"CLINICMART_TEST_SEVERITY": "warn", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1"}
_BUILT_WITH = ("dbt-core", "dbt-duckdb", "dbt-postgres", "duckdb")
# Folders that dbt itself leaves in its project.
_NOT_BUILT = ("target", "logs", "dbt_packages")
_MANIFESTS = ("manifest.json", "semantic_manifest.json")
_PARSED = (*_MANIFESTS, "partial_parse.msgpack")


# This environment's own dbt: the program, and the arguments that come before dbt's own.
DBT_PROGRAM = sys.executable
DBT_MODULE = ("-P", "-m", "dagster_project.dbt_process")


@dataclass(frozen=True)
class DbtProject:
    """A folder with a dbt project."""

    path: Path

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever a file of the project does (README.md aside), or a version of what builds it."""
        digest = hashlib.sha256("".join(f"{name} {version(name)}\n" for name in _BUILT_WITH).encode())
        for path in sorted(self.path.rglob("*")):
            parts = path.relative_to(self.path).parts
            if (
                path.is_file()
                and parts[0] not in _NOT_BUILT
                and path.name != "README.md"
                and not path.name.startswith(".")
            ):
                digest.update("/".join(parts).encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()

    @property
    def _kept(self) -> Path:
        """Folder with the result of parsing this state of the project."""
        return self.path / "target" / "parsed" / self.fingerprint

    def keep_lineage(self, target: Path) -> None:
        """Keeps the lineage that a home worked out from the compiled models beside what is kept of the parsed project: it takes four
        seconds, and is the same for every home."""
        made, kept = target / LINEAGE_FILE, self._kept / LINEAGE_FILE
        try:
            if kept.parent.is_dir() and not (kept.exists() and kept.read_bytes() == made.read_bytes()):
                write_atomically(kept, made.read_bytes())
        except OSError:
            # The folder is read-only, or another process parsed another state: the next home works the lineage out again.
            return

    def parse(self, target: Path) -> None:
        """Leaves in `target` what dbt reads and writes of a parsed project: its manifests, and what it parses on from.

        Parsing takes ten seconds, and gives the same for every home: it is kept with the project, for the next one. Raises
        ClinicmartError where the project does not parse.
        """
        kept = self._kept
        if copy_parsed(kept, target):
            return
        arguments = ["--quiet", "parse", "--project-dir", str(self.path), "--profiles-dir", str(self.path)]
        arguments += ["--target", TARGET, "--target-path", str(target)]
        ran = subprocess.run(  # noqa: S603 - our own executable and paths
            [DBT_PROGRAM, *DBT_MODULE, *arguments],
            cwd=self.path,
            env={
                **os.environ,
                **RUN_VARIABLES,
                PARENT_VARIABLE: str(os.getpid()),
                "DBT_LOG_PATH": str(target),
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            output = (ran.stdout + ran.stderr).strip()
            raise ClinicmartError(sentence_of_words(output, target) or f"the dbt project does not parse: {output}")
        _keep(target, kept)


def is_parsed(folder: Path) -> bool:
    """Whether a folder holds what dbt parsed, whole. dbt itself parses again where its file `partial_parse.msgpack` is torn."""
    return all((folder / name).is_file() for name in _PARSED) and all(json_object(folder / name) for name in _MANIFESTS)


def copy_parsed(source: Path, target: Path) -> bool:
    """Copies what dbt parsed from one folder into another, with the lineage of columns where it is known; whether all that dbt parsed was
    there."""
    is_whole = _copy(source, target)
    if is_whole and (source / LINEAGE_FILE).is_file():
        write_atomically(target / LINEAGE_FILE, (source / LINEAGE_FILE).read_bytes())
    return is_whole


def _copy(source: Path, target: Path) -> bool:
    """Copies what dbt parsed from one folder into another; whether all of it was there."""
    if not is_parsed(source):
        return False
    for name in _PARSED:
        write_atomically(target / name, (source / name).read_bytes())
    return True


def _keep(parsed: Path, kept: Path) -> None:
    """Keeps the result of parsing for the next home, and removes that of earlier states of the project."""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            whole = Path(folder) / kept.name
            whole.mkdir()
            if _copy(parsed, whole):
                earlier = [path for path in kept.parent.iterdir() if len(path.name) == len(kept.name)]
                whole.rename(kept)
                for path in earlier:
                    shutil.rmtree(path, ignore_errors=True)
    except OSError:
        # Another process stored the same meanwhile, or the folder is read-only: then the next home parses again.
        return
