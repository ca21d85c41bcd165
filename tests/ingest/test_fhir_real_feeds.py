"""The third-party FHIR feeds, figure for figure."""

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.ingest.fhir_reading import read

REAL = Path(__file__).parents[2] / "../shared/data/fhir"


def real(name: str) -> Path:
    path = REAL / name
    if not path.is_dir():
        pytest.skip(f"the feed {name} is not at {REAL}")
    return path


@pytest.mark.real_data
def test_synthea_bundles_give_the_figures_counted_by_hand() -> None:
    result = read(real("synthea-bundles"), "synthea")
    assert not result.bad
    classes = dict(result.good["encounter"]["encounter_class"].value_counts().iter_rows())
    assert classes == {"AMB": 283, "EMER": 27, "IMP": 30}
    claims = result.good["claim"]
    assert (claims.height, claims["billed_amount"].sum()) == (418, Decimal("881636.04"))
    payers = dict(claims["payer_id"].value_counts().iter_rows())
    assert payers == {"private": 296, "medicare": 121, "medicaid": 1}
    paid = result.good["remittance_claim"]
    assert (paid.height, paid["payer_paid_amount"].sum()) == (340, Decimal("656596.832"))
    classes_of_payers = dict(result.good["payer"].select("payer_id", "payer_class").unique().iter_rows())
    assert classes_of_payers == {"private": "commercial", "medicare": "medicare", "medicaid": "medicaid"}
    # 3,500 entries: 1,258 of types the model holds, the others told once a file and type.
    assert (result.read, result.used) == (3500, 1258)
    assert set(result.reasons()) == {"resource_type_not_in_model"}
    assert all(refusal.payload is None for refusal in result.refusals)


@pytest.mark.real_data
def test_synthea_bundles_refer_to_rows_that_are_there() -> None:
    good = read(real("synthea-bundles"), "synthea").good
    for entity, column, target in [
        ("encounter", "patient_id", "patient"),
        ("encounter", "provider_id", "provider"),
        ("encounter", "service_unit_id", "service_unit"),
        ("encounter", "visit_type_id", "visit_type"),
        ("claim", "patient_id", "patient"),
        ("claim", "encounter_id", "encounter"),
        ("claim", "service_unit_id", "service_unit"),
        ("claim", "payer_id", "payer"),
        ("claim_line", "claim_submission_id", "claim"),
        ("remittance_claim", "claim_id", "claim"),
        ("remittance_line", "remittance_claim_id", "remittance_claim"),
        ("remittance_adjustment", "remittance_line_id", "remittance_line"),
    ]:
        given_rows = good[entity].filter(pl.col(column).is_not_null())
        assert given_rows.height > 0
        assert given_rows.join(good[target], on=column, how="anti").height == 0, f"{entity}.{column}"


@pytest.mark.real_data
def test_a_synthea_line_is_billed_paid_and_owed_by_the_patient_to_the_cent() -> None:
    good = read(real("synthea-bundles"), "synthea").good
    owed = good["remittance_adjustment"].group_by("remittance_line_id").agg(pl.col("adjustment_amount").sum())
    joined = good["remittance_line"].join(owed, on="remittance_line_id", how="left")
    others = joined.select(
        pl.col("billed_amount") - pl.col("payer_paid_amount") - pl.col("adjustment_amount").fill_null(Decimal(0))
    ).to_series()
    # What is left is binary noise that four places cut off.
    assert joined.height == 356
    assert others.abs().max() <= Decimal("0.0001")


@pytest.mark.real_data
def test_bulk_ndjson_gives_the_figures_counted_by_hand() -> None:
    result = read(real("bulk-10-patients"), "synthea")
    assert not result.bad
    classes = dict(result.good["encounter"]["encounter_class"].value_counts().iter_rows())
    assert classes == {"AMB": 1133, "IMP": 49, "EMER": 23, "HH": 9, "VR": 1}
    stays = result.good["encounter"].filter(encounter_class="IMP")
    days = (stays["ended_at"] - stays["started_at"]).dt.total_microseconds() / 86_400_000_000
    assert days.sum() == pytest.approx(277.810, abs=5e-4)
    assert days.mean() == pytest.approx(5.6696, abs=5e-5)
    assert days.max() == pytest.approx(19.0104, abs=5e-5)
    assert result.good["patient"].height == 13
    assert result.good["service_unit"].height == 44 + 43
    assert result.reasons() == {"resource_type_not_in_model": 2056, "no_resource_type": 4}
    log = [refusal for refusal in result.refusals if refusal.reason == "no_resource_type"]
    assert [refusal.position for refusal in log] == [f"line {number}" for number in range(1, 5)]


@pytest.mark.real_data
def test_bulk_ndjson_refers_by_identifier_to_rows_that_are_there() -> None:
    good = read(real("bulk-10-patients"), "synthea").good
    for entity, column, target in [
        ("encounter", "patient_id", "patient"),
        ("encounter", "provider_id", "provider"),
        ("encounter", "service_unit_id", "service_unit"),
        ("provider_service_unit", "provider_id", "provider"),
        ("provider_service_unit", "service_unit_id", "service_unit"),
        ("bed_movement", "encounter_id", "encounter"),
    ]:
        assert good[entity][column].null_count() == 0
        assert good[entity].join(good[target], on=column, how="anti").height == 0, f"{entity}.{column}"
    # Every stay is admitted and discharged.
    kinds = dict(good["bed_movement"]["movement_type"].value_counts().iter_rows())
    assert kinds == {"admit": 49, "discharge": 49}


@pytest.mark.real_data
def test_the_examples_of_the_standard_are_each_used_or_refused() -> None:
    result = read(real("r4-examples"))
    assert (result.read, result.used) == (55, 46)
    assert result.reasons() == {"resource_type_not_in_model": 7, "not_a_claim": 2}
    # Encounters that say no time cannot be placed on any day; a proposed appointment needs none.
    assert result.bad == {("encounter", "required", "started_at"): 7}
    # Slots find their schedule in the file beside them.
    assert set(result.good["slot"]["service_unit_id"]) == {"1"}
    slots = dict(result.good["slot"].select("slot_id", "status").iter_rows())
    assert slots == {"1": "booked", "2": "held", "3": "blocked", "example": "free"}
    # EB3500 and R3500 are one adjudication; what could not be processed is a rejection, not a denial.
    paid = result.good["remittance_claim"].filter(pl.col("remittance_claim_id") == "ClaimResponse/R3500")
    assert paid.height == 2
    assert not result.good["claim_status"]["is_accepted"].any()


@pytest.mark.real_data
def test_no_name_of_a_patient_leaves_the_identity_rows() -> None:
    folder = real("synthea-bundles")
    good = read(folder, "synthea").good
    identity = good.pop("patient_identity")
    names = set(identity["family_name"]) | set(identity["phone"]) | set(identity["address_line"])
    for entity, frame in good.items():
        for column in frame.columns:
            if frame.schema[column] == pl.String() and entity != "provider" and column != "family_name_token":
                assert not names & set(frame[column].drop_nulls()), f"{entity}.{column}"
