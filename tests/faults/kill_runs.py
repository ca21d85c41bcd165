"""Kills runs with SIGKILL and compares what is published in the end with a home that nobody disturbed.

The suite kills at a few named places (`test_killed_runs.py`). For a long trial at random moments, of the process alone or of its whole
group: `python -m tests.faults.kill_runs --kills 100`.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from serving.versions.store import current_version, files_of
from tests.ingest.test_landing import remittance
from tests.support import CLINICMART

TENANTS = {"harbor": "America/New_York", "mesa": "America/Denver"}


def write_site(folder: Path) -> Path:
    """A configuration with a feed of one 835 for each of two tenants; returns its path."""
    lines = ["tenants:"]
    for tenant, zone in TENANTS.items():
        (folder / tenant).mkdir(parents=True)
        add_remittance(folder, 1)
        feeds = f"[{{name: remits, kind: x12, path: {tenant}}}]"
        lines.append(f"  {tenant}: {{name: {tenant.title()}, time_zone: {zone}, feeds: {feeds}}}")
    file = folder / "clinicmart.yaml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def add_remittance(folder: Path, number: int) -> None:
    """One more 835 for each tenant, of one payment of 80.00 US dollars."""
    for tenant in TENANTS:
        if (folder / tenant).is_dir():
            content = remittance(number, [(f"C{number}", "100.00", "80.00")])
            (folder / tenant / f"{number}.835").write_text(content, encoding="utf-8")


def start(config: Path, home: Path) -> "subprocess.Popen[str]":
    """A run in a separate process group, with its progress lines in `stderr`."""
    command = [str(CLINICMART), "run", "--config", str(config), "--home", str(home)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def run_until(
    config: Path, home: Path, is_place: Callable[[str], bool], *, has_child: bool = False, whole_group: bool = False
) -> list[int]:
    """Kills a run when it says a line of a place, with `has_child` once it has started a process there; returns the ids of the
    processes that it had started by then."""
    run = start(config, home)
    assert run.stderr is not None
    said = []
    for line in run.stderr:
        said.append(line)
        if is_place(line):
            break
    else:
        raise AssertionError(f"the run ended before it came to the place; it said: {''.join(said[-8:])}")
    latest = time.monotonic() + 10
    while has_child and not children(run.pid) and time.monotonic() < latest:
        time.sleep(0.05)
    started = children(run.pid)
    kill(run, whole_group=whole_group)
    return started


def kill(run: "subprocess.Popen[str]", *, whole_group: bool) -> None:
    """SIGKILL for the process alone, or for its group."""
    if whole_group:
        os.killpg(run.pid, signal.SIGKILL)
    else:
        run.kill()
    run.wait()


def children(process: int) -> list[int]:
    """The ids of the processes that a process has started and that run."""
    listed = Path(f"/proc/{process}/task/{process}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def published(home: Path, tenants: Iterable[str] = tuple(TENANTS)) -> dict[str, dict[str, list[tuple[object, ...]]]]:
    """Tenant to mart to its rows, without columns that differ from home to home; of the served versions."""
    opened, found = Home.at(home), {}
    for tenant in tenants:
        version = current_version(opened, tenant)
        assert version is not None
        with duck.session(opened) as connection:
            key = Keys.of(opened).derive_hex("published", tenant)
            duck.attach(connection, files_of(opened, tenant, version.version).base, alias="b", key=key, read_only=True)
            names = connection.execute(
                "select table_name from duckdb_tables() where database_name = 'b' and schema_name = 'marts' order by 1"
            ).fetchall()
            found[tenant] = {name: _rows(connection, name) for (name,) in names}
    return found


def _rows(connection: object, name: str) -> list[tuple[object, ...]]:
    """Batches and units are numbered by run, tokens are of the home's key, and times of reading are those of the run."""
    described = connection.execute(f'describe b.marts."{name}"').fetchall()  # type: ignore[attr-defined]
    own = ("batch", "position", "token", "updated_at", "_at", "sequence", "key", "unit_id")
    columns = [row[0] for row in described if not any(part in row[0] for part in own)]
    listed = ", ".join(f'"{column}"' for column in columns) or "1"
    return connection.execute(f'select {listed} from b.marts."{name}" order by all').fetchall()  # type: ignore[attr-defined,no-any-return]


def run_to_end(config: Path, home: Path) -> None:
    """A run that nobody kills."""
    run = start(config, home)
    said = run.communicate()[1]
    assert run.returncode == 0, said


def main() -> int:
    """Kills runs at random moments, with a new file before each; then compares with an undisturbed home."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--longest-seconds", type=float, default=75.0, help="the latest moment at which a run is killed"
    )
    options = parser.parse_args()
    choice = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="clinicmart-kills-") as folder:
        site = Path(folder) / "site"
        config = write_site(site)
        for number in range(2, options.kills + 2):
            add_remittance(site, number)
            run = start(config, Path(folder) / "killed")
            # Its lines are read away, or it would wait for a reader.
            threading.Thread(target=run.communicate, daemon=True).start()
            time.sleep(choice.uniform(0.5, options.longest_seconds))
            kill(run, whole_group=choice.random() < 0.5)
            sys.stderr.write(f"kill {number - 1} of {options.kills}\n")
        run_to_end(config, Path(folder) / "killed")
        run_to_end(config, Path(folder) / "undisturbed")
        is_same = published(Path(folder) / "killed") == published(Path(folder) / "undisturbed")
    sys.stderr.write("every published row is equal\n" if is_same else "PUBLISHED ROWS DIFFER\n")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
