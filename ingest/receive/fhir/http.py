"""Requests to one FHIR server: signed in, retried, bounded, and never with a token or a patient's id to anybody else.

* The token goes to the server's own origin (scheme, host, port) and to the `hosts` that the configuration names.
* Redirects are followed within the origin; those of files anywhere (storage services), without the token.
* What passes is tried again with back-off: connections that fail, 429 and 503 as long as the server asks for it, other 5xx
  a few times. A token that the server no longer takes is renewed once a request.
* Neither addresses nor bodies are logged: both may name patients.
"""

import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urljoin, urlsplit

import httpx
import orjson

from foundation.errors import ConfigurationError
from foundation.feed_remote import FhirServer
from ingest.receive.fhir.bodies import BrokenOff, clear_blocks
from ingest.receive.fhir.pace import Pace, backoff, retry_after
from ingest.receive.fhir.problems import Refused, ServerProblem, explained

ATTEMPTS = 6
REDIRECTS = 5
MAXIMUM_ANSWER_BYTES = 128 << 20
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
FHIR_JSON = "application/fhir+json"
_TIMEOUT = httpx.Timeout(connect=20, read=120, write=60, pool=20)
_REDIRECTED = (301, 302, 303, 307, 308)
_REMEDIES = {
    400: "Check the feed's profile against what the server's documentation allows",
    401: "Check client_id and key, and that the server knows the key's public half (clinicmart sources jwks)",
    403: "Ask the server's owner which scopes and which data this client may read",
    404: "Check the server's url, export and group",
    410: "The next run asks again",
    429: "Too many requests, or an export of this client is still under way there: run again later",
}

# httpx logs every address at INFO.
logging.getLogger("httpx").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Answer:
    """A whole answer in memory: at most MAXIMUM_ANSWER_BYTES unpacked. `url` is where it came from in the end."""

    status: int
    headers: httpx.Headers
    content: bytes
    url: str
    retry_after: float | None

    def json(self, what: str) -> dict[str, Any]:
        """The JSON object it holds. Raises ServerProblem for anything else."""
        try:
            document = orjson.loads(self.content)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise ServerProblem(f"{what} is not JSON", "Check the server's url: something else may answer there")
        return document


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an address; empty if it is not an address."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or "", parts.port or {"http": 80}.get(parts.scheme, 443)
    except ValueError:
        return "", "", 0


def absolute(base: str, url: str) -> str:
    """An address in an answer from `base`, which may be relative; empty if it is not an address."""
    try:
        return urljoin(base, url)
    except ValueError:
        return ""


