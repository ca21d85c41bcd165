"""A Bulk Data server for the tests, in a thread: Starlette under uvicorn, its own token endpoint, exports, files and searches.

It believes nobody: an assertion must be signed by a registered key (RS384 or ES384), be meant for this token endpoint, end
within five minutes and come once; a token must be one it gave, unexpired, and cover the type. `fail` makes it misbehave.
"""

import gzip
import json
import re
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

Resource = dict[str, Any]
Handler = Callable[[Request, Response], Response]
ALL_TYPES = [
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Organization",
    "Location",
    "Coverage",
    "Encounter",
    "Claim",
    "ClaimResponse",
    "ExplanationOfBenefit",
    "Appointment",
    "Schedule",
    "Slot",
]


def outcome(code: str, severity: str = "error", text: str = "Smith, John: secret diagnosis") -> Resource:
    """An OperationOutcome whose free text must never be shown."""
    return {"resourceType": "OperationOutcome", "issue": [{"severity": severity, "code": code, "diagnostics": text}]}


@dataclass
class Fault:
    """What to do instead, `times` over, to requests of a method whose path matches."""

    method: str
    path: re.Pattern[str]
    answer: Handler
    times: int


@dataclass
class Client:
    """A registered client and what it may see."""

    keys: KeySet
    resources: list[Resource]
    deleted: list[tuple[str, str]] = field(default_factory=list)
    errors: list[Resource] = field(default_factory=list)


@dataclass
class Job:
    client_id: str
    query: dict[str, str]
    path: str
    at: datetime
    polls_left: int
    files: dict[tuple[str, str, int], list[Resource]] = field(default_factory=dict)


