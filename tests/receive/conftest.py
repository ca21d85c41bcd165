"""A Bulk Data server, keys, and a feed that asks it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import KeySet

from foundation.config import Feed
from foundation.feed_remote import FhirServer
from ingest.inbox.inbox import Inbox
from ingest.receive.fhir.pace import Pace
from ingest.receive.fhir.server import Received, receive
from ingest.receive.fhir.sign_in import SigningKey
from tests.receive.bulk_server import BulkServer, Client, Resource, running


@pytest.fixture
def bulk_server() -> Iterator[BulkServer]:
    with running() as server:
        yield server


def write_key_files(folder: Path) -> dict[str, Path]:
    """Writes private keys in PEM into a folder; gives their files by the algorithm they sign with."""
    keys: dict[str, Any] = {
        "RS384": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "ES384": ec.generate_private_key(ec.SECP384R1()),
    }
    for name, key in keys.items():
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(pem)
    return {name: folder / f"{name}.pem" for name in keys}


@pytest.fixture(scope="session")
def key_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Private keys in PEM by the algorithm they sign with."""
    return write_key_files(tmp_path_factory.mktemp("keys"))


@dataclass
class Site:
    """A feed with a server, and what its runs left in the inbox. `slept` are the waits it would have made."""

    server: BulkServer
    feed: Feed
    inbox: Inbox
    slept: list[float] = field(default_factory=list)

    @property
    def client(self) -> Client:
        assert self.feed.server is not None
        return self.server.clients[str(self.feed.server.client_id)]

    def run(self, *, full_refresh: bool = False, limit_seconds: float = 3600) -> Received:
        """One run's receiving, without really waiting."""
        return receive(
            self.feed, self.inbox, full_refresh=full_refresh, pace=Pace(limit_seconds, sleep=self.slept.append)
        )

    def set(self, **changes: Any) -> None:
        """Changes the configuration of the feed's server."""
        assert self.feed.server is not None
        self.feed = replace(self.feed, server=replace(self.feed.server, **changes))

    def files(self) -> list[str]:
        """Names of the files that a reader sees, without the deliveries' folders."""
        paths = self.inbox.files((".ndjson",))
        return [str(path.relative_to(self.inbox.folder)).partition("/")[2].removesuffix(".sealed") for path in paths]

    def resources(self) -> list[Resource]:
        """What a reader sees, in order."""
        lines = b"".join(b"".join(self.inbox.read(path)) for path in self.inbox.files((".ndjson",))).splitlines()
        return [orjson.loads(line) for line in lines]

    def ids(self, kind: str) -> list[str]:
        """Ids of one type that a reader sees, in order."""
        return sorted(r["id"] for r in self.resources() if r["resourceType"] == kind)


Maker = Callable[..., Site]


@pytest.fixture
def make_site(bulk_server: BulkServer, key_files: dict[str, Path], tmp_path: Path) -> Maker:
    """Makes a feed of a tenant and registers it with the server as a client that sees the given resources."""

    def make(
        resources: list[Resource],
        *,
        tenant: str = "harbor",
        algorithm: str = "ES384",
        key_id: str | None = None,
        **server: Any,
    ) -> Site:
        client_id = f"client-of-{tenant}"
        of = FhirServer(url=bulk_server.url, client_id=client_id, key=key_files[algorithm], key_id=key_id, **server)
        feed = Feed(tenant_id=tenant, name="ehr", kind="fhir", profile="r4", server=of, time_zone="America/New_York")
        keys = KeySet.import_key_set(SigningKey.of(of).jwks())  # type: ignore[arg-type]
        bulk_server.clients[client_id] = Client(keys, resources)
        inbox = Inbox(tmp_path / tenant, tenant.encode().ljust(32, b"."))
        inbox.folder.mkdir()
        return Site(bulk_server, feed, inbox)

    return make


def resource(kind: str, name: str, updated: str = "2026-11-01T08:00:00Z", /, **more: Any) -> Resource:
    """A resource that was last changed at a time."""
    return {"resourceType": kind, "id": name, "meta": {"lastUpdated": updated}} | more


def people(number: int) -> list[Resource]:
    """Patients, and an encounter of each."""
    patients = [resource("Patient", f"p{index}") for index in range(number)]
    encounters = [
        resource("Encounter", f"e{index}", subject={"reference": f"Patient/p{index}"}, status="finished")
        for index in range(number)
    ]
    return patients + encounters
