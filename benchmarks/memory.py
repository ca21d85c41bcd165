"""Memory is bounded by the batch, not by the file: each reader lands a file ten times larger than the memory it may use.

    python benchmarks/memory.py [--limit-megabytes N] [--times N] [--kind fhir|hl7v2|835|837]

Each file is landed whole (read, gated, encrypted, accounted) by a separate process that is killed as soon as its resident
memory passes the limit. Peak resident memory and the rows landed are printed. (Not by RLIMIT_DATA: DuckDB and Polars reserve
address space that they never fill.)
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from clinicmart.sample import write_sample

LAND = """
import json, resource, sys
from pathlib import Path
from foundation.config import Feed
from foundation.home import Home
from foundation.keys import Keys
from ingest.ledger import Ledger
from ingest.landing.land_feed import land_feed
home = Home.at(sys.argv[3])
ledger = Ledger(home)
ledger.start_run("run", "benchmark")
feed = Feed(tenant_id="harbor", name="bench", kind=sys.argv[1], path=sys.argv[2], time_zone="America/New_York")
report = land_feed(home, Keys.of(home), ledger, feed, "run")
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
print(json.dumps({"peak": peak, "records": report.records_read, "rows": report.rows_landed, "problems": report.problems}))
"""
# Kind of feed, folder and pattern in the sample, and how a repetition of a file differs from the one before.
FILES: dict[str, tuple[str, str, Callable[[bytes, int], bytes]]] = {
    "fhir": ("fhir", "fhir/Encounter.ndjson", lambda text, n: re.sub(rb'"id":"', b'"id":"%d-' % n, text)),
    "hl7v2": ("hl7v2", "hl7/*.hl7", lambda text, n: re.sub(rb"(MSH(?:\|[^|\r]*){8}\|)", rb"\g<1>%d" % n, text)),
    "837": ("x12", "837/*.837", lambda text, n: re.sub(rb"~(\s*)CLM\*", rb"~\g<1>CLM*%d" % n, text)),
    "835": ("x12", "835/*.835", lambda text, n: re.sub(rb"~(\s*)CLP\*", rb"~\g<1>CLP*%d" % n, text)),
}


def repeated(texts: list[bytes], change: Callable[[bytes, int], bytes], size_bytes: int) -> Iterator[bytes]:
    """The same texts again and again, each time under other identifiers, up to a size."""
    size, number = 0, 1
    while size < size_bytes:
        for text in texts:
            changed = change(text, number)
            size += len(changed)
            yield changed
        number += 1


def bounded(arguments: list[str], limit_megabytes: int) -> tuple[int, str, str]:
    """(exit code, output, errors) of a landing that is killed once its resident memory passes the limit."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen([sys.executable, "-c", LAND, *arguments], stdout=out, stderr=err)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            resident = re.search(r"VmRSS:\s+(\d+) kB", status.read_text())
            if resident and int(resident[1]) >> 10 > limit_megabytes:
                process.kill()
            time.sleep(0.02)
        out.seek(0)
        err.seek(0)
        return process.returncode, out.read(), err.read()


def main() -> None:
    """Lands one large file a kind under a limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limit-megabytes", type=int, default=1500)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--kind", choices=sorted(FILES), action="append")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "sample"
        write_sample(sample, tenants=1, appointments=5_000)
        for name in asked.kind or sorted(FILES):
            kind, pattern, change = FILES[name]
            paths = [
                path for path in sorted((sample / "harbor").glob(pattern)) if path.stem not in ("corrupt", "truncated")
            ]
            large = Path(folder) / f"large.{'ndjson' if name == 'fhir' else 'hl7' if name == 'hl7v2' else name}"
            with large.open("wb") as handle:
                handle.writelines(
                    repeated([p.read_bytes() for p in paths], change, asked.limit_megabytes * asked.times << 20)
                )
            code, out, err = bounded([kind, str(large), f"{folder}/home-{name}"], asked.limit_megabytes)
            megabytes = large.stat().st_size >> 20
            large.unlink()
            if code:
                last = (err.strip().splitlines() or ["killed for its memory"])[-1]
                print(f"{name}: {megabytes:,} MB under {asked.limit_megabytes:,} MB FAILED: {last}")
                continue
            figures = json.loads(out.splitlines()[-1])
            problems = f", {'; '.join(figures['problems'])}" if figures["problems"] else ""
            print(
                f"{name}: {megabytes:,} MB landed under a limit of {asked.limit_megabytes:,} MB, peak resident {figures['peak']:,} MB, "
                f"{figures['records']:,} records, {figures['rows']:,} rows{problems}"
            )


if __name__ == "__main__":
    main()
