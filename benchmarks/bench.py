"""The budgets of a run, measured: `make bench`, or in parts `python benchmarks/bench.py small feeds`.

    python benchmarks/bench.py [PART ...] [--label now]     measures; without a part, all of them
    python benchmarks/bench.py --page                       writes docs/performance.md from what was measured

Each part writes `benchmarks/results/<label>/<part>.json`: the figures, the machine, the versions and the day. The page shows the label
`before` beside `now`. A run is a separate process, as a user starts it; its figures are those of the process with all it waited for.
Processor seconds are compared with a plain counterpart in the same part, because machines differ: the imports that no run can do without.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import yaml
from pipeline import hold_back_a_day

ROOT = Path(__file__).parent.parent
CLINICMART = Path(sys.executable).parent / "clinicmart"
RESULTS = Path(__file__).parent / "results"
PAGE = ROOT / "docs" / "performance.md"
IMPORTS = "import dagster, polars, duckdb, sqlalchemy"
ROUNDS = 3
MESSAGE = (
    "MSH|^~\\&|EHR|HARBOR|CLINICMART|HARBOR|20261030120000+0000||ADT^A04^ADT_A01|BENCH{0}|P|2.5.1\r"
    "EVN|A04|20261030120000+0000\rPID|1||M0000045^^^HARBOR^MR||Reyes^Miles||19480911|F\r"
    "PV1|1|O|CL01^^1||||1900000468^Briggs^Carl^^^^^^NPI^^^^NPI|||||||||||BENCH{0}|||||||||||||||||||||||||20261030120000+0000\r"
)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured piece of work. `value` and `budget` are in `unit`; the budget is None where there is none."""

    work: str
    value: float
    unit: str
    budget: float | None = None


