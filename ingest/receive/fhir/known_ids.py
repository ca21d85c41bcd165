"""Ids from exports and searches, by type: the values for a search such as `patient={Patient}`."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from ingest.inbox.inbox import SUFFIX, Inbox

_ID = re.compile(r"[A-Za-z0-9\-.]{1,128}")
_PLACEHOLDER = re.compile(r"{([A-Z][A-Za-z]*)}")


def wanted_types(searches: Iterable[tuple[str, ...]]) -> frozenset[str]:
    """Types whose ids the searches name."""
    return frozenset(name for queries in searches for query in queries for name in _PLACEHOLDER.findall(query))


def known_ids(inbox: Inbox, kind: str) -> list[str]:
    """Ids of a type, in order. Raises BrokenSeal."""
    path = inbox.path(_name(kind))
    return b"".join(inbox.read(path)).decode().split() if path.exists() else []


def learn(inbox: Inbox, folder: str, kinds: frozenset[str]) -> None:
    """Adds the ids of a delivery's files, and takes away those that it deletes. Doing it again changes nothing."""
    if not kinds:
        return
    ids: dict[str, set[str]] = {kind: set() for kind in kinds}
    gone: dict[str, set[str]] = {kind: set() for kind in kinds}
    for path in sorted((inbox.folder / folder).rglob(f"*.ndjson{SUFFIX}")):
        kind_of_file = path.name.partition(".")[0]
        if path.parent.name == "deleted":
            for kind, name in _deleted(resources(inbox, str(path.relative_to(inbox.folder)))):
                gone.get(kind, set()).add(name)
        elif kind_of_file in kinds:
            for resource in resources(inbox, str(path.relative_to(inbox.folder))):
                resource_id = resource.get("id")
                if (
                    resource.get("resourceType") == kind_of_file
                    and isinstance(resource_id, str)
                    and _ID.fullmatch(resource_id)
                ):
                    ids[kind_of_file].add(resource_id)
    for kind in kinds:
        if ids[kind] or gone[kind]:
            names = sorted((set(known_ids(inbox, kind)) | ids[kind]) - gone[kind])
            with inbox.write(_name(kind)) as writer:
                writer.write("\n".join(names).encode())


def resources(inbox: Inbox, name: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of an encrypted NDJSON file; other lines are left to its reader."""
    remainder = b""
    for block in inbox.read(inbox.path(name.removesuffix(SUFFIX))):
        *lines, remainder = (remainder + block).split(b"\n")
        yield from _objects(lines)
    yield from _objects([remainder])


def _objects(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            resource = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(resource, dict):
            yield resource


def _deleted(bundles: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for bundle in bundles:
        entries = bundle.get("entry")
        for entry in entries if isinstance(entries, list) else ():
            request = entry.get("request") if isinstance(entry, dict) else None
            if isinstance(request, dict) and request.get("method") == "DELETE" and isinstance(request.get("url"), str):
                kind, _, name = request["url"].rpartition("/")
                yield kind.rpartition("/")[2], name


def _name(kind: str) -> str:
    return f"known/{kind}.ids"
