"""The manifest of a Bulk Data export: versions 1.0 to 3.0, and `outcome` beside `error` as the ballot of 4.0 has it.

{"transactionTime": "2026-11-21T09:00:00Z", "requiresAccessToken": true,
 "output": [{"type": "Patient", "url": "...", "count": 12}], "deleted": [...], "error": [...], "outcome": [...],
 "link": [{"relation": "next", "url": "..."}]}
"""

import re
from dataclasses import dataclass, field
from typing import Any

from ingest.receive.fhir.http import absolute
from ingest.receive.fhir.problems import ServerProblem
from ingest.receive.fhir.state import instant

MAXIMUM_FILES = 200_000
_KINDS = {"output": "output", "deleted": "deleted", "error": "errors", "outcome": "errors"}
TYPE = re.compile(r"[A-Z][A-Za-z]{1,60}")
_REMEDY = "Ask the server's owner: the answer is not a Bulk Data manifest"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A file that a manifest lists. `kind` is output, deleted or errors."""

    kind: str
    type: str
    url: str
    count: int | None = None


@dataclass(kw_only=True)
class Manifest:
    """One page of a manifest, or all of them put together. `transaction_time` is as the server wrote it."""

    transaction_time: str | None = None
    requires_token: bool = False
    files: list[Listed] = field(default_factory=list)
    next_url: str | None = None

    def add(self, page: "Manifest") -> None:
        """Takes over the files of a further page. Raises ServerProblem above MAXIMUM_FILES."""
        self.files += page.files
        self.requires_token = self.requires_token or page.requires_token
        if len(self.files) > MAXIMUM_FILES:
            raise ServerProblem(f"the manifest lists more than {MAXIMUM_FILES:,} files", _REMEDY)


def parse_manifest(document: dict[str, Any], url: str) -> Manifest:
    """One page of a manifest; relative addresses are relative to the address of the page. Raises ServerProblem for another document."""
    if not any(name in document for name in ("output", "deleted", "error", "outcome")):
        raise ServerProblem("the manifest lists no files", _REMEDY)
    page = Manifest(requires_token=document.get("requiresAccessToken") is True)
    if instant(document.get("transactionTime")) is not None:
        page.transaction_time = document["transactionTime"]
    for key, kind in _KINDS.items():
        listed = document.get(key) or []
        if not isinstance(listed, list):
            raise ServerProblem(f"{key} of the manifest is not a list", _REMEDY)
        page.files += [_listed(item, key, kind, url) for item in listed]
    links = document.get("link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            page.next_url = absolute(url, link["url"])
    return page


def _listed(item: Any, key: str, kind: str, url: str) -> Listed:
    if not isinstance(item, dict) or not isinstance(item.get("url"), str):
        raise ServerProblem(f"an entry under {key} of the manifest has no url", _REMEDY)
    name = item.get("type")
    if kind != "output":
        name = "Bundle" if kind == "deleted" else "OperationOutcome"
    elif not isinstance(name, str) or not TYPE.fullmatch(name):
        name = "Resource"
    count = item.get("count")
    is_count = isinstance(count, int) and not isinstance(count, bool) and count >= 0
    return Listed(kind=kind, type=name, url=absolute(url, item["url"]), count=count if is_count else None)
