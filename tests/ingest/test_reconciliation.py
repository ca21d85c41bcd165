"""The bridge from sources to raw tables: what goes missing at a station is a difference there and nowhere else."""

from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from foundation import duck
from ingest.load.reconciliation import reconcile_landed
from tests.ingest import test_landing
from tests.ingest.test_landing import Site, remittance

site = test_landing.site
# Station -> the steps, with their signs, that must give the last one: as health.reconciliation_check has it.
STATIONS = {
    "source": ({"stated": 1}, "given"),
    "gate": ({"read": 1, "quarantined": -1}, "landed"),
    "landing": ({"landed": 1}, "filed"),
    "load": ({"filed": 1, "left": -1}, "raw"),
}


@pytest.fixture
def landed(site: Site) -> Site:
    """Two remittances, one of which came again under another name, and a PM database with a row that is quarantined."""
    claims = [("C1", "100.00", "80.00"), ("C2", "50.25", "7.00")]
    (site.remits / "a.835").write_text(remittance(1, claims))
    (site.remits / "b.835").write_text(remittance(2, [("C3", "10.00", "10.00")]))
    site.land("remits")
    (site.remits / "again.835").write_text(remittance(1, claims))
    site.land("remits")
    site.change("update payers set payer_class = 'nonsense' where payer_id = 'P2'")
    site.land("pm")
    site.load()
    return site


def off(site: Site) -> dict[tuple[str, str, str], Decimal]:
    """(station, entity, measure) to how much it is off, after a reconciliation."""
    reconcile_landed(site.home, site.keys, site.ledger)
    steps: dict[tuple[str, str], dict[str, Decimal]] = defaultdict(dict)
    for entity, measure, step, total in site.query(
        "select entity, measure, step, sum(total) from warehouse.raw.reconciliation_step group by all"
    ):
        steps[entity, measure][step] = total
    result = {}
    for (entity, measure), totals in steps.items():
        for station, (parts, end) in STATIONS.items():
            if end in totals and next(iter(parts)) in totals:
                expected = sum((sign * totals.get(step, Decimal(0)) for step, sign in parts.items()), Decimal(0))
                if totals[end] != expected:
                    result[station, entity, measure] = totals[end] - expected
    return result


def tamper(site: Site, sql: str) -> None:
    with duck.session(site.home) as connection:
        duck.attach(connection, site.home.warehouse, alias="warehouse", key=site.keys.derive_hex("warehouse"))
        connection.execute(sql)


def file_of(site: Site, entity: str) -> Path:
    """The first landed file of an entity."""
    return sorted(site.home.landing("harbor", entity).glob("*.parquet"))[0]


def rewrite(site: Site, path: Path, query: str) -> None:
    """Puts a query over its rows in the place of a landed file."""
    with duck.session(site.home) as connection:
        duck.add_parquet_key(connection, site.keys.derive("landing", "harbor"))
        key = f"encryption_config {{footer_key: '{duck.PARQUET_KEY}'}}"
        rows = f"read_parquet('{path}', encryption_config = {{footer_key: '{duck.PARQUET_KEY}'}})"
        connection.execute(f"create temp table kept as {query.format(rows)}")
        connection.execute(f"copy kept to '{path}' (format parquet, {key})")


def test_everything_agrees_and_what_leaves_has_its_reason(landed: Site) -> None:
    assert off(landed) == {}
    steps = {
        (entity, step, reason): total
        for entity, step, reason, total in landed.query(
            "select entity, step, reason, sum(total) from warehouse.raw.reconciliation_step "
            "where measure = 'rows' group by all"
        )
    }
    # The payment that came again is known before it lands.
    assert steps["remittance_claim", "stated", "CLP"] == 5
    assert steps["remittance_claim", "read", ""] == 3
    assert not [
        total for (entity, step, _), total in steps.items() if (entity, step) == ("remittance_claim", "left") and total
    ]
    assert steps["remittance_claim", "raw", ""] == 3
    assert steps["payer", "quarantined", "valid_values"] == 1
    paid = landed.query(
        "select step, sum(total) from warehouse.raw.reconciliation_step "
        "where entity = 'remittance_claim' and measure = 'payer_paid_amount' group by all"
    )
    came, landed_once = Decimal("184"), Decimal("97")
    assert {step: total for step, total in paid if total} == {
        **dict.fromkeys(("stated", "given"), came),
        **dict.fromkeys(("read", "landed", "filed", "raw"), landed_once),
    }


def test_a_row_that_is_gone_from_a_landed_file_is_named_at_landing(landed: Site) -> None:
    rewrite(landed, file_of(landed, "remittance_claim"), "select * from {} where claim_id <> 'C2'")
    result = off(landed)
    assert result["landing", "remittance_claim", "rows"] == -1
    assert result["landing", "remittance_claim", "payer_paid_amount"] == Decimal("-7")
    assert {entity for _, entity, _ in result} == {"remittance_claim"}


def test_a_landed_file_that_is_gone_or_cannot_be_read_counts_for_nothing(landed: Site) -> None:
    file_of(landed, "remittance").unlink()
    file_of(landed, "payer").write_bytes(b"no Parquet file")
    result = off(landed)
    assert result["landing", "remittance", "rows"] < 0
    assert result["landing", "payer", "rows"] < 0


def test_a_raw_row_that_is_gone_doubled_or_changed_is_named_at_the_load(landed: Site) -> None:
    tamper(landed, "delete from warehouse.raw.remittance_claim where claim_id = 'C3'")
    tamper(
        landed, "update warehouse.raw.remittance set payment_amount = payment_amount + 0.01 where payment_amount > 50"
    )
    tamper(landed, "insert into warehouse.raw.payer select * from warehouse.raw.payer where payer_id = 'P1'")
    result = off(landed)
    assert result["load", "remittance_claim", "rows"] == -1
    assert result["load", "remittance_claim", "billed_amount"] == Decimal("-10")
    assert result["load", "remittance", "payment_amount"] == Decimal("0.01")
    assert ("load", "remittance", "rows") not in result
    assert result["load", "payer", "rows"] == 1


def test_a_ledger_that_was_written_over_is_named_at_the_gate(landed: Site) -> None:
    with landed.ledger.write() as connection:
        connection.exec_driver_sql(
            "update amount set landed_amount = '1.0000' where entity = 'remittance_line' and measure = 'billed_amount'"
        )
    result = off(landed)
    assert ("gate", "remittance_line", "billed_amount") in result
    assert {entity for _, entity, _ in result} == {"remittance_line"}


def test_what_landed_before_the_ledger_knew_money_is_compared_from_its_files_on(landed: Site) -> None:
    with landed.ledger.write() as connection:
        connection.exec_driver_sql("delete from amount where entity = 'remittance_claim'")
    assert off(landed) == {}
    tamper(landed, "update warehouse.raw.remittance_claim set billed_amount = 0 where claim_id = 'C3'")
    assert off(landed) == {("load", "remittance_claim", "billed_amount"): Decimal("-10")}


def test_only_the_tenants_asked_for_are_read_again(landed: Site) -> None:
    assert off(landed) == {}
    tamper(landed, "delete from warehouse.raw.remittance_claim where claim_id = 'C3'")
    reconcile_landed(landed.home, landed.keys, landed.ledger, ())
    (rows,) = landed.query(
        "select total from warehouse.raw.reconciliation_step where entity = 'remittance_claim' "
        "and step = 'raw' and measure = 'rows'"
    )
    assert rows == (Decimal(3),)
    assert off(landed)["load", "remittance_claim", "rows"] == -1