class Http:
    """Requests to one server, from any thread. `sign_in` gives the token's header, `renew` forgets one that was refused; without
    them none is sent."""

    def __init__(self, server: FhirServer, pace: Pace) -> None:
        self.server, self.pace = server, pace
        self.sign_in: Callable[[], str] | None = None
        self.renew: Callable[[str], None] = lambda _header: None
        self._trusted = {origin(server.url), *(origin(f"https://{host}") for host in server.hosts)}
        self._client = httpx.Client(timeout=_TIMEOUT, verify=_trust(server), follow_redirects=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def may_have_token(self, url: str) -> bool:
        """Whether an address is the server's own, or of a host that the configuration trusts with the token."""
        return origin(url) in self._trusted

    def ask(
        self,
        method: str,
        url: str,
        what: str,
        *,
        token: bool = True,
        accept: str = FHIR_JSON,
        headers: Mapping[str, str] | None = None,
        form: Callable[[], Mapping[str, str]] | None = None,
        passing: frozenset[int] = PASSING,
    ) -> Answer:
        """One request and its whole answer, with any status. `form` is made again for each try.

        Raises ServerProblem if the server cannot be reached or sends too much, NotYet if it asks for a longer wait than
        allowed."""
        failures = 0
        sent = {"Accept": accept, **(headers or {})}
        while True:
            with self._settled(method, url, what, token=token, headers=sent, form=form, passing=passing) as response:
                try:
                    content = b"".join(clear_blocks(response, limit_bytes=MAXIMUM_ANSWER_BYTES, what=what))
                    return Answer(
                        response.status_code, response.headers, content, str(response.url), retry_after(response)
                    )
                except (BrokenOff, httpx.TransportError):
                    failures += 1
                    if failures >= ATTEMPTS or method != "GET":
                        raise ServerProblem(
                            f"the connection broke at every try to read {what}", "Ask the server's owner"
                        ) from None
            self.pace.wait(backoff(failures), f"{what} broke off")

    def get_json(self, url: str, what: str, *, with_text: bool = False, token: bool = True) -> Answer:
        """A GET that must succeed. Raises Refused for any status but 200; `with_text` as in `problems.explained`."""
        answer = self.ask("GET", url, what, token=token)
        if answer.status != 200:
            raise refused(answer, what, with_text=with_text)
        return answer

    @contextmanager
    def file(self, url: str, what: str, *, token: bool) -> Iterator[httpx.Response]:
        """An open answer of status 200 for a file, at any address. Raises Refused for another status."""
        sent = {"Accept": "application/fhir+ndjson, application/ndjson;q=0.9, */*;q=0.1"}
        with self._settled("GET", url, what, token=token, headers=sent, anywhere=True) as response:
            if response.status_code != 200:
                raise Refused(
                    response.status_code, f"{what}: status {response.status_code}", remedy(response.status_code)
                )
            yield response

    @contextmanager
    def _settled(
        self,
        method: str,
        url: str,
        what: str,
        *,
        token: bool,
        headers: Mapping[str, str],
        form: Callable[[], Mapping[str, str]] | None = None,
        passing: frozenset[int] = PASSING,
        anywhere: bool = False,
    ) -> Iterator[httpx.Response]:
        """An open answer that trying again would not better."""
        failures, renewed = 0, False
        while True:
            failures += 1
            try:
                response = self._send(method, url, what, token=token, headers=headers, form=form, anywhere=anywhere)
            except httpx.TransportError as error:
                if failures >= ATTEMPTS:
                    raise ServerProblem(
                        f"{origin(url)[1]} cannot be reached ({type(error).__name__})",
                        "Check url, network and the server's certificate; the next run continues from here",
                    ) from None
                self.pace.wait(backoff(failures), f"{origin(url)[1]} cannot be reached")
                continue
            with closing(response):
                status, asked = response.status_code, retry_after(response)
                if status == 401 and token and self.sign_in and not renewed:
                    renewed = True
                    self.renew(response.request.headers.get("authorization", ""))
                    continue
                # If a server says how long to wait, the run waits up to its limit; otherwise it tries a few times.
                waits = status in passing and (failures < ATTEMPTS or (status in (429, 503) and asked is not None))
                if not waits:
                    yield response
                    return
            self.pace.wait(backoff(failures) if asked is None else max(asked, 0.5), f"{what}: status {status}")

    def _send(
        self,
        method: str,
        url: str,
        what: str,
        *,
        token: bool,
        headers: Mapping[str, str],
        form: Callable[[], Mapping[str, str]] | None,
        anywhere: bool,
    ) -> httpx.Response:
        """Sends one request, and after it where it is redirected to."""
        for _ in range(REDIRECTS + 1):
            sent = {**headers, "Accept-Encoding": "gzip"}
            if token and self.sign_in is not None and self.may_have_token(url):
                sent["Authorization"] = self.sign_in()
            try:
                request = self._client.build_request(method, url, headers=sent, data=form() if form else None)
            except (httpx.InvalidURL, ValueError):
                raise ServerProblem(
                    f"the server returned an invalid URL for {what}", "Ask the server's owner"
                ) from None
            response = self._client.send(request, stream=True)
            if method != "GET" or response.status_code not in _REDIRECTED:
                return response
            response.close()
            url = self._next_address(url, response.headers.get("location", ""), what, anywhere=anywhere)
        raise ServerProblem(f"{what} is redirected in a loop", "Check the server's url")

    def _next_address(self, url: str, location: str, what: str, *, anywhere: bool) -> str:
        target = absolute(url, location)
        self.check_address(target, what)
        if not anywhere and origin(target) != origin(url):
            raise ServerProblem(
                f"{what} is redirected to another host, {origin(target)[1]}", "Set url to the server's final address"
            )
        return target

    def check_address(self, url: str, what: str) -> None:
        """Refuses an address from the server if others could read its content in transit: plain http, unless this server itself
        is configured with http. Raises ServerProblem."""
        scheme, host, _ = origin(url)
        plain = scheme == "http" and origin(self.server.url)[:2] == ("http", host)
        if not host or not (scheme == "https" or plain):
            raise ServerProblem(f"the server returned a URL without https for {what}", "Ask the server's owner")


def refused(answer: Answer, what: str, *, with_text: bool) -> Refused:
    """The problem that an answer's status means."""
    explanation = explained(answer.content, with_text=with_text)
    return Refused(answer.status, f"{what}: status {answer.status}{explanation}", remedy(answer.status))


def remedy(status: int) -> str:
    """The remedy for a status."""
    return _REMEDIES.get(status, "Run again later, and ask the server's owner if it stays so")


def _trust(server: FhirServer) -> ssl.SSLContext | bool:
    if server.authorities is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(server.authorities))
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "holds no certificates in PEM"
        raise ConfigurationError(f"{server.authorities}: {reason}") from None
