"""What rows are made of: every rule leads to a column of a contract. How rows are found is tested on the demo."""

from data_contracts import load_contracts
from serving.rows.row_sources import RULES


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
