"""A coverage-guided fuzzer of one reader: python tests/fuzz/harness.py KIND SUFFIX [libFuzzer options] CORPUS

On any bytes the reader ends, raises nothing but UnreadableUnit, explains every record it read, gives every row its
record, position and the columns of its contract, and the gate parts the rows into good and bad without losing one. A file that
holds anything at all is either refused or gives a record or a notice: silence would be loss.
"""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ingest.sources", "ingest.profiles"]):
    from ingest.sources import Unit, UnreadableUnit, source_for

    # The protocol's modules are imported here, so that the fuzzer sees which of their branches an input takes.
    SOURCE = source_for(sys.argv[1])


from foundation.config import Feed
from ingest.landing.batches import with_unit_time
from ingest.landing.contract_gate import check
from ingest.landing.tokens import tokenise
from ingest.load.partial_rows import landing_contract

KIND, SUFFIX = sys.argv[1], sys.argv[2]
PATH = Path(tempfile.mkdtemp()) / f"input{SUFFIX}"
FEED = Feed(tenant_id="harbor", name="fuzz", kind=KIND, path=str(PATH), time_zone="America/New_York")
MOMENT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def read(data: bytes) -> None:
    """Reads one input as a file of the feed."""
    PATH.write_bytes(data)
    unit = Unit(feed=FEED, name=PATH.name, path=PATH, size_bytes=len(data), fingerprint="0" * 64, modified_at=MOMENT)
    seen = 0
    try:
        for chunk in SOURCE.read(unit):
            explained = chunk.records_used + sum(refusal.records for refusal in chunk.refusals)
            assert chunk.records_read == explained, (chunk.records_read, explained)
            assert all(refusal.position and refusal.reason for refusal in chunk.refusals)
            seen += chunk.records_read + len(chunk.notices)
            for entity, frame in chunk.rows.items():
                gate(entity, frame)
    except UnreadableUnit:
        return
    assert seen or not data.strip(b" \t\r\n\x00\x0b\x0c\x1a\x1c\xef\xbb\xbf"), "the file was passed over in silence"


def gate(entity: str, frame: object) -> None:
    """The rows of one entity as landing takes them."""
    of = landing_contract(KIND, entity)
    assert set(frame.columns) <= set(of.by_name), sorted(set(frame.columns) - set(of.by_name))
    assert frame["source_record_id"].null_count() == 0
    assert frame["source_position"].null_count() == 0
    ready = with_unit_time(tokenise(frame, of.token_columns, b"fuzz"), FEED, MOMENT)
    gated = check(of, ready)
    assert gated.good.height + gated.bad.height == frame.height


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[3:]], read)
    atheris.Fuzz()
