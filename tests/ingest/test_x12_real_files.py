"""The third-party X12 files with their published figures."""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from data_contracts import contract
from ingest.landing import contract_gate
from ingest.sources import UnreadableUnit, source_for
from tests.ingest.x12_files import DATA, folder, merged, money, read, read_folder
from tests.refusals import refused_file


@pytest.mark.real_data
def test_published_835_figures() -> None:
    rows = read_folder("implementation-guide/835_005010X221A1").rows
    for entity, frame in rows.items():
        assert contract_gate.check(contract(entity), frame).bad.is_empty(), entity
    claims = rows["remittance_claim"]
    assert claims["claim_status_code"].value_counts().sort("claim_status_code").rows() == [("1", 4), ("2", 3), ("3", 1)]
    assert claims["remittance_claim_id"].n_unique() == 8
    assert money(claims, "billed_amount") == Decimal("241749.61")
    assert money(claims, "payer_paid_amount") == Decimal("152387.23")
    assert money(rows["provider_adjustment"], "adjustment_amount") == Decimal("-1.27")
    assert money(rows["remittance"], "payment_amount") == Decimal("152388.50")


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "claims", "billed"),
    [("004010X098A1", 6, "1114.04"), ("005010X222A2", 18, "8072.55"), ("004010X096A1", 5, "4028.62")],
)
def test_published_837_figures(name: str, claims: int, billed: str) -> None:
    chunk = read_folder(f"implementation-guide/837_{name}")
    assert chunk.refusals == []
    assert chunk.rows["claim"].height == claims
    assert chunk.rows["claim"]["claim_submission_id"].n_unique() == claims
    for entity, frame in chunk.rows.items():
        assert contract_gate.check(contract(entity), frame).bad.is_empty(), entity
    assert money(chunk.rows["claim"], "billed_amount") == Decimal(billed)
    assert money(chunk.rows["claim_line"], "billed_amount") == Decimal(billed)
    codes = chunk.rows["claim_line"].filter(pl.coalesce("procedure_code", "revenue_code").is_null())
    assert codes.is_empty(), "every line has a code, with the separator that its file really uses"


@pytest.mark.real_data
def test_published_remittance_figures() -> None:
    result, refused = {}, {}
    for unit in folder("remits"):
        try:
            result[unit.name] = merged(list(source_for("x12").read(unit)))
        except UnreadableUnit as error:
            refused[unit.name] = error.problem
    assert list(refused) == ["blue_cross_nc_sample.txt"]
    assert "ISA" in refused["blue_cross_nc_sample.txt"]
    emedny, united = result["emedny_sample.txt"].rows, result["united_healthcare_legacy_sample.txt"].rows
    assert emedny["remittance_claim"].height == 3
    assert emedny["remittance_claim"]["claim_status_code"].to_list().count("2") == 2
    assert money(emedny["remittance_claim"], "billed_amount") == Decimal("102.50")
    assert money(emedny["remittance_claim"], "payer_paid_amount") == Decimal("45.75")
    assert united["remittance_claim"].height == 2
    assert money(united["remittance_claim"], "billed_amount") == Decimal("1157.52")
    assert money(united["remittance_claim"], "payer_paid_amount") == Decimal("349.99")
    assert united["payer"].select("payer_id", "payer_class").rows() == [("87726", "medicare_advantage")]
    assert all(chunk.notices == [] for chunk in result.values())


@pytest.mark.real_data
def test_every_claim_of_the_broken_files_is_used_or_refused() -> None:
    for unit in folder("claims"):
        assert unit.path is not None
        text = unit.path.read_text()
        terminator = "_" if "different" in unit.name else "~"
        claims = sum(segment.strip()[:3] == "CLM" for segment in text.split(terminator))
        if unit.name == "x12_no_isa_line.txt":
            with refused_file("isa_missing"):
                list(source_for("x12").read(unit))
            continue
        chunk = merged(list(source_for("x12").read(unit)))
        if not claims:
            # Acknowledgements: test_x12_acknowledgements.py has their figures.
            assert "ST*277" in text or "ST*999" in text, unit.name
            assert chunk.records_read == chunk.records_used > 0, unit.name
            continue
        assert chunk.records_read == claims, unit.name
        # Every 837 of this set has a wrong SE01.
        assert chunk.records_used == 0
        assert {refusal.reason for refusal in chunk.refusals} == {"segment_count_wrong"}


@pytest.mark.real_data
def test_the_broken_claims_read_once_their_count_is_put_right(tmp_path: Path) -> None:
    for name, terminator, count in (("x12_valid.txt", "~", 34), ("x12_valid_different_separators.txt", "_", 34)):
        text = (DATA / "claims" / name).read_text() if DATA.is_dir() else pytest.skip(f"{DATA} is absent")
        element = text[3]
        chunk = read(tmp_path, text.replace(f"SE{element}25{element}", f"SE{element}{count}{element}"))
        assert chunk.rows["claim"]["claim_id"].to_list() == ["A37YH556", "A37YH667"]
        assert chunk.rows["claim_line"]["procedure_code"].to_list() == ["99211", "478331"]
        assert terminator not in str(chunk.rows["claim"].rows())
