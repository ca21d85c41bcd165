"""Diagnoses of the third-party feeds: the counts that our reader gave when they were written down."""

from collections import Counter
from pathlib import Path

import pytest

from foundation.config import Feed
from ingest.sources import source_for

# Folder -> kind and profile of the feed, and diagnoses by code system. "refers" counts those that refer to a Condition, "no code" those
# with words alone.
FEEDS = {
    "fhir/synthea-bundles": ("fhir", "synthea", {"snomed": 94, "refers": 94}),
    "fhir/bulk-10-patients": ("fhir", "synthea", {"snomed": 555}),
    "fhir/r4-examples": ("fhir", "r4", {"icd10": 4, "unknown": 14, "refers": 2, "no code": 2}),
    "hl7v2/converter": ("hl7v2", None, {"snomed": 11, "icd10": 1}),
    "hl7v2/edge-cases": ("hl7v2", None, {"icd10": 1}),
    "hl7v2/batches": ("hl7v2", None, {"icd9cm": 1}),
    "x12/implementation-guide/837_004010X098A1": ("x12", None, {"icd9cm": 12}),
    "x12/implementation-guide/837_005010X222A2": ("x12", None, {"icd9cm": 37}),
    "x12/implementation-guide/837_004010X096A1": ("x12", None, {"icd9cm": 12}),
}


@pytest.mark.real_data
@pytest.mark.parametrize("folder", FEEDS)
def test_every_diagnosis_of_a_feed_is_read_with_its_code_system(real_data: Path, folder: str) -> None:
    kind, profile, expected = FEEDS[folder]
    path = str(real_data / folder)
    feed = Feed(tenant_id="t", name="feed", kind=kind, profile=profile, path=path, time_zone="America/New_York")
    source, counted = source_for(kind), Counter[str]()
    for unit in source.discover(feed):
        for chunk in source.read(unit) if unit.is_readable else ():
            for row in chunk.rows["diagnosis"].iter_rows(named=True) if "diagnosis" in chunk.rows else ():
                refers = row.get("code_stated_in_id") is not None
                counted["refers" if refers else row["code_system"] if row["diagnosis_code"] else "no code"] += 1
    assert counted == expected
