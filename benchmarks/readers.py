"""Readers against their peers, in the same run: ratios to quote, absolute figures for orientation.

    python benchmarks/readers.py [--appointments N]

FHIR NDJSON to frames against `orjson.loads` on each line; HL7 v2 to frames against the `hl7` package parsing the same
messages; X12 to frames, as many small files and as one large file, against splitting the same bytes into elements and against
the segments that `pyx12` gives (its reader checks the envelope and makes no rows). pip install -r benchmarks/requirements.txt
Each side runs three times in turn; the median counts. CPU seconds of this process, so that a busy machine disturbs less.
"""

import argparse
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from io import StringIO
from pathlib import Path

import orjson

from clinicmart.sample import write_sample
from foundation.config import Feed
from ingest.interface import reading
from ingest.sources import source_for

ROUNDS = 3


def read(kind: str, profile: str | None, path: Path) -> int:
    """Reads every unit of a feed into frames; returns the records read."""
    feed = Feed(
        tenant_id="harbor", name="bench", kind=kind, profile=profile, path=str(path), time_zone="America/New_York"
    )
    source = source_for(kind)
    units = source.discover(feed)
    chunks = reading(source, units)
    return sum(chunk.records_read for unit in units for chunk in chunks(unit))


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def compare(
    title: str,
    ours: Callable[[], object],
    peer: Callable[[], object],
    amount: float,
    unit: str,
    peer_amount: float | None = None,
) -> None:
    """Prints both medians as amounts per second, and their ratio. A slow peer may be given less to do."""
    pairs = [(seconds(ours), seconds(peer)) for _ in range(ROUNDS)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    fast, slow = amount / mine, (peer_amount or amount) / theirs
    print(f"{title}: {fast:,.1f} {unit}/s, peer {slow:,.1f} {unit}/s, ours / peer = {fast / slow:.2f}")


def parse_each(lines: list[bytes]) -> None:
    """Each line alone by orjson."""
    deque(map(orjson.loads, lines), maxlen=0)


def compare_fhir(folder: Path) -> None:
    """Small resources as the sample has them, and visits with the narrative that servers give, three times as large."""
    narrated = folder / "narrated.ndjson"
    text = {"status": "generated", "div": f"<div>{'<p><b>Visit</b>: seen, treated and sent home.</p>' * 24}</div>"}
    visits = map(orjson.loads, (folder / "Encounter.ndjson").read_bytes().splitlines())
    narrated.write_bytes(b"\n".join(orjson.dumps(visit | {"text": text}) for visit in visits))
    for path in (folder / "Encounter.ndjson", folder / "Patient.ndjson", narrated):
        lines = path.read_bytes().splitlines()
        compare(
            f"FHIR {path.stem}, {path.stat().st_size / len(lines):,.0f} bytes a resource",
            partial(read, "fhir", "r4", path),
            partial(parse_each, lines),
            path.stat().st_size / 1e6,
            "MB",
        )
    narrated.unlink()


def compare_x12(tenant: Path, name: str) -> None:
    """The files of one kind as they are, and all their transactions in one interchange of one file."""
    for flawed in ("corrupt", "truncated"):
        (tenant / name / f"{flawed}.{name}").unlink(missing_ok=True)
    files = sorted((tenant / name).glob(f"*.{name}"))
    contents = [path.read_bytes() for path in files]
    megabytes = sum(map(len, contents)) / 1e6
    head = contents[0][: contents[0].index(b"ST*")]
    sets = [text[text.index(b"ST*") : text.index(b"GE*")] for text in contents]
    whole = tenant / f"whole.{name}"
    whole.write_bytes(head + b"".join(sets) + b"GE*0*1~IEA*1*1~")
    for title, path in ((f"{len(files)} files", tenant / name / f"*.{name}"), ("one file", whole)):
        compare(
            f"X12 {name}, {title} (peer: splitting alone)",
            lambda path=path: read("x12", None, path),
            lambda: [[s.split(b"*") for s in text.split(b"~")] for text in contents],
            megabytes,
            "MB",
        )
    try:
        from pyx12.x12file import X12Reader
    except ImportError:
        print("X12: the peer is not installed; pip install -r benchmarks/requirements.txt")
        return
    some = [text.decode() for text in contents[: max(1, len(contents) // 5)]]
    compare(
        f"X12 {name}, {len(files)} files (peer: pyx12)",
        lambda: read("x12", None, tenant / name / f"*.{name}"),
        lambda: [deque(X12Reader(StringIO(text)), maxlen=0) for text in some],
        megabytes,
        "MB",
        sum(map(len, some)) / 1e6,
    )


def main() -> None:
    """Writes a sample of the size asked for and runs the three comparisons on it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--appointments", type=int, default=100_000)
    appointments = parser.parse_args().appointments
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder), tenants=1, appointments=appointments)
        tenant = Path(folder) / "harbor"

        compare_fhir(tenant / "fhir")
        for name in ("837", "835"):
            compare_x12(tenant, name)

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
