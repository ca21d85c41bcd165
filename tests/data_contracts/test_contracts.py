"""The contracts are valid by the standard, hang together, and mean the same to everything compiled from them."""

from pathlib import Path

import polars as pl
import pytest
import yaml
from open_data_contract_standard.model import OpenDataContractStandard

from data_contracts import ContractError, contract, load_contracts
from data_contracts.expectations import suite
from data_contracts.generate import contracts_page, dbt_sources
from data_contracts.model import ADDED_AT_LANDING, FOLDER, LINEAGE, parse_contract

# The entities of the unified model, as the design lists them.
ENTITIES = [
    "organization",
    "service_unit",
    "service_unit_placement",
    "provider",
    "provider_service_unit",
    "payer",
    "visit_type",
    "contract_rate",
    "patient",
    "patient_identity",
    "patient_merge",
    "coverage",
    "appointment",
    "appointment_event",
    "slot",
    "reminder",
    "referral",
    "authorization",
    "encounter",
    "encounter_event",
    "bed_movement",
    "diagnosis",
    "eligibility_answer",
    "eligibility_benefit",
    "charge",
    "claim",
    "claim_line",
    "claim_status",
    "remittance",
    "remittance_claim",
    "remittance_line",
    "remittance_adjustment",
    "provider_adjustment",
    "patient_payment",
    "adjustment",
    "ledger_entry",
    "staff_shift",
    "inventory_usage",
    "record_deletion",
    "acknowledgement",
    "work_rvu_rate",
    "evaluation_level",
]


def test_every_entity_of_the_model_has_a_contract() -> None:
    assert sorted(load_contracts()) == sorted(ENTITIES)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.odcs.yaml")), ids=lambda path: path.name)
def test_a_contract_follows_the_open_data_contract_standard(path: Path) -> None:
    text = path.read_text("utf-8")
    document = OpenDataContractStandard.from_string(text)
    assert document.apiVersion == "v3.1.0"
    # The library's model keeps what it knows: nothing we wrote may be unknown to it.
    kept = document.model_dump(exclude_none=True, by_alias=True)
    assert set(yaml.safe_load(text)) <= set(kept)


@pytest.mark.parametrize("entity", ENTITIES)
def test_every_row_carries_tenant_source_and_lineage(entity: str) -> None:
    of = contract(entity)
    assert of.primary_key[:2] == ("tenant_id", "source_system")
    assert of.entity_key, "an entity has a key"
    for name in (*ADDED_AT_LANDING, *LINEAGE):
        assert of.by_name[name].required, name


def test_patients_are_named_by_token_wherever_they_appear() -> None:
    for of in load_contracts().values():
        for column in of.columns:
            if column.name.endswith("patient_id"):
                assert column.token_domain == "patient", f"{of.name}.{column.name}"


def test_identifiers_of_people_are_in_the_vault_alone() -> None:
    telling = (
        "family_name",
        "given_name",
        "birth_date",
        "address_line",
        "phone",
        "email",
        "postal_code",
        "medical_record_number",
    )
    holders = {of.name for of in load_contracts().values() for c in of.columns if c.name in telling}
    assert holders == {"patient_identity"}
    assert contract("patient_identity").store == "vault"


def test_money_is_decimal_and_times_are_utc() -> None:
    for of in load_contracts().values():
        for column in of.columns:
            if column.name.endswith("_amount"):
                assert column.polars_type == pl.Decimal(18, 4), f"{of.name}.{column.name}"
            if column.name.endswith("_at"):
                assert column.polars_type == pl.Datetime("us", "UTC"), f"{of.name}.{column.name}"
            if column.name.endswith("_date"):
                assert column.logical_type == "date", f"{of.name}.{column.name}"


def test_every_rule_becomes_an_expectation() -> None:
    for of in load_contracts().values():
        rules = {(rule, column) for rule, column, _ in suite(of)}
        for column in of.reader_columns:
            conditions = [rule for rule in of.required_unless if rule.column == column.name]
            assert (("required", column.name) in rules) == (column.required or bool(conditions))
            assert (("valid_values", column.name) in rules) == bool(column.valid_values)
            assert (("pattern", column.name) in rules) == bool(column.pattern)
        assert sum(rule == "order" for rule, _ in rules) == len(of.order_rules)


def test_dbt_sources_and_the_page_name_every_column() -> None:
    tables = {t["name"]: t for t in yaml.safe_load(dbt_sources())["sources"][0]["tables"]}
    page = contracts_page()
    for of in load_contracts().values():
        assert (of.name in tables) == (of.store == "landing")
        assert f"### {of.name}\n" in page
        if of.name in tables:
            assert [c["name"] for c in tables[of.name]["columns"]] == list(of.column_names)


def _raw(**changes: object) -> dict:
    raw = yaml.safe_load((FOLDER / "reminder.odcs.yaml").read_text("utf-8"))
    return raw | changes


def test_a_contract_of_another_version_or_kind_is_refused() -> None:
    with pytest.raises(ContractError, match=r"reminder: apiVersion is 'v2\.0\.0'"):
        parse_contract("reminder", _raw(apiVersion="v2.0.0"))
    with pytest.raises(ContractError, match="kind"):
        parse_contract("reminder", _raw(kind="DataProduct"))


def test_an_unknown_type_or_rule_is_refused_by_property() -> None:
    raw = _raw()
    raw["schema"][0]["properties"][2]["logicalType"] = "money"
    with pytest.raises(ContractError, match="property reminder_id: logicalType 'money'"):
        parse_contract("reminder", raw)
    raw = _raw()
    raw["schema"][0]["properties"][2]["quality"] = [{"metric": "rowCount", "mustBe": 3}]
    with pytest.raises(ContractError, match="only the invalidValues rule"):
        parse_contract("reminder", raw)


def test_an_unknown_entity_is_refused() -> None:
    with pytest.raises(ContractError, match="no contract is named 'visit'"):
        contract("visit")
