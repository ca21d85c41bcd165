"""Signing in as a system, and what a token and an address are never given to."""

import ipaddress
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from joserfc import jws
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from foundation.errors import ConfigurationError
from foundation.feed_remote import FhirServer
from ingest.receive.fhir.sign_in import SigningKey
from tests.receive.bulk_server import BulkServer, running
from tests.receive.conftest import Maker, people
from tests.support import clinicmart_here


@pytest.mark.parametrize("algorithm", ["RS384", "ES384"])
def test_an_assertion_says_what_the_standard_asks(key_files: dict[str, Path], algorithm: str) -> None:
    server = FhirServer(url="https://x.example/r4", client_id="me", key=key_files[algorithm], key_id="2026-11")
    signed = SigningKey.of(server).assertion("me", "https://x.example/token")
    found = jws.extract_compact(signed.encode())
    claims = json.loads(found.payload)
    assert found.headers() == {"alg": algorithm, "kid": "2026-11", "typ": "JWT"}
    assert {name: claims[name] for name in ("iss", "sub", "aud")} == {
        "iss": "me",
        "sub": "me",
        "aud": "https://x.example/token",
    }
    assert claims["exp"] - time.time() <= 300
    assert len(claims["jti"]) >= 20


def test_the_printed_key_set_holds_no_private_part_and_opens_the_server(
    make_site: Maker, key_files: dict[str, Path], tmp_path: Path
) -> None:
    for algorithm in key_files:
        of = {"url": "https://x.example/r4", "client_id": "me", "key": str(key_files[algorithm])}
        feed = {"name": "ehr", "kind": "fhir", "server": of}
        tenants = {"harbor": {"name": "Harbor", "time_zone": "UTC", "feeds": [feed]}}
        (tmp_path / "c.yaml").write_text(json.dumps({"tenants": tenants}))
        ran = clinicmart_here("sources", "jwks", "--config", tmp_path / "c.yaml", "--tenant", "harbor", "--feed", "ehr")
        assert ran.code == 0, ran.err
        (key,) = json.loads(ran.out)["keys"]
        assert key["alg"] == algorithm
        assert not {"d", "p", "q", "dp", "dq", "qi"} & set(key)
        site = make_site(people(1), algorithm=algorithm, tenant=f"t{algorithm.lower()}")
        assert site.run().problems == []
        assert site.client.keys.keys[0].kid == key["kid"]


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_a_key_of_the_wrong_kind_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    private: dict[str, Any] = {
        "short": rsa.generate_private_key(public_exponent=65537, key_size=1024),
        "p256": ec.generate_private_key(ec.SECP256R1()),
    }
    for name, key in private.items():
        (tmp_path / name).write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    locked = ec.generate_private_key(ec.SECP384R1())
    pem = locked.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    (tmp_path / "locked").write_bytes(pem)
    (tmp_path / "none").write_text("no key")
    for name in ("short", "p256", "locked", "none", "absent"):
        with pytest.raises(ConfigurationError, match=name):
            SigningKey.of(FhirServer(url="https://x.example", client_id="me", key=tmp_path / name))


@pytest.mark.parametrize(
    ("smart", "expected"),
    [
        ({}, "system/Patient.rs"),
        ({"capabilities": ["permission-v1"]}, "system/Patient.read"),
        ({"capabilities": []}, "system/Patient.read"),
        ({"capabilities": [], "scopes_supported": ["system/*.rs"]}, "system/*.rs"),
        ({"scopes_supported": ["system/Patient.rs", "system/Encounter.rs"]}, "system/Patient.rs"),
        ({"capabilities": ["permission-v1"], "scopes_supported": ["system/*.read"]}, "system/*.read"),
    ],
)
def test_scopes_are_asked_as_the_server_knows_them(make_site: Maker, smart: dict[str, Any], expected: str) -> None:
    site = make_site(people(1))
    site.server.smart = smart
    site.run()
    ((_, _, scope),) = site.server.tokens.values()
    assert expected in scope.split()
    assert "system/*.cruds" not in scope


def test_a_server_that_knows_all_types_or_none_is_asked_for_all(make_site: Maker) -> None:
    site = make_site(people(1))
    site.server.fail("/auth/token", 400, method="POST", body={"error": "invalid_scope"})
    assert site.run().problems == []
    assert {scope for _, _, scope in site.server.tokens.values()} >= {"system/*.rs"}


def test_types_that_the_token_does_not_cover_are_shown(make_site: Maker) -> None:
    site = make_site(people(1))

    def less(_request: Request, response: Response) -> Response:
        return JSONResponse(json.loads(bytes(response.body)) | {"scope": "system/Patient.rs system/Encounter.read"})

    site.server.fail("/auth/token", method="POST", answer=less)
    lines = [n.detail for n in site.run().notices if n.reason == "scope_not_granted"]
    assert "the token does not cover Coverage" in lines
    assert not any("Patient" in line or "Encounter" in line for line in lines)


def test_a_refused_sign_in_says_what_to_do(make_site: Maker) -> None:
    site = make_site(people(1))
    site.server.clients.clear()
    (problem,) = site.run().problems
    assert "status 400: invalid_client" in str(problem)
    assert "registered" in str(problem)
    assert "client_assertion" not in str(problem)


def test_a_wrong_key_does_not_get_in(make_site: Maker) -> None:
    site, other = make_site(people(1)), make_site(people(1), tenant="other", algorithm="RS384", key_id="k")
    assert other.feed.server is not None
    site.set(key=other.feed.server.key, key_id="k")
    (problem,) = site.run().problems
    assert "invalid_client" in str(problem)
    assert site.server.tokens == {}


