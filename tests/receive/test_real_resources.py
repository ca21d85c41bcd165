"""The whole way on resources that nobody here wrote: a server that serves them gives the same figures as their files do."""

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import KeySet

from foundation.feed_remote import FhirServer
from ingest.receive.fhir.sign_in import SigningKey
from tests.receive.bulk_server import Client, Resource, running
from tests.support import Ran, clinicmart, clinicmart_here

pytestmark = [pytest.mark.real_data, pytest.mark.slow]

FOLDERS = {"bundles": "fhir/synthea-bundles", "bulk": "fhir/bulk-10-patients"}
FIGURES = {
    "bundles": "encounters,claims,billed_amount,remitted_claims,payer_paid_amount,bed_days",
    "bulk": "encounters,bed_days,length_of_stay_days",
}


def _resources(folder: Path) -> list[Resource]:
    """What a server would hold after these files were stored in it: each resource once, references by type and id."""
    found: dict[tuple[str, str], Resource] = {}
    for path in sorted(folder.glob("*.ndjson")):
        for line in path.read_text("utf-8").splitlines():
            item = json.loads(line)
            if "resourceType" in item:
                found[item["resourceType"], item["id"]] = item
    for path in sorted(folder.glob("*.json")):
        entries = json.loads(path.read_text("utf-8"))["entry"]
        names = {e["fullUrl"]: f"{e['resource']['resourceType']}/{e['resource']['id']}" for e in entries}
        for entry in entries:
            item = _referring(entry["resource"], names)
            found[item["resourceType"], item["id"]] = item
    return list(found.values())


def _referring(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: names.get(item, item) if key == "reference" and isinstance(item, str) else _referring(item, names)
            for key, item in value.items()
        }
    return [_referring(item, names) for item in value] if isinstance(value, list) else value


class Run:
    """A home after one run over every tenant."""

    def __init__(self, home: Path, ran: Ran, again: Ran) -> None:
        self.home, self.ran, self.again = home, ran, again

    def rows(self, tenant: str, names: str, *options: str) -> list[dict[str, str]]:
        who = ("--home", self.home, "--tenant", tenant, "--as", f"admin@{tenant}", "--format", "csv")
        asked = clinicmart_here("metrics", "query", names, *who, *options)
        assert asked.code == 0, asked.err
        return list(csv.DictReader(io.StringIO(asked.out)))


@pytest.fixture(scope="module")
def run(real_data: Path, key_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("served")
    tenants: dict[str, Any] = {}
    with running() as server:
        server.per_file, server.files_per_page, server.packing = 150, 5, "encoding"
        for name, path in FOLDERS.items():
            common = {"name": "ehr", "kind": "fhir", "profile": "synthea"}
            of = FhirServer(url=server.url, client_id=name, key=key_files["RS384"])
            server.clients[name] = Client(KeySet.import_key_set(SigningKey.of(of).jwks()), _resources(real_data / path))  # type: ignore[arg-type]
            served = {"url": of.url, "client_id": name, "key": str(of.key)}
            for tenant, place in (
                (f"{name}-files", {"path": str(real_data / path)}),
                (f"{name}-served", {"server": served}),
            ):
                tenants[tenant] = {"name": tenant, "time_zone": "America/New_York", "feeds": [common | place]}
        config = folder / "clinicmart.yaml"
        config.write_text(json.dumps({"tenants": tenants}), encoding="utf-8")
        first = clinicmart("run", "--config", config, "--home", folder / "home")
        yield Run(folder / "home", first, clinicmart("run", "--config", config, "--home", folder / "home"))


def test_the_run_publishes_and_a_second_finds_nothing_new(run: Run) -> None:
    assert run.ran.code == 0, run.ran.err
    assert "Published." in run.ran.out
    assert run.again.code == 0, run.again.err
    assert "Nothing new" in run.again.out


@pytest.mark.parametrize("name", FOLDERS)
def test_a_server_gives_the_figures_of_the_files(run: Run, name: str) -> None:
    files, served = (run.rows(f"{name}-{how}", FIGURES[name])[0] for how in ("files", "served"))
    assert {key: Decimal(value) for key, value in served.items()} == {
        key: Decimal(value) for key, value in files.items()
    }
    by_class = [run.rows(f"{name}-{how}", "encounters", "--by", "encounter_class") for how in ("files", "served")]
    assert sorted(map(str, by_class[0])) == sorted(map(str, by_class[1]))


def test_the_figures_are_those_that_are_known(run: Run) -> None:
    (row,) = run.rows("bundles-served", "encounters,claims,billed_amount,payer_paid_amount")
    assert {key: Decimal(value) for key, value in row.items()} == {
        "encounters": 340,
        "claims": 418,
        "billed_amount": Decimal("881636.04"),
        "payer_paid_amount": Decimal("656596.832"),
    }
    (days,) = run.rows("bulk-served", "bed_days")
    assert round(Decimal(days["bed_days"]), 3) == Decimal("277.810")
