"""A home whose contracts have gained a column since: what was landed before still loads, beside what is landed now."""

from dataclasses import replace
from pathlib import Path

import pytest

import ingest.load.partial_rows
import ingest.load.raw_tables
from data_contracts import Contract, contract, load_contracts
from foundation import duck
from foundation.config import load_config
from foundation.home import Home
from foundation.keys import Keys
from ingest.landing.land_feed import land_feed
from ingest.ledger import Ledger
from ingest.load.raw_tables import load_warehouse

NEW = {"encounter": "signed_at", "patient": "language", "bed_movement": "bed"}
ADMITTED = "\r".join(
    (
        "MSH|^~\\&|EHR|H|W|H|20260301090000||ADT^A01|{n}|P|2.5",
        "EVN||20260301090000",
        "PID|1||M{n}||Doe^Jane||19800101|F" + "|" * 7 + "ENG",
        "PV1|1|I|north^1^1" + "|" * 16 + "V{n}" + "|" * 25 + "20260301090000",
        "",
    )
)
ENCOUNTER = (
    '{{"resourceType":"Encounter","id":"e{n}","status":"finished","class":{{"code":"AMB"}},'
    '"subject":{{"reference":"Patient/p"}},"period":{{"start":"2026-03-0{n}T09:00:00Z","end":"2026-03-0{n}T10:00:00Z"}}}}\n'
)


def older(entity: str) -> Contract:
    """The contract as it was before the column came."""
    entity_contract = contract(entity)
    return replace(
        entity_contract, columns=tuple(column for column in entity_contract.columns if column.name != NEW.get(entity))
    )


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for folder in ("fhir", "hl7"):
        (tmp_path / folder).mkdir()
    file = tmp_path / "clinicmart.yaml"
    file.write_text(
        "tenants:\n  harbor:\n    name: Harbor\n    time_zone: America/New_York\n    feeds:\n"
        "      - {name: ehr, kind: fhir, path: fhir}\n      - {name: adt, kind: hl7v2, path: hl7}\n",
        encoding="utf-8",
    )
    home = Home.at(tmp_path / "home")
    keys, ledger, config = Keys.of(home), Ledger(home), load_config(file)

    def send(number: int) -> None:
        (tmp_path / "fhir" / f"Encounter.{number}.ndjson").write_text(ENCOUNTER.format(n=number), encoding="utf-8")
        (tmp_path / "hl7" / f"{number}.hl7").write_text(ADMITTED.format(n=number), encoding="utf-8")
        ledger.start_run(f"run-{number}", str(file))
        for feed in config.tenant("harbor").feeds:
            report = land_feed(home, keys, ledger, feed, f"run-{number}")
            assert report.is_whole, report.problems
            assert report.rows_landed

    def rows(entity: str, column: str) -> list[tuple]:
        with duck.session(home) as connection:
            key = keys.derive_hex("warehouse")
            duck.attach(connection, home.warehouse, alias="warehouse", key=key, read_only=True)
            query = f"select source_system, {contract(entity).entity_key[0]}, {column} from warehouse.raw.{entity} order by all"
            return connection.execute(query).fetchall()

    def load() -> None:
        load_warehouse(home, keys, ledger, config)

    def before() -> None:
        """From here on this is the version before the columns came."""
        contracts = {name: older(name) for name in load_contracts()}
        for module in (ingest.load.raw_tables, ingest.load.partial_rows):
            monkeypatch.setattr(module, "contract", contracts.__getitem__)
        monkeypatch.setattr(ingest.load.raw_tables, "load_contracts", lambda: contracts)
        ingest.load.partial_rows.landing_contract.cache_clear()

    def after() -> None:
        """From here on this is the version of today."""
        monkeypatch.undo()
        ingest.load.partial_rows.landing_contract.cache_clear()

    yield send, load, rows, before, after
    ledger.close()


@pytest.mark.parametrize("loaded_between", [True, False])
def test_what_was_landed_before_a_column_came_loads_beside_what_has_it(site, loaded_between: bool) -> None:
    send, load, rows, before, after = site
    before()
    send(1)
    if loaded_between:
        load()
    after()
    send(2)
    load()
    assert [row[0] for row in rows("encounter", "status")] == ["adt", "adt", "ehr", "ehr"]
    languages = dict(row[1:] for row in rows("patient", "language"))
    assert sorted(map(str, languages.values())) == ["None", "en"], "what came before the column says nothing of it"
    assert sorted(str(row[2]) for row in rows("bed_movement", "bed")) == ["1", "None"]
