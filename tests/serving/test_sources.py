"""What rows are made of: every rule leads to a column of a contract. How rows are found is tested on the demo."""

from pathlib import Path

import yaml

from data_contracts import load_contracts
from serving.rows.row_sources import RULES

MARTS = Path(__file__).parents[2] / "dbt" / "models" / "marts"
# Facts whose rows name a source record and yet have no rule.
WITHOUT_RULE = {
    "fct_credentials": "its key is made here; a credential has no key in the feeds",
    "fct_evaluations": "the same charge line of fct_charge_lines leads to the record",
    "fct_work_rvus": "the same charge line of fct_charge_lines leads to the record",
}


def test_every_fact_that_names_a_source_record_has_a_rule() -> None:
    models = [model for path in MARTS.rglob("fct_*.yml") for model in yaml.safe_load(path.read_text("utf-8"))["models"]]
    naming = {
        model["name"]
        for model in models
        if model["config"]["meta"].get("publish") and "source_record_id" in {item["name"] for item in model["columns"]}
    }
    assert "fct_authorizations" in naming
    assert naming - set(RULES) == set(WITHOUT_RULE)


def test_every_part_names_a_column_of_a_contract() -> None:
    contracts = load_contracts()
    for table, rule in RULES.items():
        for part in rule.parts:
            assert part.column in contracts[part.entity].by_name, (table, part)
            assert contracts[part.entity].store == "landing", (table, part)


def test_rows_that_others_are_led_through_have_rules_of_their_own() -> None:
    for table, rule in RULES.items():
        for other, column in rule.through:
            assert other in RULES, (table, other)
            assert column != RULES[other].key, (table, other)


def test_a_record_of_more_than_the_row_is_marked_as_such() -> None:
    wider = {(table, part.entity) for table, rule in RULES.items() for part in rule.parts if part.is_wider}
    assert wider == {("fct_charge_lines", "claim"), ("fct_charge_lines", "claim_line")}
