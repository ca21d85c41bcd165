"""Any answer of a server gives a named problem: no crash and no hang."""

import gzip
import json
import zlib
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.feed_remote import FhirServer
from ingest.profiles import load_profile
from ingest.receive.fhir.bodies import BLOCK_BYTES, BrokenOff, clear_blocks
from ingest.receive.fhir.capability import missing, parse_capability
from ingest.receive.fhir.http import Http, absolute, origin
from ingest.receive.fhir.manifest import parse_manifest
from ingest.receive.fhir.pace import Pace, retry_after
from ingest.receive.fhir.problems import ServerProblem, explained, issues

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def _shaped(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects with the names that matter, and anything in them."""
    values = json_values | st.lists(st.dictionaries(st.sampled_from(names), json_values, max_size=4), max_size=3)
    return st.dictionaries(st.sampled_from(names), values, max_size=6)


MANIFEST = (
    "transactionTime",
    "requiresAccessToken",
    "output",
    "deleted",
    "error",
    "outcome",
    "link",
    "relation",
    "url",
    "type",
    "count",
)
CAPABILITY = (
    "rest",
    "mode",
    "resource",
    "type",
    "searchParam",
    "operation",
    "name",
    "definition",
    "fhirVersion",
    "software",
)


@settings(max_examples=150, deadline=None)
@given(_shaped(*MANIFEST))
def test_any_manifest_is_read_or_named(document: dict[str, Any]) -> None:
    try:
        manifest = parse_manifest(document, "https://fhir.example.org/jobs/1")
    except ServerProblem:
        return
    assert all(file.type.isalpha() and file.kind in ("output", "deleted", "errors") for file in manifest.files)


@settings(max_examples=150, deadline=None)
@given(_shaped(*CAPABILITY))
def test_any_capability_statement_is_read(document: dict[str, Any]) -> None:
    capability = parse_capability(document)
    lines = missing(capability, FhirServer(url="https://fhir.example.org"), load_profile("r4", "fhir"))
    assert all(isinstance(line, str) for line in lines)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60)
    | _shaped("resourceType", "issue", "severity", "code", "details", "text").map(
        lambda value: json.dumps({"resourceType": "OperationOutcome"} | value).encode()
    )
)
def test_any_outcome_is_told_without_its_text(content: bytes) -> None:
    for severity, code, _ in issues(content):
        assert severity.replace("-", "").isalpha() or severity.strip("-") == ""
        assert len(code) <= 40
    assert "(" not in explained(content, with_text=False)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40))
def test_any_retry_after_is_a_number_of_seconds_or_none(text: str) -> None:
    headers = httpx.Headers([(b"retry-after", text.encode("utf-8"))])
    seconds = retry_after(httpx.Response(429, headers=headers))
    assert seconds is None or seconds >= 0


ADDRESSES = (
    "https://[::1",
    "https://x:99999999/",
    "https://x:y/",
    "//[",
    "https://",
    "ftp://x/y",
    "http://\\x",
    "https://\0/",
)


@pytest.fixture(scope="module")
def http() -> Iterator[Http]:
    with Http(FhirServer(url="https://fhir.example.org"), Pace(1)) as made:
        yield made


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ADDRESSES) | st.text(max_size=40) | st.text(max_size=20).map(lambda text: f"https://{text}"))
def test_an_address_has_an_origin_or_is_refused(http: Http, text: str) -> None:
    try:
        http.check_address(absolute("https://fhir.example.org/jobs/1", text), "a file")
    except ServerProblem:
        return
    assert origin(absolute("https://fhir.example.org/jobs/1", text))[0] == "https"


class _Stream(httpx.SyncByteStream):
    def __init__(self, blocks: list[bytes]) -> None:
        self.blocks = blocks

    def __iter__(self) -> Iterator[bytes]:
        yield from self.blocks


def _clear(content: bytes, headers: dict[str, str], size: int = 7, limit: int = 1 << 30) -> bytes:
    blocks = [content[start : start + size] for start in range(0, len(content), size)]
    response = httpx.Response(200, headers=headers, stream=_Stream(blocks))
    return b"".join(clear_blocks(response, limit_bytes=limit, what="the file"))


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200).map(lambda rest: b"{" + rest), st.integers(1, 50))
def test_what_was_packed_is_unpacked_whatever_the_blocks(content: bytes, size: int) -> None:
    packed = gzip.compress(content)
    assert _clear(packed, {"content-encoding": "gzip"}, size) == content
    assert _clear(packed, {}, size) == content
    assert _clear(packed + gzip.compress(b"more") + b"\0" * 3, {}, size) == content + b"more"
    assert _clear(gzip.compress(packed), {"content-encoding": "gzip"}, size) == content


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=200), st.data())
def test_a_packed_file_cut_anywhere_is_seen(content: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(content)
    cut = data.draw(st.integers(1, len(packed) - 1))
    with pytest.raises(BrokenOff):
        _clear(packed[:cut], {"content-encoding": "gzip"})


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_given_or_seen_to_be_broken(content: bytes) -> None:
    for headers in ({}, {"content-encoding": "gzip"}, {"content-encoding": "br"}):
        try:
            _clear(content, headers)
        except (BrokenOff, ServerProblem):
            continue


def test_no_block_is_larger_than_stated() -> None:
    packed = zlib.compress(b"x" * (20 << 20), wbits=31)
    response = httpx.Response(200, headers={"content-encoding": "gzip"}, stream=_Stream([packed]))
    sizes = [len(block) for block in clear_blocks(response, limit_bytes=1 << 30, what="the file")]
    assert sum(sizes) == 20 << 20
    assert max(sizes) <= BLOCK_BYTES
