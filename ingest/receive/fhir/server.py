"""Asks a FHIR server for what is new, into the feed's inbox: signing in, export, searches."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_bytes

from foundation.config import Feed
from foundation.feed_remote import FhirServer
from ingest.inbox.inbox import BrokenSeal, Inbox
from ingest.interface import Notice
from ingest.profiles import FhirProfile, load_profile
from ingest.receive.fhir.bulk_export import BulkExport
from ingest.receive.fhir.capability import Capability, missing, read_capability
from ingest.receive.fhir.http import Http
from ingest.receive.fhir.known_ids import wanted_types
from ingest.receive.fhir.pace import Pace
from ingest.receive.fhir.paged_search import PagedSearch, write_page
from ingest.receive.fhir.problems import NotYet, Refused, ServerProblem
from ingest.receive.fhir.sign_in import SignIn
from ingest.receive.fhir.state import State

# A look at a server waits for nothing that takes longer.
LOOK_SECONDS = 30.0
LOOK_RESOURCES = 50


@dataclass(kw_only=True)
class Received:
    """The result of requests to a server. `problems` name what it did not give; received data are in the inbox."""

    problems: list[ServerProblem] = field(default_factory=list)
    notices: list[Notice] = field(default_factory=list)
    whole_folder: str | None = None


def receive(feed: Feed, inbox: Inbox, *, full_refresh: bool = False, pace: Pace | None = None) -> Received:
    """Brings what is new at the feed's server into its inbox. Raises ConfigurationError for a wrong key or profile, and no
    error for problems of the server. The notices stay in the inbox until `confirm` says that they are recorded.
    """
    server = _server(feed)
    profile = load_profile(feed.profile or "r4", "fhir")
    received = Received()
    with _alone(inbox), Http(server, pace or Pace(server.wait_minutes * 60.0)) as http:
        try:
            state = State.of(inbox, _address(server))
        except ServerProblem as error:
            received.problems.append(error)
            return received
        try:
            sign_in = SignIn(http, _types(server, profile)) if server.key is not None else None
            capability = _check(http, state, profile)
            if sign_in is not None:
                sign_in.header()
                state.note_once("scope_not_granted", [f"the token does not cover {t}" for t in sign_in.not_granted()])
            received.problems += _bring(http, inbox, state, feed, profile, capability, full_refresh)
        except ServerProblem as error:
            received.problems.append(error)
        except BrokenSeal as broken:
            received.problems.append(
                ServerProblem(f"a file of the inbox was altered or cut short ({broken})", "Restore it from a backup")
            )
        state.save(inbox)
        received.notices, received.whole_folder = state.take_notices(), state.whole_folder
    return received


def confirm(feed: Feed, inbox: Inbox) -> None:
    """The notices of the last `receive` are recorded."""
    state = State.of(inbox, _address(_server(feed)))
    state.notices = []
    state.save(inbox)


def is_under_way(feed: Feed, inbox: Inbox) -> bool:
    """Whether the server is at work on an export that the feed's last run left to the next."""
    try:
        return State.of(inbox, _address(_server(feed))).job is not None
    except ServerProblem:
        return False


def _bring(
    http: Http,
    inbox: Inbox,
    state: State,
    feed: Feed,
    profile: FhirProfile,
    capability: Capability | None,
    full_refresh: bool,
) -> list[ServerProblem]:
    """Runs the export, then the searches, which may use ids from the export."""
    problems: list[ServerProblem] = []
    offered = frozenset(capability.types if capability is not None else ())
    if http.server.export != "none":
        export = BulkExport(
            http=http,
            inbox=inbox,
            state=state,
            feed=f"{feed.tenant_id}/{feed.name}",
            types=profile.export_types,
            offered=offered,
            knows_since=profile.export_since,
            wanted_ids=wanted_types(profile.search.values()),
        )
        try:
            export.run(full_refresh=full_refresh)
        except ServerProblem as error:
            problems.append(error)
    return problems + PagedSearch(http, inbox, state, feed, profile, offered).run(full_refresh=full_refresh)


def _check(http: Http, state: State, profile: FhirProfile) -> Capability | None:
    """Compares the capabilities of the server with the needs of the profile; None if the server does not state them.

    Raises ServerProblem for another version of FHIR.
    """
    try:
        capability = read_capability(http)
    except (NotYet, Refused) as error:
        state.note_once("capability_unknown", [error.problem])
        return None
    _check_version(capability)
    state.note_once("capability_missing", missing(capability, http.server, profile))
    return capability


def _check_version(capability: Capability) -> None:
    if not capability.is_r4:
        raise ServerProblem(
            f"the server uses FHIR {capability.version or 'of an unknown version'}, but this feed needs R4 (4.0)",
            "Ask the server's owner for the address of its R4 endpoint",
        )


@dataclass(kw_only=True)
class Look:
    """What a look at a server showed. `missing` are lines for a person; `inbox` holds one page of resources, if any came."""

    inbox: Inbox
    missing: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@contextmanager
def look(feed: Feed) -> Iterator[Look]:
    """Signs in, reads the CapabilityStatement and one page of resources, sealed in a folder that is gone afterwards.

    Raises ConfigurationError for a wrong key or profile.
    """
    server = _server(feed)
    profile = load_profile(feed.profile or "r4", "fhir")
    with tempfile.TemporaryDirectory(prefix="clinicmart-look-") as folder:
        seen = Look(inbox=Inbox(Path(folder), token_bytes(32)))
        with Http(server, Pace(LOOK_SECONDS)) as http:
            sign_in = SignIn(http, _types(server, profile)) if server.key is not None else None
            try:
                capability = read_capability(http)
                _check_version(capability)
                seen.missing += missing(capability, server, profile)
                if sign_in is not None:
                    sign_in.header()
                    seen.missing += [f"the token does not cover {name}" for name in sign_in.not_granted()]
                _look_at_a_page(http, seen, profile)
            except ServerProblem as error:
                seen.problems.append(f"{error.problem}. {error.remedy}")
        yield seen


def _look_at_a_page(http: Http, seen: Look, profile: FhirProfile) -> None:
    """Reads one page of the first type that the server lets us search without further ado."""
    problem: ServerProblem | None = None
    for kind in ("Encounter", "Patient", *profile.export_types):
        what = f"search of {kind}"
        answer = http.ask("GET", f"{http.server.url}/{kind}?_count={LOOK_RESOURCES}", what)
        if answer.status == 200:
            write_page(seen.inbox, f"page/{kind}", answer.json(what), what, datetime.now(UTC))
            return
        problem = problem or Refused(answer.status, f"{what}: status {answer.status}", "")
    if problem is not None:
        seen.missing.append(f"no page of resources could be read ({problem.problem}); an export may still work")


def _server(feed: Feed) -> FhirServer:
    assert feed.server is not None
    return feed.server


def _types(server: FhirServer, profile: FhirProfile) -> tuple[str, ...]:
    """Types that a token must cover: the exported types, the searched types, and the exported group."""
    exported = profile.export_types if server.export != "none" else ()
    searched = tuple(kind for kind, queries in profile.search.items() if queries)
    return (*exported, *searched, *(("Group",) if server.export == "group" else ()))


def _address(server: FhirServer) -> str:
    """The server and feed that a state belongs to."""
    return f"{server.url} {server.export} {server.group or ''}".strip()


@contextmanager
def _alone(inbox: Inbox) -> Iterator[None]:
    """One client of a feed at a time: a run by hand and one by the schedule may meet."""
    with (inbox.folder / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
