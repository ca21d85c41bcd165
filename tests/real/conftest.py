"""A home over every set of real feeds, made once by the test process that comes first: the files, and a server that serves two of
them."""

import csv
import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import KeySet

from foundation.feed_remote import FhirServer
from ingest.receive.fhir.sign_in import SigningKey
from tests.receive.bulk_server import Client, Resource, running
from tests.receive.conftest import write_key_files
from tests.support import Ran, clinicmart, clinicmart_here, made_once, shared_folder

# Tenant -> (kind, profile, folder below the data)
SETS = {
    "bundles": ("fhir", "synthea", "fhir/synthea-bundles"),
    "bulk": ("fhir", "synthea", "fhir/bulk-10-patients"),
    "examples": ("fhir", "r4", "fhir/r4-examples"),
    "converter": ("hl7v2", None, "hl7v2/converter"),
    "edges": ("hl7v2", None, "hl7v2/edge-cases"),
    "batches": ("hl7v2", None, "hl7v2/batches"),
    "guide835": ("x12", None, "x12/implementation-guide/835_005010X221A1"),
    "guide837p4": ("x12", None, "x12/implementation-guide/837_004010X098A1"),
    "guide837p5": ("x12", None, "x12/implementation-guide/837_005010X222A2"),
    "guide837i4": ("x12", None, "x12/implementation-guide/837_004010X096A1"),
    "emedny": ("x12", None, "x12/remits/emedny_sample.txt"),
    "united": ("x12", None, "x12/remits/united_healthcare_legacy_sample.txt"),
    "bluecross": ("x12", None, "x12/remits/blue_cross_nc_sample.txt"),
    "claims": ("x12", None, "x12/claims"),
}
# Sets that a FHIR server serves as well, to a tenant named `<set>-served`.
SERVED = ("bundles", "bulk")
# What is asked of these tenants between the two runs.
ASKED = dict.fromkeys(("bundles", "guide835"), "encounters,claims,payer_paid_amount")


@dataclass(frozen=True)
class RealSite:
    """A home after two runs over every set; the second found nothing new. `between` are answers of the time between the runs."""

    home: Path
    first: Ran
    again: Ran
    between: dict[str, list[dict[str, str]]]

    def rows(self, tenant: str, names: str, *options: str) -> list[dict[str, str]]:
        """The answer of `clinicmart metrics query` as CSV rows."""
        return rows_of(self.home, tenant, names, *options)

    @cached_property
    def status(self) -> dict[str, Any]:
        """The answer of `clinicmart status --json`."""
        asked = clinicmart_here("status", "--home", self.home, "--json")
        assert asked.code == 0, asked.err
        status: dict[str, Any] = json.loads(asked.out)
        return status


def rows_of(home: Path, tenant: str, names: str, *options: str) -> list[dict[str, str]]:
    who = ("--home", home, "--tenant", tenant, "--as", f"admin@{tenant}", "--format", "csv")
    asked = clinicmart_here("metrics", "query", names, *who, *options)
    assert asked.code == 0, asked.err
    return list(csv.DictReader(io.StringIO(asked.out)))


def _resources(folder: Path) -> list[Resource]:
    """What a server would hold after these files were stored in it: each resource once, references by type and id."""
    held: dict[tuple[str, str], Resource] = {}
    for path in sorted(folder.glob("*.ndjson")):
        for line in path.read_text("utf-8").splitlines():
            item = json.loads(line)
            if "resourceType" in item:
                held[item["resourceType"], item["id"]] = item
    for path in sorted(folder.glob("*.json")):
        entries = json.loads(path.read_text("utf-8"))["entry"]
        names = {e["fullUrl"]: f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries}
        for entry in entries:
            item = _referring(entry["resource"], names)
            held[item["resourceType"], item["id"]] = item
    return list(held.values())


def _referring(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: names.get(item, item) if key == "reference" and isinstance(item, str) else _referring(item, names)
            for key, item in value.items()
        }
    return [_referring(item, names) for item in value] if isinstance(value, list) else value


@contextmanager
def _served(folder: Path, real_data: Path) -> Iterator[dict[str, dict[str, Any]]]:
    """A FHIR server that holds the sets of SERVED; gives the `server` part of a feed's configuration for each."""
    key = write_key_files(folder)["RS384"]
    with running() as server:
        server.per_file, server.files_per_page, server.packing = 150, 5, "encoding"
        feeds = {}
        for name in SERVED:
            described = FhirServer(url=server.url, client_id=name, key=key)
            public = KeySet.import_key_set(SigningKey.of(described).jwks())  # type: ignore[arg-type]
            server.clients[name] = Client(public, _resources(real_data / SETS[name][2]))
            feeds[name] = {"url": described.url, "client_id": name, "key": str(key)}
        yield feeds


def _make(folder: Path, real_data: Path) -> RealSite:
    config, home = folder / "clinicmart.yaml", folder / "home"
    with _served(folder, real_data) as servers:
        feeds = {
            name: {"name": "feed", "kind": kind, "path": str(real_data / path)}
            | ({"profile": profile} if profile else {})
            for name, (kind, profile, path) in SETS.items()
        }
        for name, server in servers.items():
            feeds[f"{name}-served"] = {"name": "ehr", "kind": "fhir", "profile": "synthea", "server": server}
        tenants = {
            name: {"name": name.capitalize(), "time_zone": "America/New_York", "feeds": [feed]}
            for name, feed in feeds.items()
        }
        config.write_text(json.dumps({"tenants": tenants}), encoding="utf-8")
        first = clinicmart("run", "--config", config, "--home", home)
        between = {tenant: rows_of(home, tenant, names) for tenant, names in ASKED.items()}
        return RealSite(home, first, clinicmart("run", "--config", config, "--home", home), between)


@pytest.fixture(scope="session")
def site(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RealSite:
    base = shared_folder(tmp_path_factory, "real")
    made = base / "made.json"
    with made_once(base) as is_mine:
        if is_mine:
            shutil.rmtree(base / "site", ignore_errors=True)
            (base / "site").mkdir()
            made.write_text(json.dumps(asdict(_make(base / "site", real_data)), default=str), encoding="utf-8")
    values = json.loads(made.read_text("utf-8"))
    return RealSite(Path(values["home"]), Ran(**values["first"]), Ran(**values["again"]), values["between"])
