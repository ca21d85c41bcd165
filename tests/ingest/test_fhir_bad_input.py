"""FHIR files that are broken, too large or not FHIR: what is refused, and that every record is counted."""

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.interface import UnreadableUnit
from ingest.sources.fhir import files as fhir_files
from ingest.sources.fhir import reader as fhir
from ingest.sources.files import is_wide_text
from tests.ingest.fhir_reading import NPI, SOURCE, bundle, feed, gather, lines, read
from tests.ingest.fhir_resources import CLAIM, ENCOUNTER, PATIENT, eob
from tests.refusals import refused_file


def test_lines_that_are_no_resource_are_refused_one_by_one_and_the_others_go_on(tmp_path: Path) -> None:
    path = tmp_path / "mixed.ndjson"
    good = orjson.dumps(ENCOUNTER)
    parts = [
        b"\xef\xbb\xbf" + good,
        b'{"exportId": 1}',
        b"",
        b"not json",
        b"[1]",
        b'{"resourceType": 5}',
        b'{"resourceType": "Jane Doe"}',
        good + b"\r",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Patient","id":7}',
        orjson.dumps(ENCOUNTER | {"participant": 5}),
        good[:-30],
    ]
    path.write_bytes(b"\n".join(parts))
    result = read(path)
    assert [(refusal.position, refusal.reason) for refusal in result.refusals] == [
        ("line 2", "no_resource_type"),
        ("line 4", "not_json"),
        ("line 5", "no_resource_type"),
        ("line 6", "no_resource_type"),
        ("line 7", "no_resource_type"),
        ("line 9", "no_id"),
        ("line 10", "no_id"),
        ("line 11", "malformed_resource"),
        ("line 12", "not_json"),
    ]
    assert result.refusals[-1].payload == good[:-30]
    assert not any("Jane" in refusal.detail for refusal in result.refusals)
    # Line 11 broke off half way: none of its rows stayed.
    assert result.good["encounter"]["source_position"].to_list() == ["line 1", "line 8"]
    assert result.good["bed_movement"].height == 6
    assert (result.read, result.used) == (11, 2)


