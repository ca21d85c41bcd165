"""Seconds of every file of tests, as they were measured: the suite starts with the longest, and `make quick` leaves them out.

To measure again:  make suite PYTEST="--junitxml=report.xml";  python -m tests.weights report.xml
"""

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections import Counter
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
RECORDED = Path(__file__).with_name("weights.json")
# Of a file that nobody has measured yet.
UNKNOWN_SECONDS = 5
# A file that takes longer is not for the inner loop.
QUICK_SECONDS = 8


def seconds_of(path: Path) -> int:
    """The recorded seconds of a file of tests."""
    return _recorded().get(path.relative_to(ROOT).as_posix(), UNKNOWN_SECONDS)


@cache
def _recorded() -> dict[str, int]:
    recorded: dict[str, int] = json.loads(RECORDED.read_text("utf-8"))
    return recorded


def record(report: Path) -> None:
    """Writes the seconds of each file from a report of pytest in JUnit's XML."""
    seconds: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        seconds[case.attrib["classname"].replace(".", "/") + ".py"] += float(case.attrib["time"])  # type: ignore[assignment]
    rounded = {name: round(total) for name, total in sorted(seconds.items())}
    RECORDED.write_text(json.dumps(rounded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    record(Path(sys.argv[1]))
