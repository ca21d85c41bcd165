"""Checkpoints: when they are due, what they find, and that their pages hold no value of a row."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from data_contracts import contract
from data_contracts.checkpoints import ENOUGH_ROWS, OTHER, DataDocs, Shares, shares_of
from foundation.config import Feed
from foundation.home import Home
from foundation.keys import Keys
from ingest.landing.checkpoints import due_checkpoints, page, run_checkpoints
from ingest.landing.land_feed import land_feed
from ingest.ledger import Ledger
from tests.ingest.test_landing import remittance


def appointments(number: int, statuses: tuple[str, ...], with_end: float) -> pl.DataFrame:
    """Landed appointments; a share of them has an end."""
    entity_contract = contract("appointment")
    moment = datetime(2026, 1, 5, 10, tzinfo=UTC)
    columns = {
        "appointment_id": [str(row) for row in range(number)],
        "status": [statuses[row % len(statuses)] for row in range(number)],
        "scheduled_start_at": [moment] * number,
        "scheduled_end_at": [moment if row < with_end * number else None for row in range(number)],
        "source_record_id": ["record"] * number,
        "source_position": ["row 1"] * number,
        "source_updated_at": [moment] * number,
    }
    absent = {name: [None] * number for name in entity_contract.polars_schema(of_reader=True) if name not in columns}
    return pl.DataFrame({**columns, **absent}, schema_overrides=entity_contract.polars_schema(of_reader=True))


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> DataDocs:
    return DataDocs(tmp_path_factory.mktemp("docs"))


def test_a_checkpoint_finds_rows_that_a_gate_let_through_and_columns_that_changed(docs: DataDocs) -> None:
    entity_contract, usual = contract("appointment"), appointments(ENOUGH_ROWS, ("completed", "no_show"), 1)
    first = docs.check("harbor.pm.appointment", entity_contract, usual, None)
    assert (first.rows, first.broken, first.changed) == (ENOUGH_ROWS, (), ())
    assert docs.check("harbor.pm.appointment", entity_contract, usual, first.shares).changed == ()
    changed = appointments(ENOUGH_ROWS, ("cancelled", "cancelled", "cancelled", "no_show"), 0.2)
    later = docs.check("harbor.pm.appointment", entity_contract, changed, first.shares)
    assert later.broken == ()
    assert {line.partition(":")[0] for line in later.changed} == {"appointment.status", "appointment.scheduled_end_at"}
    # Few rows say nothing about shares.
    assert docs.check("harbor.pm.appointment", entity_contract, changed.head(20), first.shares).changed == ()
    let_through = appointments(ENOUGH_ROWS, ("Jane Doe", "no_show"), 1)
    broken = docs.check("harbor.pm.appointment", entity_contract, let_through, first.shares)
    assert broken.broken == ("appointment.status: 100 landed rows break the rule valid_values",)
    assert docs.build().exists()
    texts = [path.read_bytes() for path in docs.folder.rglob("*") if path.is_file()]
    assert not any(b"Jane Doe" in text for text in texts)
    assert any(OTHER.encode() in text for text in texts)
    assert "Jane Doe" not in str(shares_of(entity_contract, let_through))


def test_checkpoints_are_due_for_a_first_batch_a_changed_contract_and_once_a_day(tmp_path: Path) -> None:
    home, folder = Home.at(tmp_path / "home"), tmp_path / "835"
    folder.mkdir()
    keys, ledger = Keys.of(home), Ledger(home)
    feed = Feed(tenant_id="harbor", name="remits", kind="x12", path=str(folder), time_zone="America/New_York")

    def land(number: int) -> None:
        (folder / f"{number}.835").write_text(remittance(number, [(f"C{number}", "100.00", "80.00")]))
        assert land_feed(home, keys, ledger, feed, f"run {number}").problems == []

    def due(days: int = 0) -> dict[str, set[str]]:
        outcome: dict[str, set[str]] = {}
        for item in due_checkpoints(home, ledger, ["harbor"], now=datetime.now(UTC) + timedelta(days=days)):
            outcome.setdefault(item.why, set()).add(item.entity)
        return outcome

    land(1)
    entities = due()["first batch"]
    assert {"remittance", "remittance_claim"} <= entities
    checked = run_checkpoints(home, keys, due_checkpoints(home, ledger, ["harbor"]))
    assert {item.due.entity for item in checked} == entities
    assert {line for item in checked for line in item.outcome.broken} == set()
    assert all(item.outcome.rows for item in checked)
    assert page(home).exists()
    assert due() == {}
    assert due(days=1) == {}
    land(2)
    assert due() == {}
    assert due(days=1) == {"daily sample": entities}
    every = due_checkpoints(home, ledger, ["harbor"], every=True)
    assert {item.why for item in every} == {"asked for"}
    notes = home.path / "checkpoints" / "checkpoints.json"
    notes.write_text(notes.read_text().replace('"contract": "', '"contract": "of an earlier release '))
    assert due() == {"the contract changed": entities}
    assert due_checkpoints(home, ledger, ["mesa"]) == []
    ledger.close()


def test_shares_of_no_rows_are_compared_with_nothing(docs: DataDocs) -> None:
    entity_contract = contract("appointment")
    empty = appointments(0, ("completed",), 1)
    assert shares_of(entity_contract, empty) == Shares()
    assert docs.check("empty", entity_contract, empty, Shares()).broken == ()
