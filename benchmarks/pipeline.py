"""The pipeline at size: writing a sample, landing, loading, building, publishing; one more day for one tenant; a run with nothing new.

    python benchmarks/pipeline.py [--tenants N] [--appointments N]

Wall and processor seconds and peak memory of each stage as a separate process, as a user would run it, and what each run took
of the first, which builds everything: in all, and its part in dbt (wall).
"""

import argparse
import re
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

CLINICMART = Path(sys.executable).parent / "clinicmart"
_DBT = re.compile(r"([\d.]+) s  dbt: (building|\d+ models)")


@dataclass(frozen=True, kw_only=True)
class Took:
    """What a stage took, in seconds; `dbt` is none where nothing was built."""

    wall: float
    processor: float
    dbt: float | None

    def of(self, first: "Took") -> str:
        """Its share of another stage's."""
        shares = {"wall": self.wall / first.wall, "processor": self.processor / first.processor}
        if self.dbt is not None and first.dbt:
            shares["dbt"] = self.dbt / first.dbt
        return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())


def stage(title: str, *arguments: str | Path) -> Took:
    """Runs one command and prints what it took."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(CLINICMART), *map(str, arguments)], capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Of all children so far: stages come in rising order of memory.
    peak = after.ru_maxrss / 1e6
    print(
        f"{title}: {wall:.1f} s, processor {processor:.1f} s, peak so far {peak:.1f} GB, exit {done.returncode}",
        flush=True,
    )
    for line in done.stderr.splitlines():
        if any(word in line for word in ("warehouse:", "dbt:", "published")):
            print(f"    {line.strip()}", flush=True)
    moments = [float(moment) for moment, _ in _DBT.findall(done.stderr)]
    return Took(wall=wall, processor=processor, dbt=moments[1] - moments[0] if len(moments) == 2 else None)


def hold_back_a_day(database: Path) -> Path:
    """Takes what changed on the last day out of a PM database of the sample; returns a copy that has it."""
    whole = database.with_suffix(".whole")
    shutil.copyfile(database, whole)
    with sqlite3.connect(database) as connection:
        tables = [name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")]
        dated = [t for t in tables if any(c[1] == "updated_at" for c in connection.execute(f"pragma table_info({t})"))]
        (day,) = connection.execute("select max(substr(updated_at, 1, 10)) from appointments").fetchone()
        held = sum(connection.execute(f"delete from {t} where updated_at >= ?", [day]).rowcount for t in dated)
    print(f"{database.parent.name}: {held:,} rows of {day} held back", flush=True)
    return whole


def main() -> None:
    """Runs the stages on a sample of the size asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=3)
    parser.add_argument("--appointments", type=int, default=200_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        feeds, home = Path(folder) / "feeds", Path(folder) / "home"
        size = ("--tenants", str(asked.tenants), "--appointments", str(asked.appointments))
        stage(
            f"sample of {asked.appointments:,} appointments", "sample", "--out", feeds, "--until", "2026-10-31", *size
        )
        run = ("run", "--config", feeds / "config.yaml", "--home", home)
        tenants = list(yaml.safe_load((feeds / "config.yaml").read_text("utf-8"))["tenants"])
        whole = {tenant: hold_back_a_day(feeds / tenant / "pm.sqlite") for tenant in tenants}
        first = stage("first run, feeds to published", *run)
        shutil.copyfile(whole[tenants[-1]], feeds / tenants[-1] / "pm.sqlite")
        day = stage(f"one more day for one tenant of {len(tenants)}", *run)
        for tenant in tenants[:-1]:
            shutil.copyfile(whole[tenant], feeds / tenant / "pm.sqlite")
        others = stage("one more day for all others", *run)
        nothing = stage("run with nothing new", *run)
        print(f"of the first run: a day for one tenant {day.of(first)}")
        print(f"of the first run: a day for all others {others.of(first)}")
        print(f"of the first run: nothing new {nothing.of(first)}")


if __name__ == "__main__":
    main()
