"""Paged search of a FHIR server into the inbox, for resources that bulk export does not give: appointments, slots, schedules.
The queries are in the profile (`search`, see `ingest.profiles.fhir`). Resources go to NDJSON files by their type, so that
included resources are in the right file. The searches of a type count once all their pages are received; a failure of another
type does not affect them.
"""

import logging
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from urllib.parse import quote
from zoneinfo import ZoneInfo

import orjson

from foundation.config import Feed
from ingest.inbox.inbox import UNFINISHED, Inbox, SealedWriter
from ingest.profiles import FhirProfile
from ingest.receive.fhir.http import Answer, Http, absolute, origin, refused
from ingest.receive.fhir.known_ids import known_ids, learn, wanted_types
from ingest.receive.fhir.manifest import TYPE
from ingest.receive.fhir.pace import http_date
from ingest.receive.fhir.problems import NotYet, Refused, ServerProblem, issues_of
from ingest.receive.fhir.state import State, instant

progress = logging.getLogger("clinicmart.progress")

PAGE_RESOURCES = 500
# Changes that were under way when the last search looked, and clocks that differ.
OVERLAP = timedelta(hours=1)
# Statuses of appointments change for weeks after their day.
PAST_DAYS = 35
LONG_AGO = "1990-01-01T00:00:00Z"
# Consecutive pages without a new resource: a correct server sends none.
MAXIMUM_BARREN_PAGES = 50
# A search for each patient of a group is tens of thousands of requests, which wait for the server and not for us.
SEARCHES_AT_ONCE = 4
TOLD_EVERY = 500


@dataclass
class _Found:
    """The results of the searches of one type, while they are written."""

    inbox: Inbox
    folder: str
    asked: str
    content_at: datetime
    stack: ExitStack
    writers: dict[str, SealedWriter] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, bundle: dict[str, object], what: str) -> int:
        """Writes the resources of a page that no page before had; how many those are."""
        if bundle.get("resourceType") != "Bundle":
            raise ServerProblem(f"{what} is not a FHIR Bundle", "Check the server's url in the configuration")
        entries = bundle.get("entry") or []
        with self.lock:
            return sum(self._take_entry(entry) for entry in (entries if isinstance(entries, list) else ()))

    def _take_entry(self, entry: object) -> bool:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        kind = resource.get("resourceType") if isinstance(resource, dict) else None
        if kind == "OperationOutcome":
            severity, code, _ = next(issues_of(resource), ("other", "other", ""))
            self.outcomes[severity, code] += 1
        elif isinstance(kind, str) and TYPE.fullmatch(kind):
            line = orjson.dumps(resource)
            mark = hash(line)
            if mark not in self.seen:
                self.seen.add(mark)
                self._writer(kind).write(line + b"\n")
                return True
        return False

    def _writer(self, kind: str) -> SealedWriter:
        if kind not in self.writers:
            # What comes along with another type is named for its own: "Schedule.of-Slot.ndjson".
            name = f"{kind}.ndjson" if self.asked in ("", kind) else f"{kind}.of-{self.asked}.ndjson"
            writer = self.inbox.write(f"{self.folder}/{name}", modified_at=self.content_at)
            self.writers[kind] = self.stack.enter_context(writer)
        return self.writers[kind]


def write_page(inbox: Inbox, folder: str, bundle: dict[str, object], what: str, content_at: datetime) -> None:
    """Writes the resources of one page, for a look at a server. Raises ServerProblem where it is no Bundle."""
    with ExitStack() as stack:
        _Found(inbox, folder, "", content_at, stack).take(bundle, what)