def spent(*command: str | Path) -> tuple[float, float]:
    """(wall, processor) seconds of a command with all processes that it waited for. Raises RuntimeError where it fails."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    # 1: a feed of the sample has files that no reader can read.
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{command[:3]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def median_processor(work: Callable[[], tuple[float, float]], rounds: int = ROUNDS) -> float:
    """The median of the processor seconds of several rounds."""
    return statistics.median(work()[1] for _ in range(rounds))


class Site:
    """A sample with its configuration and an empty home, in a folder."""

    def __init__(self, folder: Path, *, tenants: int, appointments: int) -> None:
        self.feeds, self.home = folder / "feeds", folder / "home"
        size = ("--tenants", str(tenants), "--appointments", str(appointments))
        # A fixed day: the same rows whenever it is measured.
        spent(CLINICMART, "sample", "--out", self.feeds, "--until", "2026-10-31", *size)
        self.config = self.feeds / "config.yaml"
        self.tenants: list[str] = list(yaml.safe_load(self.config.read_text("utf-8"))["tenants"])

    def run(self) -> tuple[float, float]:
        """One `clinicmart run`."""
        return spent(CLINICMART, "run", "--config", self.config, "--home", self.home)

    def bytes_on_disk(self) -> int:
        """The size of the home."""
        return sum(path.stat().st_size for path in self.home.rglob("*") if path.is_file())


def small(folder: Path) -> list[Figure]:
    """Fixed costs, on a small home: nothing new, a comment in the configuration, one HL7 v2 message."""
    site = Site(folder, tenants=2, appointments=600)
    site.run()
    site.run()
    plain = median_processor(lambda: spent(sys.executable, "-c", IMPORTS))

    def with_comment() -> tuple[float, float]:
        with site.config.open("a", encoding="utf-8") as file:
            file.write("# a comment\n")
        return site.run()

    def with_message() -> tuple[float, float]:
        name = f"bench-{time.time_ns()}"
        (site.feeds / site.tenants[0] / "hl7" / f"{name}.hl7").write_text(MESSAGE.format(name), encoding="utf-8")
        return site.run()

    works = {"nothing new": (site.run, 2.5), "a comment in the configuration": (with_comment, 2.5)}
    works["one HL7 v2 message"] = (with_message, 7.0)
    figures = [Figure(work="the plain imports of a run", value=plain, unit="processor s")]
    for work, (measured, budget) in works.items():
        ratio = median_processor(measured) / plain
        figures.append(Figure(work=f"{work}, small home", value=ratio, unit="x the plain imports", budget=budget))
    return figures


def feeds(folder: Path) -> list[Figure]:
    """40 tenants, 280 feeds, nothing new."""
    site = Site(folder, tenants=40, appointments=4000)
    site.run()
    site.run()
    wall = statistics.median(site.run()[0] for _ in range(ROUNDS))
    return [Figure(work="40 tenants, 280 feeds, nothing new", value=wall, unit="wall s", budget=15)]


def day(folder: Path) -> list[Figure]:
    """A day for all of 10 tenants at 3.3 million raw rows, against the full run."""
    site = Site(folder, tenants=10, appointments=100_000)
    whole = {tenant: hold_back_a_day(site.feeds / tenant / "pm.sqlite") for tenant in site.tenants}
    full = site.run()
    for tenant, database in whole.items():
        shutil.copyfile(database, site.feeds / tenant / "pm.sqlite")
    later = site.run()
    return [
        Figure(work="full run, 10 tenants, 3.3 M raw rows", value=full[0], unit="wall s"),
        Figure(work="a day for all of them", value=100 * later[1] / full[1], unit="% of the full run", budget=25),
    ]


def close(folder: Path) -> list[Figure]:
    """Closing a month of the demo."""
    site = Site(folder, tenants=3, appointments=20_000)
    site.run()
    tenant = site.tenants[0]
    wall, _ = spent(CLINICMART, "close", "2026-09", "--home", site.home, "--tenant", tenant, "--as", f"admin@{tenant}")
    return [Figure(work="close a month of the demo", value=wall, unit="wall s", budget=10)]


def disk(folder: Path) -> list[Figure]:
    """The home after many runs with one message each, against its size after the first."""
    site = Site(folder, tenants=2, appointments=600)
    site.run()
    first, runs = site.bytes_on_disk(), 20
    for number in range(runs):
        message = MESSAGE.format(f"disk-{number}")
        (site.feeds / site.tenants[0] / "hl7" / f"disk-{number}.hl7").write_text(message, encoding="utf-8")
        site.run()
    each = (site.bytes_on_disk() - first) / runs
    return [Figure(work="100 small runs", value=(first + 100 * each) / first, unit="x the data", budget=2)]


PARTS: dict[str, Callable[[Path], list[Figure]]] = {
    "small": small,
    "feeds": feeds,
    "day": day,
    "close": close,
    "disk": disk,
}


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    packages = ", ".join(f"{name} {version(name)}" for name in ("duckdb", "dbt-core", "dagster", "polars"))
    return {
        "machine": f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, {platform.system()} {platform.machine()}",
        "versions": f"Python {platform.python_version()}, {packages}",
        "day": datetime.now(UTC).date().isoformat(),
    }


def measure(part: str, label: str) -> None:
    """Measures a part and keeps its figures."""
    with tempfile.TemporaryDirectory() as folder:
        figures = PARTS[part](Path(folder))
    for figure in figures:
        budget = "" if figure.budget is None else f", budget {figure.budget:g}"
        print(f"{figure.work}: {figure.value:.2f} {figure.unit}{budget}", flush=True)
    file = RESULTS / label / f"{part}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    content = machine() | {"figures": [asdict(figure) for figure in figures]}
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def page() -> str:
    """docs/performance.md: each budget with what was measured, before and now."""
    kept = {
        label: {file.stem: json.loads(file.read_text("utf-8")) for file in sorted((RESULTS / label).glob("*.json"))}
        for label in ("before", "now")
    }
    # A label of which nothing was measured has no column.
    labels = [label for label, parts in kept.items() if any(content["figures"] for content in parts.values())]
    lines = [
        "# What a run costs",
        "",
        "`make bench` measures this and writes the page; `python benchmarks/bench.py PART` measures a part "
        f"({', '.join(PARTS)}). A dash was not measured.",
        "",
        f"| {' | '.join(['Work', 'Unit', 'Budget', *(label.title() for label in labels)])} |",
        f"|{'---|' * (3 + len(labels))}",
    ]
    for part in PARTS:
        values: dict[str, dict[str, float]] = {}
        rows: dict[str, dict[str, object]] = {}
        for label, parts in kept.items():
            for figure in parts.get(part, {}).get("figures", []):
                rows.setdefault(figure["work"], figure)
                values.setdefault(figure["work"], {})[label] = figure["value"]
        for work, figure in rows.items():
            budget = "" if figure["budget"] is None else f"{figure['budget']:g}"
            shown = [f"{values[work][label]:.1f}" if label in values[work] else "-" for label in labels]
            lines.append(f"| {' | '.join([work, str(figure['unit']), budget, *shown])} |")
    for label, parts in kept.items():
        for part, content in parts.items():
            lines += ["", f"{label.title()}, {part}: {content['machine']}; {content['versions']}; {content['day']}."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measures the parts that are asked for, or writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="Which parts; all without one.")
    parser.add_argument("--label", default="now", choices=["before", "now"])
    parser.add_argument("--page", action="store_true", help="Only write docs/performance.md.")
    asked = parser.parse_args()
    if not asked.page:
        for part in asked.parts or PARTS:
            measure(part, asked.label)
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