@dataclass
class BulkServer:
    """Its knobs are fields; `requests` are those it had: method, path, query, whether a token came along."""

    origin: str
    clients: dict[str, Client] = field(default_factory=dict)
    token_seconds: float = 300
    polls: int = 1
    per_file: int = 1000
    files_per_page: int = 1000
    per_search_page: int = 50
    packing: str = ""  # "encoding", "body" or ""
    counts: bool = True
    capability: Resource | None = None
    smart: Resource = field(default_factory=dict)
    clock: datetime = datetime(2026, 11, 20, 10, tzinfo=UTC)
    requests: list[tuple[str, str, dict[str, str], bool]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    tokens: dict[str, tuple[str, float, str]] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    assertions: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)
    change_manifest: Callable[[Resource], Resource] = lambda manifest: manifest

    @property
    def url(self) -> str:
        return f"{self.origin}/r4"

    @property
    def token_url(self) -> str:
        return f"{self.origin}/auth/token"

    def fail(
        self,
        path: str,
        status: int = 200,
        *,
        times: int = 1,
        method: str = "GET",
        headers: dict[str, str] | None = None,
        body: Any = None,
        answer: Handler | None = None,
    ) -> None:
        """Answers the next requests of a path otherwise."""
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        made = answer or (lambda _request, _response: Response(content, status, headers))
        self.faults.append(Fault(method, re.compile(path), made, times))

    def asked(self, path: str, method: str = "GET") -> list[tuple[str, str, dict[str, str], bool]]:
        """Requests whose path matches."""
        return [item for item in self.requests if item[0] == method and re.search(path, item[1])]

    def forget_tokens(self) -> None:
        """Every token given so far is refused from now on."""
        self.tokens.clear()

    # Requests

    async def handle(self, request: Request) -> Response:
        path = request.url.path
        self.requests.append((request.method, path, dict(request.query_params), "authorization" in request.headers))
        response = await self._route(request, path)
        for fault in self.faults:
            if fault.times > 0 and fault.method == request.method and fault.path.search(path):
                fault.times -= 1
                return fault.answer(request, response)
        return response

    async def _route(self, request: Request, path: str) -> Response:
        if path == "/r4/.well-known/smart-configuration":
            known = {
                "token_endpoint": self.token_url,
                "capabilities": ["client-confidential-asymmetric", "permission-v2"],
            }
            return JSONResponse(known | self.smart)
        if path == "/r4/metadata":
            return JSONResponse(self.capability or capability_statement())
        if path == "/auth/token":
            return await self._token(request)
        client_id, scope = self._signed_in(request)
        if client_id is None:
            return JSONResponse(outcome("login"), 401)
        if path.endswith("/$export"):
            return self._kick_off(request, client_id)
        if found := re.fullmatch(r"/jobs/(\w+)(?:/page/(\d+))?", path):
            return self._status(request, client_id, found[1], int(found[2] or 0))
        if found := re.fullmatch(r"/files/(\w+)/(\w+)/(\w+)/(\d+)(?:\.gz)?", path):
            return self._file(client_id, found[1], (found[2], found[3], int(found[4])))
        if found := re.fullmatch(r"/r4/([A-Za-z]+)", path):
            if not re.search(rf"system/({found[1]}|\*)\.", scope):
                return JSONResponse(outcome("forbidden"), 403)
            return self._search(request, client_id, found[1])
        return JSONResponse(outcome("not-found"), 404)

    async def _token(self, request: Request) -> Response:
        form = await request.form()
        try:
            client_id = self._proven(str(form["client_assertion"]))
        except (AssertionError, KeyError, JoseError, ValueError) as error:
            self.refusals.append(str(error))
            return JSONResponse({"error": "invalid_client", "error_description": str(error)}, 400)
        if form.get("grant_type") != "client_credentials" or not form.get("scope"):
            return JSONResponse({"error": "invalid_request"}, 400)
        token = secrets.token_urlsafe(16)
        self.tokens[token] = (client_id, time.monotonic() + self.token_seconds, str(form["scope"]))
        given = {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": self.token_seconds,
            "scope": form["scope"],
        }
        return JSONResponse(given)

    def _proven(self, assertion: str) -> str:
        header = jws.extract_compact(assertion.encode()).headers()
        assert header["alg"] in ("RS384", "ES384"), "alg"
        claims = json.loads(jws.extract_compact(assertion.encode()).payload)
        client = self.clients[claims["iss"]]
        assert header["kid"] in {key.kid for key in client.keys.keys}, "kid"
        claims = jwt.decode(assertion, client.keys, algorithms=["RS384", "ES384"]).claims
        now = time.time()
        assert claims["iss"] == claims["sub"], "sub"
        assert claims["aud"] == self.token_url, "aud"
        assert now < claims["exp"] <= now + 300, "exp"
        assert claims["jti"] not in self.assertions, "jti"
        self.assertions.add(claims["jti"])
        return str(claims["iss"])

    def _signed_in(self, request: Request) -> tuple[str | None, str]:
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        client_id, until, scope = self.tokens.get(token, (None, 0.0, ""))
        return (client_id, scope) if kind == "Bearer" and time.monotonic() < until else (None, "")

    def _kick_off(self, request: Request, client_id: str) -> Response:
        query = dict(request.query_params)
        if request.headers.get("prefer") != "respond-async" or query.get("_outputFormat") != "application/fhir+ndjson":
            return JSONResponse(outcome("invalid"), 400)
        self.clock += timedelta(minutes=1)
        name = secrets.token_hex(6)
        job = Job(client_id, query, request.url.path, self.clock, self.polls)
        client, since = self.clients[client_id], query.get("_since", "")
        for kind in query["_type"].split(","):
            chosen = [r for r in client.resources if r["resourceType"] == kind and _updated(r) > since]
            for number, start in enumerate(range(0, len(chosen), self.per_file)):
                job.files["output", kind, number] = chosen[start : start + self.per_file]
        if client.errors:
            job.files["error", "OperationOutcome", 0] = client.errors
        if since and client.deleted:
            entries = [{"request": {"method": "DELETE", "url": f"{kind}/{name}"}} for kind, name in client.deleted]
            bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
            job.files["deleted", "Bundle", 0] = [bundle]
        self.jobs[name] = job
        return Response(status_code=202, headers={"Content-Location": f"{self.origin}/jobs/{name}"})

    def _status(self, request: Request, client_id: str, name: str, page: int) -> Response:
        job = self.jobs.get(name)
        if job is None or job.client_id != client_id:
            return JSONResponse(outcome("not-found"), 404)
        if request.method == "DELETE":
            del self.jobs[name]
            return Response(status_code=202)
        if job.polls_left > 0:
            job.polls_left -= 1
            return Response(status_code=202, headers={"Retry-After": "1", "X-Progress": f"{job.polls_left} to go"})
        manifest: Resource = {
            "transactionTime": job.at.isoformat().replace("+00:00", "Z"),
            "request": f"{self.origin}{job.path}",
            "requiresAccessToken": True,
            "output": [],
            "error": [],
            "deleted": [],
        }
        keys = sorted(job.files)
        start = page * self.files_per_page
        for kind, of, number in keys[start : start + self.files_per_page]:
            ending = ".gz" if self.packing == "body" else ""
            item: Resource = {"type": of, "url": f"{self.origin}/files/{name}/{kind}/{of}/{number}{ending}"}
            if self.counts:
                item["count"] = len(job.files[kind, of, number])
            manifest[kind].append(item)
        if start + self.files_per_page < len(keys):
            manifest["link"] = [{"relation": "next", "url": f"{self.origin}/jobs/{name}/page/{page + 1}"}]
        return JSONResponse(self.change_manifest(manifest), headers={"Expires": "Sat, 01 Jan 2028 00:00:00 GMT"})

    def _file(self, client_id: str, name: str, key: tuple[str, str, int]) -> Response:
        job = self.jobs.get(name)
        if job is None or job.client_id != client_id or key not in job.files:
            return JSONResponse(outcome("not-found"), 404)
        body = "".join(json.dumps(resource) + "\n" for resource in job.files[key]).encode()
        headers = {"Content-Encoding": "gzip"} if self.packing == "encoding" else {}
        content = gzip.compress(body) if self.packing else body
        return Response(content, media_type="application/fhir+ndjson", headers=headers)

    def _search(self, request: Request, client_id: str, kind: str) -> Response:
        query, start = dict(request.query_params), int(request.query_params.get("_page", "0"))
        since = query.get("_lastUpdated", "ge").removeprefix("ge")
        found = [
            r
            for r in self.clients[client_id].resources
            if r["resourceType"] == kind and _updated(r) >= since and _is_of(r, query.get("patient"))
        ]
        entries = [
            {"fullUrl": f"{self.url}/{kind}/{r['id']}", "resource": r, "search": {"mode": "match"}}
            for r in found[start : start + self.per_search_page]
        ]
        links = [{"relation": "self", "url": str(request.url)}]
        if start + self.per_search_page < len(found):
            further = str(request.url.include_query_params(_page=start + self.per_search_page))
            links.append({"relation": "next", "url": further})
        return JSONResponse({"resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries})


def _updated(resource: Resource) -> str:
    return str(resource.get("meta", {}).get("lastUpdated", "2026-01-01T00:00:00Z"))


def _is_of(resource: Resource, patient: str | None) -> bool:
    return patient is None or f"Patient/{patient}" in json.dumps(resource)


def capability_statement(version: str = "4.0.1", types: list[str] = ALL_TYPES) -> Resource:
    """What an R4 server with every kind of export says of itself."""
    parameters = [{"name": name} for name in ("_lastUpdated", "date", "patient", "start", "status")]
    resources: list[Resource] = [{"type": name, "searchParam": parameters} for name in types]
    definition = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
    for resource, name in (("Patient", "patient-export"), ("Group", "group-export")):
        resources.append({"type": resource, "operation": [{"name": "export", "definition": f"{definition}/{name}"}]})
    operation = [{"name": "export", "definition": f"{definition}/export"}]
    return {
        "resourceType": "CapabilityStatement",
        "fhirVersion": version,
        "rest": [{"mode": "server", "resource": resources, "operation": operation}],
    }


def cut_off(_request: Request, response: Response) -> Response:
    """Half of the body, then the connection ends."""

    async def half() -> AsyncIterator[bytes]:
        yield bytes(response.body)[: len(response.body) // 2]
        raise ConnectionResetError("cut off by the test")

    return StreamingResponse(half(), headers={**response.headers})


def free_port() -> int:
    """A port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(certificate: tuple[Path, Path] | None = None) -> Iterator[BulkServer]:
    """A server that answers on a port of this machine; with a certificate and its key, over TLS."""
    port = free_port()
    server = BulkServer(f"{'https' if certificate else 'http'}://127.0.0.1:{port}")
    methods = ["GET", "POST", "DELETE"]
    app = Starlette(routes=[Route("/{path:path}", server.handle, methods=methods)])
    files = {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])} if certificate else {}
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_level="critical", lifespan="off", **files)
    runner = uvicorn.Server(config)
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    while not runner.started:
        assert thread.is_alive(), "the server did not start"
        time.sleep(0.01)
    try:
        yield server
    finally:
        runner.should_exit = True
        thread.join()
