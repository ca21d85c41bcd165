"""FHIR files written and read in tests: what a feed gave, with its rows through the gate."""

import dataclasses
import json
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from data_contracts import contract
from foundation.config import Feed
from ingest.interface import Chunk, Refusal
from ingest.landing.contract_gate import check
from ingest.sources import source_for

SOURCE = source_for("fhir")
NPI = "http://hl7.org/fhir/sid/us-npi"


def feed(path: Path, profile: str | None = "r4", zone: str = "America/New_York") -> Feed:
    return Feed(tenant_id="harbor", name="ehr", kind="fhir", profile=profile, path=str(path), time_zone=zone)


@dataclasses.dataclass
class Result:
    """Everything a feed gave: rows that pass the gate, rows that do not, refusals, counted fields, notices."""

    good: dict[str, pl.DataFrame]
    bad: Counter[tuple[str, str, str]]
    refusals: list[Refusal]
    read: int
    used: int
    dropped: Counter[str]
    notices: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)

    def row(self, entity: str, index: int = 0) -> dict[str, Any]:
        return self.good[entity].row(index, named=True)

    def reasons(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for refusal in self.refusals:
            counts[refusal.reason] += refusal.records
        return counts


def gather(chunks: list[Chunk]) -> Result:
    frames: dict[str, list[pl.DataFrame]] = {}
    result = Result({}, Counter(), [], 0, 0, Counter())
    for chunk in chunks:
        assert chunk.records_read == chunk.records_used + sum(refusal.records for refusal in chunk.refusals)
        result.read += chunk.records_read
        result.used += chunk.records_used
        result.refusals += chunk.refusals
        result.dropped += chunk.dropped_fields
        for notice in chunk.notices:
            result.notices[notice.reason, notice.detail] += notice.records
        for entity, frame in chunk.rows.items():
            # What the landing step fills in for files.
            filled = frame.with_columns(pl.col("source_updated_at").cast(pl.String).fill_null("2026-01-01T00:00:00Z"))
            gated = check(contract(entity), filled)
            assert gated.good.height + gated.bad.height == frame.height
            frames.setdefault(entity, []).append(gated.good)
            for reason, column in gated.bad.select("_reason", "_column").iter_rows():
                result.bad[entity, reason, column] += 1
    result.good = {entity: pl.concat(parts) for entity, parts in frames.items()}
    return result


def read(path: Path, profile: str | None = "r4", zone: str = "America/New_York") -> Result:
    return gather([chunk for unit in SOURCE.discover(feed(path, profile, zone)) for chunk in SOURCE.read(unit)])


def lines(tmp_path: Path, *resources: Any, name: str = "all.ndjson") -> Path:
    path = tmp_path / name
    path.write_bytes(b"\n".join(item if isinstance(item, bytes) else orjson.dumps(item) for item in resources) + b"\n")
    return path


def bundle(tmp_path: Path, *entries: dict[str, Any], name: str = "bundle.json", kind: str = "transaction") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps({"resourceType": "Bundle", "type": kind, "entry": list(entries)}))
    return path
