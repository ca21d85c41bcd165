"""FHIR files that were cut, mixed up, mis-encoded, or made to hurt: everything is read or refused, and every record is counted."""

import gzip
import json
import zlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest.interface import UnreadableUnit
from ingest.sources import files
from ingest.sources.fhir import files as fhir_files
from ingest.sources.fhir import reader as fhir
from ingest.sources.files import is_wide_text
from tests.ingest.fhir_reading import SOURCE, bundle, feed, gather, lines, read
from tests.ingest.fhir_resources import CLAIM, ENCOUNTER, PATIENT, eob
from tests.refusals import refused_file

COVERAGE = {
    "resourceType": "Coverage",
    "id": "k1",
    "contained": [{"resourceType": "Organization", "id": "o", "name": "Plan"}],
    "payor": [{"reference": "#o"}],
    "beneficiary": {"reference": "Patient/p1"},
}
DELETED = {
    "resourceType": "Bundle",
    "type": "transaction",
    "entry": [{"request": {"method": "DELETE", "url": "Encounter/e1"}}],
}
GOOD = b"\n".join(orjson.dumps(item) for item in (PATIENT, ENCOUNTER, CLAIM, eob(), COVERAGE, DELETED)) + b"\n"

# Pieces that parsers, decoders and number types fall over.
NASTY = (
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b'"\\ud800"',
    b"\\u0000",
    b"1e999",
    b"-0.0",
    b"1" * 400,
    b"9007199254740993",
    b"[" * 2000,
    b'{"a":' * 600,
    b"NaN",
    b"Infinity",
    b'"resourceType":"Patient",',
    b'"id":"e2",',
    b"\r",
    b"\n",
    b"\xef\xbb\xbf",
    b"\xc3\x28",
    b"//",
    b"'",
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Good lines after a few accidents: cut, doubled, moved, overwritten, with nasty pieces put in."""
    content = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 6))):
        where = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, 60))
        match draw(st.sampled_from(("cut", "insert", "overwrite", "double", "move"))):
            case "cut":
                del content[where : where + length]
            case "insert":
                content[where:where] = draw(st.sampled_from(NASTY))
            case "overwrite":
                content[where : where + length] = draw(st.binary(max_size=8))
            case "double":
                content[where:where] = content[where : where + length]
            case "move":
                piece = bytes(content[where : where + length])
                del content[where : where + length]
                there = draw(st.integers(0, len(content)))
                content[there:there] = piece
    return bytes(content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=damaged())
@example(content=GOOD)
@example(content=GOOD.replace(b'"id":', b'"id":"x","id":'))
@example(content=GOOD.decode().encode("utf-16"))
@example(content=GOOD.decode().encode("cp037"))
def test_damaged_lines_are_read_or_refused_and_counted(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.ndjson"
    path.write_bytes(content)
    if is_wide_text(content):
        with refused_file("file_is_utf16"):
            read(path)
        return
    result = read(path)
    filled = [line for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]
    bundles = [line for line in filled if b'"Bundle"' in line]
    assert result.read >= len(filled) - len(bundles)
    assert result.read == result.used + len(result.refusals) + sum(item.records - 1 for item in result.refusals)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=damaged(), kind=st.sampled_from(("any.json", "any.ndjson.gz", "any.json.gz")), cut=st.integers(0, 40))
def test_damaged_documents_and_archives_are_read_or_refused_whole(
    tmp_path: Path, content: bytes, kind: str, cut: int
) -> None:
    path = tmp_path / kind
    packed = gzip.compress(content) if kind.endswith(".gz") else content
    path.write_bytes(packed[: len(packed) - cut])
    try:
        read(path)
    except UnreadableUnit as refused:
        problem = refused.position and refused.remedy
    else:
        problem = "none"
    assert problem


@pytest.mark.parametrize(
    "resource",
    [
        CLAIM | {"item": [{"sequence": 1}]},
        CLAIM | {"total": {"value": 10**400}},
        CLAIM | {"total": {"value": 1e308}, "item": []},
        CLAIM | {"item": [{"sequence": 10**30, "net": {"value": 1}}]},
        CLAIM
        | {"item": [{"sequence": 1, "unitPrice": {"value": 1e308}, "quantity": {"value": 1e308}, "factor": 1e308}]},
        ENCOUNTER | {"id": "x" * 5_000_000},
        ENCOUNTER | {"id": "a\u0000b"},
        ENCOUNTER | {"meta": {"versionId": "9" * 5000, "lastUpdated": "2026"}},
        ENCOUNTER | {"subject": {"reference": "/" * 100_000}},
        ENCOUNTER | {"subject": {"reference": "Patient?identifier=" + "%" * 10_000}},
        ENCOUNTER | {"location": [{"location": {"reference": "#a"}}], "contained": [{"id": "a"}] * 1000},
        ENCOUNTER | {"period": {"start": "9999-12-31T23:59:59-14:00", "end": "0000-00-00T00:00:00Z"}},
    ],
)
def test_hostile_values_are_read_refused_or_quarantined(tmp_path: Path, resource: dict[str, Any]) -> None:
    content = json.dumps(resource).encode()
    path = tmp_path / "one.ndjson"
    path.write_bytes(content)
    result = read(path)
    assert result.read == 1
    assert result.used == 1 or result.refusals


def test_items_within_items_as_deep_as_json_goes_refuse_the_claim_and_no_other(tmp_path: Path) -> None:
    item = b'{"sequence":1,' + b'"detail":[{' * 450 + b'"net":{"value":1}' + b"}]" * 450 + b"}"
    whole = orjson.dumps(CLAIM | {"id": "deep", "item": [0]})
    result = read(lines(tmp_path, whole.replace(b"[0]", b"[" + item + b"]"), CLAIM))
    assert (result.read, result.used) == (2, 1)
    assert result.reasons() == {"malformed_resource": 1}
    assert result.good["claim"]["claim_submission_id"].to_list() == ["c1"]


def test_a_contained_resource_that_refers_to_itself_ends(tmp_path: Path) -> None:
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"reference": "#r"}}
    visit = ENCOUNTER | {"contained": [role], "participant": [{"individual": {"reference": "#r"}}]}
    loop = {"resourceType": "PractitionerRole", "id": "x", "practitioner": {"reference": "PractitionerRole/x"}}
    lines(tmp_path, loop, name="PractitionerRole.ndjson")
    lines(tmp_path, visit, ENCOUNTER | {"participant": [{"individual": {"reference": "PractitionerRole/x"}}]})
    assert read(tmp_path).read == 3


def test_bundles_within_bundles_are_not_followed(tmp_path: Path) -> None:
    nested: dict[str, Any] = {"resource": ENCOUNTER}
    for _ in range(200):
        nested = {"resource": {"resourceType": "Bundle", "entry": [nested]}}
    result = read(bundle(tmp_path, nested, {"resource": ENCOUNTER}))
    assert (result.read, result.used) == (2, 1)


def test_a_gzip_bomb_is_refused_before_it_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "READ_BYTES", 1 << 16)
    for name, line in (("bomb.ndjson.gz", b"0" * 50_000_000), ("bomb.json.gz", b"[" + b" " * 50_000_000)):
        path = tmp_path / name
        path.write_bytes(gzip.compress(line))
        with refused_file("gzip_too_large"):
            read(path)
        path.unlink()


def test_a_gzip_bomb_beside_is_left_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "READ_BYTES", 1 << 16)
    sizes: list[int] = []
    read_path = fhir_files.read_path

    def counted(*arguments: Any) -> Any:
        for block in read_path(*arguments):
            sizes.append(len(block))
            yield block

    monkeypatch.setattr(fhir_files, "read_path", counted)
    (tmp_path / "Practitioner.ndjson.gz").write_bytes(gzip.compress(b"0" * 50_000_000))
    lines(tmp_path, ENCOUNTER, name="Encounter.ndjson")
    (unit,) = [unit for unit in SOURCE.discover(feed(tmp_path)) if unit.name == "Encounter.ndjson"]
    result = gather(list(SOURCE.read(unit)))
    assert result.row("encounter")["provider_id"] == "d2"
    # A file may grow by MAXIMUM_GZIP_RATIO, and at least to that many blocks.
    assert sum(sizes) < 20_000_000


def test_a_line_longer_than_the_bound_is_refused_without_being_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fhir_files, "MAXIMUM_LINE_BYTES", 1 << 20)
    path = tmp_path / "long.ndjson"
    path.write_bytes(orjson.dumps(ENCOUNTER) + b"\n" + b"[" * (4 << 20))
    with refused_file("json_line_too_long") as caught:
        read(path)
    assert caught.value.position == "line 2"


@pytest.mark.parametrize("block", [1, 7, 64, 4096])
def test_lines_are_the_same_wherever_blocks_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(files, "READ_BYTES", block)
    content = b"\xef\xbb\xbf" + GOOD.rstrip(b"\n") if block >= 3 else GOOD
    path = tmp_path / "any.ndjson"
    path.write_bytes(content)
    given_lines = [line for part in fhir_files.read_lines(path, len(content), None) for line in part]
    assert given_lines == GOOD.rstrip(b"\n").split(b"\n")


def test_an_interleaved_file_keeps_its_whole_lines(tmp_path: Path) -> None:
    """Two writers in one file: a line of one within a line of the other."""
    good = orjson.dumps(ENCOUNTER)
    content = good[:100] + orjson.dumps(ENCOUNTER | {"id": "e2"}) + b"\n" + good[100:] + b"\n" + good + b"\n"
    path = tmp_path / "two.ndjson"
    path.write_bytes(content)
    result = read(path)
    assert (result.read, result.used) == (3, 1)
    assert result.reasons() == {"not_json": 2}


def test_the_memory_of_a_reading_is_bounded_by_its_chunk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fhir, "CHUNK_RESOURCES", 100)
    monkeypatch.setattr(files, "READ_BYTES", 1 << 14)
    path = lines(tmp_path, *(ENCOUNTER | {"id": str(number)} for number in range(2000)))
    (unit,) = SOURCE.discover(feed(path))
    heights = [chunk.rows["encounter"].height for chunk in SOURCE.read(unit) if chunk.rows]
    assert sum(heights) == 2000
    assert max(heights) <= 200


def test_a_cut_stream_of_deflate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.ndjson.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03" + zlib.compress(GOOD)[2:50])
    with refused_file("gzip_incomplete"):
        read(path)