def test_types_outside_the_model_are_refused_once_a_file_and_type(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(fhir, "CHUNK_RESOURCES", 2)
    monkeypatch.setattr("ingest.sources.files.READ_BYTES", 64)
    observation = {"resourceType": "Observation", "id": "1"}
    items = [observation, ENCOUNTER, observation, {"resourceType": "Goal"}, ENCOUNTER, ENCOUNTER, observation]
    chunks = [c for u in SOURCE.discover(feed(lines(tmp_path, *items))) for c in SOURCE.read(u)]
    assert len(chunks) > 1
    result = gather(chunks)
    assert [(item.position, item.records, item.payload) for item in result.refusals] == [
        ("line 4", 1, None),
        ("line 1", 3, None),
    ]
    assert (result.read, result.used) == (7, 3)


@pytest.mark.parametrize(
    ("content", "position"),
    [
        (b"", "line 1 column 1"),
        (b'{"resourceType": "Bundle",\n "entry": [', "line 2 column 12"),
        (b"\xff\xfe{}", "byte 0"),
        (b'{"resourceType":"Patient","id":"1"}\n{"resourceType":"Patient","id":"2"}', "line 2 column 1"),
    ],
)
def test_a_document_that_does_not_parse_is_refused_whole_with_its_place(
    tmp_path: Path, content: bytes, position: str
) -> None:
    path = tmp_path / "one.json"
    path.write_bytes(content)
    (unit,) = SOURCE.discover(feed(path))
    with pytest.raises(UnreadableUnit) as caught:
        list(SOURCE.read(unit))
    assert caught.value.position == position


def test_a_document_larger_than_the_bound_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(fhir_files, "MAXIMUM_DOCUMENT_BYTES", 10)
    (unit,) = SOURCE.discover(feed(bundle(tmp_path)))
    with refused_file("json_document_too_large"):
        list(SOURCE.read(unit))


def test_a_line_longer_than_the_bound_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(fhir_files, "MAXIMUM_LINE_BYTES", 1 << 20)
    path = tmp_path / "one.ndjson"
    path.write_bytes(b"{}\n" + b"x" * (3 << 20))
    (unit,) = SOURCE.discover(feed(path))
    with refused_file("json_line_too_long") as caught:
        list(SOURCE.read(unit))
    assert caught.value.position == "line 2"


def test_a_cut_gzip_file_is_refused_whole(tmp_path: Path) -> None:
    path = tmp_path / "one.ndjson.gz"
    path.write_bytes(gzip.compress(orjson.dumps(ENCOUNTER) * 50)[:-20])
    (unit,) = SOURCE.discover(feed(path))
    with refused_file("gzip_incomplete"):
        list(SOURCE.read(unit))


def test_entries_of_a_bundle_without_a_resource_are_refused(tmp_path: Path) -> None:
    entries: list[Any] = [
        {"request": {"method": "PUT", "url": "Patient/1"}},
        {"fullUrl": "urn:uuid:1"},
        5,
        {"resource": ENCOUNTER},
        {"resource": "Patient"},
        {"resource": {"resourceType": "Bundle", "entry": []}},
    ]
    result = read(bundle(tmp_path, *entries))
    assert result.reasons() == {
        "no_resource": 3,
        "no_resource_type": 1,
        "resource_type_not_in_model": 1,
    }
    assert (result.read, result.used) == (6, 1)


def test_a_bundle_on_a_line_of_ndjson_is_read_entry_by_entry(tmp_path: Path) -> None:
    inside = {"resourceType": "Bundle", "entry": [{"resource": ENCOUNTER}, {"resource": ENCOUNTER | {"id": "e2"}}]}
    result = read(lines(tmp_path, ENCOUNTER, inside))
    assert result.good["encounter"]["source_position"].to_list() == ["line 1", "line 2 entry 1", "line 2 entry 2"]
    assert result.read == result.used == 3


def test_a_bundle_without_entries_is_told(tmp_path: Path) -> None:
    empty = {"resourceType": "Bundle", "type": "searchset"}
    result = read(lines(tmp_path, empty, empty | {"entry": []}))
    assert (result.read, result.notices) == (0, {("empty_bundle", "the bundle holds no entries"): 2})


def test_an_empty_file_gives_one_empty_chunk(tmp_path: Path) -> None:
    path = tmp_path / "one.ndjson"
    path.write_bytes(b"")
    result = read(path)
    assert (result.read, result.good, result.refusals) == (0, {}, [])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


TEMPLATES: list[dict[str, Any]] = [
    PATIENT,
    ENCOUNTER,
    CLAIM,
    eob(),
    eob(resourceType="ClaimResponse", request={"reference": "Claim/c1"}),
    {
        "resourceType": "Practitioner",
        "id": "d",
        "identifier": [{"system": NPI, "value": "1"}],
        "name": [{"family": "x"}],
    },
    {
        "resourceType": "PractitionerRole",
        "id": "d",
        "practitioner": {"reference": "Practitioner/d"},
        "location": [{"reference": "Location/l"}],
        "specialty": [{"text": "x"}],
        "period": {"start": "2026"},
    },
    {
        "resourceType": "Organization",
        "id": "o",
        "name": "n",
        "type": [{"coding": [{"code": "ins"}]}],
        "extension": [{}],
    },
    {
        "resourceType": "Location",
        "id": "l",
        "name": "n",
        "managingOrganization": {"reference": "#o"},
        "contained": [{}],
    },
    {"resourceType": "Coverage", "id": "k", "payor": [{"display": "x"}], "class": [{}], "period": {}},
    {"resourceType": "Slot", "id": "s", "status": "free", "schedule": {"reference": "Schedule/s"}, "start": "2026"},
    {"resourceType": "Schedule", "id": "s", "actor": [{"reference": "Location/l"}]},
    {"resourceType": "Appointment", "id": "a", "status": "booked", "participant": [{"actor": {"reference": "x"}}]},
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    result = [path] if path else []
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        result += places(child, (*path, key))
    return result


@st.composite
def broken_resources(draw: st.DrawFn) -> Any:
    resource = json.loads(json.dumps(draw(st.sampled_from(TEMPLATES))))
    for path in draw(st.lists(st.sampled_from(places(resource)), max_size=3, unique=True)):
        holder = resource
        try:
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = draw(JSON)
        except (TypeError, KeyError, IndexError):
            continue
    return resource


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(broken_resources() | JSON, max_size=4), in_bundle=st.booleans())
def test_broken_resources_are_refused_or_quarantined_and_every_record_is_counted(
    tmp_path: Path, items: list[Any], in_bundle: bool
) -> None:
    dumped = [json.dumps(item).encode() for item in items]
    path = (
        bundle(tmp_path, *({"resource": item} for item in items))
        if in_bundle
        else lines(tmp_path, *dumped, name="a.ndjson")
    )
    result = gather(list(SOURCE.read(SOURCE.discover(feed(path))[0])))
    bundles = sum(isinstance(item, dict) and item.get("resourceType") == "Bundle" for item in items)
    assert result.read == len(items) or bundles


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=200)
    | st.lists(st.sampled_from([b"{", b"}", b"\n", b'"id"', b":", b"[", b"]", b"\0"])).map(b"".join)
)
def test_arbitrary_bytes_never_crash_the_reader(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "any.ndjson"
    path.write_bytes(content)
    if is_wide_text(content):
        with refused_file("file_is_utf16"):
            read(path)
        return
    result = read(path)
    assert result.read == sum(bool(line.strip()) for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n"))
    document = tmp_path / "any.json"
    document.write_bytes(content)
    try:
        orjson.loads(content.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        with pytest.raises(UnreadableUnit) as caught:
            read(document)
        assert caught.value.position.startswith("line ")
    else:
        assert read(document).read == 1