@dataclass
class PagedSearch:
    """One feed's searches. Types that the server does not list are left out; none are where `offered` is empty, that is
    unknown."""

    http: Http
    inbox: Inbox
    state: State
    feed: Feed
    profile: FhirProfile
    offered: frozenset[str]

    def run(self, *, full_refresh: bool) -> list[ServerProblem]:
        """Asks every search of the profile; the problems of those that failed. Never raises them."""
        self._discard_unfinished()
        wanted = {
            kind: queries
            for kind, queries in self.profile.search.items()
            if queries and (kind in self.offered or not self.offered)
        }
        if not wanted:
            return []
        started_at = self._server_time()
        folder = self.state.next_folder(started_at, "search")
        ids_of = wanted_types(wanted.values())
        problems: list[ServerProblem] = []
        done, opened = {}, False
        for kind, queries in wanted.items():
            try:
                result = self._search(kind, queries, folder, started_at, full_refresh)
            except NotYet as error:
                problems.append(error)
                break
            except ServerProblem as error:
                problems.append(error)
                continue
            done[kind] = started_at.isoformat()
            opened = opened or result
            if result:
                learn(self.inbox, folder, ids_of)
        if opened:
            self.inbox.finish(folder)
        else:
            self.inbox.discard(folder)
        self.state.searched.update(done)
        self.state.save(self.inbox)
        return problems

    def _discard_unfinished(self) -> None:
        """Results of a killed run are requested again."""
        for mark in self.inbox.folder.glob(f"*-search/{UNFINISHED}"):
            self.inbox.discard(mark.parent.name)

    def _server_time(self) -> datetime:
        """The server's time, or ours if it sends none. Later changes are for the next search."""
        answer = self.http.ask("GET", f"{self.http.server.url}/metadata", "the server's time", token=False)
        return min(http_date(answer.headers.get("date", "")) or datetime.now(UTC), datetime.now(UTC)).astimezone(UTC)

    def _search(
        self, kind: str, queries: tuple[str, ...], folder: str, started_at: datetime, full_refresh: bool
    ) -> bool:
        """Asks the searches of one type; whether anything was found."""
        before = None if full_refresh else instant(self.state.searched.get(kind))
        addresses = dict.fromkeys(self._addresses(kind, queries, before))
        with ExitStack() as stack:
            result = _Found(self.inbox, folder, kind, started_at, stack)
            self.inbox.begin(folder)
            unanswered = self._ask_all(list(addresses), kind, result)
        if unanswered:
            self.state.note(
                kind, "search_unanswered", "searches name records that the server does not know", unanswered
            )
        for (severity, code), number in sorted(result.outcomes.items()):
            self.state.note(kind, "search_outcome", f"the server reports: {severity} {code}", number)
        progress.info("%s: %s: %s found", self._name, kind, f"{len(result.seen):,}")
        return bool(result.writers)

    def _ask_all(self, addresses: list[str], kind: str, result: _Found) -> int:
        """Asks every address, several at once; how many name what the server does not know. The first that fails ends it."""
        unanswered = 0
        names_records = bool(wanted_types([self.profile.search[kind]]))
        with ThreadPoolExecutor(SEARCHES_AT_ONCE) as pool:
            for start in range(0, len(addresses), TOLD_EVERY):
                part = addresses[start : start + TOLD_EVERY]
                asked = [pool.submit(self._pages, url, kind, result, names_records=names_records) for url in part]
                try:
                    unanswered += sum(not answer.result() for answer in asked)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
                progress.info("%s: %s: %d of %d searches", self._name, kind, start + len(part), len(addresses))
        return unanswered

    @property
    def _name(self) -> str:
        return f"{self.feed.tenant_id}/{self.feed.name}"

    def _addresses(self, kind: str, queries: tuple[str, ...], before: datetime | None) -> Iterator[str]:
        """Every search of a type with its placeholders filled in."""
        today = datetime.now(UTC).astimezone(ZoneInfo(self.feed.time_zone)).date()
        server = self.http.server
        days = PAST_DAYS if before is not None else server.history_days
        last = today if before is None else min(before.astimezone(ZoneInfo(self.feed.time_zone)).date(), today)
        values = {
            "since": LONG_AGO if before is None else f"{(before - OVERLAP).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "from": (last - timedelta(days=days)).isoformat(),
            "today": today.isoformat(),
            "until": (today + timedelta(days=server.horizon_days)).isoformat(),
            "base": server.url,
        }
        for query in queries:
            kinds = sorted(wanted_types([(query,)]))
            for ids in product(*(known_ids(self.inbox, name) for name in kinds)):
                yield f"{server.url}/{kind}?{_filled(query, values | dict(zip(kinds, ids, strict=True)))}"

    def _pages(self, url: str, kind: str, result: _Found, *, names_records: bool) -> bool:
        """Follows one search to its last page; False if the server does not know the patient or resource that it names."""
        what, seen, barren = f"search of {kind}", set(), 0
        next_url: str | None = url
        while next_url is not None:
            if next_url in seen or barren > MAXIMUM_BARREN_PAGES:
                raise ServerProblem(f"the pages of {what} form a loop", "Ask the server's owner")
            seen.add(next_url)
            answer = self.http.ask("GET", next_url, what)
            if answer.status in (404, 410) and names_records:
                return False
            if answer.status != 200:
                raise _not_found(answer, what, self.profile)
            bundle = answer.json(what)
            barren = 0 if result.take(bundle, what) else barren + 1
            next_url = _next(bundle, answer.url)
            if next_url is not None and origin(next_url) != origin(url):
                raise ServerProblem(
                    f"the next page of {what} is on another host, {origin(next_url)[1]}",
                    "Ask the server's owner to correct the URLs of the pages",
                )
        return True


def _filled(query: str, values: dict[str, str]) -> str:
    """A query text of the profile with its placeholders filled in and its values escaped."""
    pairs = []
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        for word, text in values.items():
            value = value.replace(f"{{{word}}}", text)
        pairs.append(f"{quote(name, safe=':._-')}={quote(value, safe=',:/|')}")
    if not any(pair.startswith("_count=") for pair in pairs):
        pairs.append(f"_count={PAGE_RESOURCES}")
    return "&".join(pairs)


def _next(bundle: dict[str, object], url: str) -> str | None:
    links = bundle.get("link")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("relation") == "next" and isinstance(link.get("url"), str):
            return absolute(url, link["url"])
    return None


def _not_found(answer: Answer, what: str, profile: FhirProfile) -> Refused:
    problem = refused(answer, what, with_text=False)
    if answer.status in (400, 422):
        return Refused(
            answer.status, problem.problem, f"Check search of profile {profile.name}: the server does not take it"
        )
    return problem
