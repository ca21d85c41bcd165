"""Readers against their peers, in the same run: ratios to quote, absolute figures for orientation.

    python benchmarks/readers.py [--appointments N]

FHIR NDJSON to frames against `orjson.loads` on each line; HL7 v2 to frames against the `hl7` package parsing the same
messages (pip install -r benchmarks/requirements.txt); X12 to frames against splitting the same bytes into elements.
Each side runs three times in turn; the median counts. CPU seconds of this process, so that a busy machine disturbs less.
"""

import argparse
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import orjson

from foundation.config import Feed
from ingest.sample import write_sample
from ingest.sources import source_for

ROUNDS = 3


def read(kind: str, profile: str | None, path: Path) -> int:
    """Reads every unit of a feed into frames; returns the records read."""
    feed = Feed(
        tenant_id="harbor", name="bench", kind=kind, profile=profile, path=str(path), time_zone="America/New_York"
    )
    source = source_for(kind)
    return sum(chunk.records_read for unit in source.discover(feed) for chunk in source.read(unit))


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def compare(title: str, ours: Callable[[], object], peer: Callable[[], object], amount: float, unit: str) -> None:
    """Prints both medians as amounts per second, and their ratio."""
    pairs = [(seconds(ours), seconds(peer)) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"{title}: {amount / mine:,.0f} {unit}/s, peer {amount / theirs:,.0f} {unit}/s, ours / peer = {theirs / mine:.2f}"
    )


def main() -> None:
    """Writes a sample of the size asked for and runs the three comparisons on it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--appointments", type=int, default=100_000)
    appointments = parser.parse_args().appointments
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder), tenants=1, appointments=appointments)
        tenant = Path(folder) / "harbor"

        encounters = tenant / "fhir" / "Encounter.ndjson"
        lines = encounters.read_bytes().splitlines()
        megabytes = encounters.stat().st_size / 1e6
        compare(
            "FHIR Encounter NDJSON",
            lambda: read("fhir", "r4", encounters),
            lambda: deque(map(orjson.loads, lines), maxlen=0),
            megabytes,
            "MB",
        )

        for name in ("837", "835"):
            for flawed in ("corrupt", "truncated"):
                (tenant / name / f"{flawed}.{name}").unlink(missing_ok=True)
            files = sorted((tenant / name).glob(f"*.{name}"))
            contents = [path.read_bytes() for path in files]
            compare(
                f"X12 {name} (peer: splitting alone)",
                lambda name=name: read("x12", None, tenant / name / f"*.{name}"),
                lambda contents=contents: [[s.split(b"*") for s in text.split(b"~")] for text in contents],
                sum(map(len, contents)) / 1e6,
                "MB",
            )

        try:
            import hl7
        except ImportError:
            print("HL7 v2: the peer is not installed; pip install -r benchmarks/requirements.txt")
            return
        folder_of_messages = tenant / "hl7"
        texts = [path.read_text("utf-8") for path in sorted(folder_of_messages.glob("*.hl7"))]
        messages = [f"MSH{part}" for text in texts for part in text.split("MSH")[1:]]
        compare(
            "HL7 v2",
            lambda: read("hl7v2", None, folder_of_messages),
            lambda: deque((hl7.parse(message.replace("\n", "\r")) for message in messages), maxlen=0),
            len(messages),
            "messages",
        )


if __name__ == "__main__":
    main()
