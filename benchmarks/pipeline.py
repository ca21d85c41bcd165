"""The pipeline at size: writing a sample, landing, loading, building, publishing, a run with nothing new.

    python benchmarks/pipeline.py [--tenants N] [--appointments N]

Wall seconds and peak memory of each stage as a process of its own, as a user would run it.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CLINICMART = Path(sys.executable).parent / "clinicmart"


def stage(title: str, *arguments: str | Path) -> None:
    """Runs one command and prints what it took."""
    started = time.monotonic()
    done = subprocess.run([str(CLINICMART), *map(str, arguments)], capture_output=True, text=True, check=False)
    # Of all children so far: stages come in rising order of memory.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
    print(f"{title}: {time.monotonic() - started:.1f} s, peak so far {peak:.1f} GB, exit {done.returncode}")
    for line in done.stderr.splitlines():
        if any(word in line for word in ("warehouse:", "dbt:", "published")):
            print(f"    {line.strip()}")


def main() -> None:
    """Runs the stages on a sample of the size asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tenants", type=int, default=3)
    parser.add_argument("--appointments", type=int, default=200_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        feeds, home = Path(folder) / "feeds", Path(folder) / "home"
        size = ("--tenants", str(asked.tenants), "--appointments", str(asked.appointments))
        stage(f"sample of {asked.appointments:,} appointments", "sample", "--out", feeds, *size)
        stage("first run, feeds to published", "run", "--config", feeds / "config.yaml", "--home", home)
        stage("run with nothing new", "run", "--config", feeds / "config.yaml", "--home", home)


if __name__ == "__main__":
    main()