def test_a_server_without_sign_in_is_asked_without_a_token(make_site: Maker) -> None:
    site = make_site(people(1))
    site.set(client_id=None, key=None)
    (problem, *_) = site.run().problems
    assert "status 401" in str(problem)
    assert not any(item[3] for item in site.server.requests)
    assert site.server.asked("smart-configuration") == []


def test_a_token_url_of_the_configuration_needs_no_smart_configuration(make_site: Maker) -> None:
    site = make_site(people(1))
    site.set(token_url=site.server.token_url)
    site.server.fail("smart-configuration", 404, times=9)
    assert site.run().problems == []


# Where tokens and addresses go


@pytest.fixture
def stranger() -> Iterator[BulkServer]:
    """Another server, which has nothing to do with ours."""
    with running() as server:
        yield server


def test_files_on_another_host_are_fetched_without_the_token(make_site: Maker, stranger: BulkServer) -> None:
    site = make_site(people(2))
    body = json.dumps(people(1)[0]).encode() + b"\n"
    stranger.fail("/bucket/", times=9, body=body)
    site.server.change_manifest = lambda manifest: (
        manifest | {"output": [{"type": "Patient", "url": f"{stranger.origin}/bucket/1?signature=x"}]}
    )
    received = site.run()
    assert received.problems == []
    assert [item[3] for item in stranger.requests] == [False]
    assert site.ids("Patient") == ["p0"]


def test_a_host_that_the_configuration_trusts_gets_the_token(make_site: Maker, key_files: dict[str, Path]) -> None:
    from ingest.receive.fhir.http import Http
    from ingest.receive.fhir.pace import Pace

    server = FhirServer(url="https://fhir.example.org/r4", hosts=("files.example.org", "other.example.org:8443"))
    with Http(server, Pace(1)) as http:
        assert http.may_have_token("https://fhir.example.org/x")
        assert http.may_have_token("https://files.example.org/x")
        assert http.may_have_token("https://other.example.org:8443/x")
        for url in (
            "http://fhir.example.org/x",
            "https://fhir.example.org:8443/x",
            "https://fhir.example.org.evil.example/x",
            "https://fhir.example.org@evil.example/x",
            "https://other.example.org/x",
        ):
            assert not http.may_have_token(url)


def test_a_redirected_file_is_followed_without_the_token(make_site: Maker, stranger: BulkServer) -> None:
    site = make_site(people(1))
    stranger.fail("/bucket/", times=9, body=json.dumps(people(1)[0]).encode() + b"\n")
    site.server.fail("/files/.*/Patient", 307, headers={"Location": f"{stranger.origin}/bucket/1"})
    assert site.run().problems == []
    assert [item[3] for item in stranger.requests] == [False]


@pytest.mark.parametrize("path", [r"\$export$", "/jobs/", "metadata", "smart-configuration"])
def test_nothing_but_files_is_followed_to_another_host(make_site: Maker, stranger: BulkServer, path: str) -> None:
    site = make_site(people(1))
    site.server.fail(path, 302, headers={"Location": f"{stranger.origin}/r4/x"}, times=9)
    problems = site.run().problems
    assert stranger.requests == []
    assert any("redirected to another host" in str(problem) for problem in problems)


def test_a_token_request_is_never_redirected(make_site: Maker, stranger: BulkServer) -> None:
    site = make_site(people(1))
    site.server.fail("/auth/token", 307, method="POST", headers={"Location": f"{stranger.origin}/auth/token"}, times=9)
    (problem,) = site.run().problems
    assert "status 307" in str(problem)
    assert stranger.requests == []


def test_a_status_address_on_another_host_is_asked_without_the_token(make_site: Maker, stranger: BulkServer) -> None:
    site = make_site(people(1))
    site.server.fail(r"\$export$", 202, headers={"Content-Location": f"{stranger.origin}/jobs/abc"})
    assert site.run().problems != []
    assert stranger.requests
    assert not any(item[3] for item in stranger.requests)


def test_a_manifest_page_on_another_host_is_refused(make_site: Maker, stranger: BulkServer) -> None:
    site = make_site(people(1))
    page = {"relation": "next", "url": f"{stranger.origin}/page/2"}
    site.server.change_manifest = lambda manifest: manifest | {"link": [page]}
    (problem,) = site.run().problems
    assert "is on another host" in str(problem)
    assert stranger.requests == []


def test_a_file_without_https_is_refused(make_site: Maker) -> None:
    site = make_site(people(1))
    site.server.change_manifest = lambda manifest: (
        manifest | {"output": [{"type": "Patient", "url": "http://files.example.org/1"}]}
    )
    (problem,) = site.run().problems
    assert "without https" in str(problem)


@contextmanager
def _served_with_certificate(folder: Path) -> Iterator[tuple[BulkServer, Path]]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "server.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with running((folder / "server.pem", folder / "server.key")) as server:
        yield server, folder / "server.pem"


def test_certificates_are_checked(make_site: Maker, tmp_path: Path) -> None:
    site = make_site(people(3))
    with _served_with_certificate(tmp_path) as (server, authority):
        server.clients = site.server.clients
        site.set(url=server.url)
        (problem,) = site.run().problems
        assert "cannot be reached" in str(problem)
        assert server.requests == []
        site.set(authorities=authority)
        site.server = server
        assert site.run().problems == []
        assert site.ids("Patient") == ["p0", "p1", "p2"]
    assert urlsplit(server.url).scheme == "https"
