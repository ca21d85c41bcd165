"""Which charge a payer's service line answers: the compiled models on hard claim payments, and on random ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models

pytestmark = pytest.mark.slow

MODELS = ("int_remittance_line_matches", "int_remittance_lines")
TABLES = {
    "intermediate.int_remittance_line_amounts": (
        "tenant_id varchar, remittance_line_id varchar, remittance_claim_id varchar, claim_key varchar, claim_id varchar, "
        "is_matched boolean, is_reversal boolean, payment_date date, adjudicated_date date, "
        "line_number bigint, line_control_number varchar, billed_code varchar, modifiers varchar, remark_codes varchar, "
        "billed_size decimal(18,4), service_date date, billed_amount decimal(18,4), payer_paid_amount decimal(18,4), "
        "stated_allowed_amount decimal(18,4), source_system varchar, source_record_id varchar, source_position varchar"
    ),
    "intermediate.int_payer_sequences": "tenant_id varchar, remittance_claim_id varchar, payer_sequence integer",
    "intermediate.int_remittance_adjustments": (
        "tenant_id varchar, remittance_line_id varchar, group_code varchar, adjustment_amount decimal(18,4), "
        "contractual_amount decimal(18,4), is_on_line boolean, is_cost_share boolean, is_sequestration boolean"
    ),
    "intermediate.int_billed_lines": (
        "tenant_id varchar, charge_line_id varchar, line_kind varchar, claim_id varchar, line_control_number varchar, "
        "procedure_code varchar, modifiers varchar, revenue_code varchar, is_reversal boolean, "
        "billed_amount decimal(18,4), service_date date, has_own_date boolean"
    ),
}
FIRST = date(2026, 3, 2)


@dataclass(frozen=True)
class Charge:
    """A charge of ours; `day` counts from the first, None is a line without a day."""

    name: str
    amount: int = 100
    code: str = "A1"
    modifiers: str | None = None
    day: int | None = 0
    number: str | None = None
    claim: str = "K1"
    tenant: str = "t"

    def row(self) -> dict[str, object]:
        return {
            "tenant_id": self.tenant,
            "charge_line_id": self.name,
            "line_kind": "charge",
            "claim_id": self.claim,
            "line_control_number": self.number,
            "procedure_code": self.code,
            "modifiers": self.modifiers,
            "is_reversal": self.amount < 0,
            "billed_amount": self.amount,
            "service_date": FIRST + timedelta(days=self.day or 0),
            "has_own_date": self.day is not None,
        }


@dataclass(frozen=True)
class Line:
    """A service line of a claim payment."""

    name: str
    amount: int = 100
    code: str = "A1"
    modifiers: str | None = None
    day: int = 0
    number: str | None = None
    payment: str = "R1"
    claim: str = "K1"
    tenant: str = "t"
    is_known: bool = True

    def row(self, place: int) -> dict[str, object]:
        return {
            "tenant_id": self.tenant,
            "remittance_line_id": self.name,
            "remittance_claim_id": self.payment,
            "claim_key": self.claim,
            "claim_id": self.claim,
            "is_matched": self.is_known,
            "is_reversal": self.amount < 0,
            "line_number": place,
            "line_control_number": self.number,
            "billed_code": self.code,
            "modifiers": self.modifiers,
            "billed_size": abs(self.amount),
            "service_date": FIRST + timedelta(days=self.day),
            "billed_amount": self.amount,
        }


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*MODELS), TABLES)


def found(models: Models, charges: Sequence[Charge], lines: Sequence[Line]) -> dict[str, tuple[str | None, str]]:
    """Service line to the charge it answers and how that was found."""
    models.build(
        {
            "intermediate.int_billed_lines": [charge.row() for charge in charges],
            "intermediate.int_remittance_line_amounts": [line.row(place) for place, line in enumerate(lines, start=1)],
            "intermediate.int_payer_sequences": [
                {"tenant_id": tenant, "remittance_claim_id": payment, "payer_sequence": 1}
                for tenant, payment in sorted({(line.tenant, line.payment) for line in lines})
            ],
        }
    )
    rows = models.rows("int_remittance_lines", "remittance_line_id", "charge_line_id", "match_method")
    return {name: (charge, method) for name, charge, method in rows}


def test_each_way_of_matching_says_how_it_matched(models: Models) -> None:
    charges = [
        Charge("numbered", number="6R1"),
        Charge("modified", code="A2", modifiers="25"),
        Charge("plain", code="A3"),
        Charge("dateless", code="A4", day=None),
        Charge("repriced", code="A5"),
    ]
    lines = [
        Line("a", code="Z9", number="6R1"),
        Line("b", code="A2", modifiers="25"),
        Line("c", code="A3", modifiers="59"),
        Line("d", code="A4", day=7),
        Line("e", code="A5", amount=90),
        Line("f", code="A6"),
        Line("g", claim="K9", is_known=False),
    ]
    assert found(models, charges, lines) == {
        "a": ("numbered", "line_control_number"),
        "b": ("modified", "code_modifiers_amount_date"),
        "c": ("plain", "code_amount_date"),
        "d": ("dateless", "code_amount"),
        "e": ("repriced", "code_date"),
        "f": (None, "claim"),
        "g": (None, "none"),
    }


def test_a_line_without_a_number_does_not_take_the_charge_another_names(models: Models) -> None:
    charges = [Charge("one", number="6R1"), Charge("two", number="6R2")]
    lines = [Line("unnumbered"), Line("numbered", number="6R1")]
    assert found(models, charges, lines) == {
        "unnumbered": ("two", "code_modifiers_amount_date"),
        "numbered": ("one", "line_control_number"),
    }


def test_the_charge_of_the_same_modifiers_goes_first(models: Models) -> None:
    charges = [Charge("a", modifiers="59"), Charge("b", modifiers="25")]
    assert found(models, charges, [Line("x", modifiers="25"), Line("y")]) == {
        "x": ("b", "code_modifiers_amount_date"),
        "y": ("a", "code_amount_date"),
    }


def test_a_line_the_payer_split_keeps_its_charge_and_a_number_used_for_everything_does_not(models: Models) -> None:
    split = [Line("x", 60, number="6R1"), Line("y", 40, number="6R1")]
    assert {told[0] for told in found(models, [Charge("one", number="6R1")], split).values()} == {"one"}
    careless = [Line("x", 100, number="1"), Line("y", 100, code="A2", number="1")]
    assert found(models, [Charge("one", number="1"), Charge("two", code="A2", number="2")], careless) == {
        "x": ("one", "line_control_number"),
        "y": ("two", "code_modifiers_amount_date"),
    }


def test_a_reversal_answers_the_charge_again_and_a_line_too_many_answers_none(models: Models) -> None:
    lines = [
        Line("first", payment="R1"),
        Line("again", payment="R1"),
        Line("back", -100, payment="R2"),
        Line("instead", payment="R3"),
    ]
    told = found(models, [Charge("one")], lines)
    assert {name for name, (charge, _) in told.items() if charge == "one"} == {"first", "back", "instead"}
    assert told["again"] == (None, "claim")


def test_tenants_that_share_numbers_stay_apart(models: Models) -> None:
    told = found(models, [Charge("one", number="6R1", tenant="u")], [Line("x", number="6R1")])
    assert told == {"x": (None, "claim")}


CODES, SIZES = st.sampled_from(["A1", "A2"]), st.sampled_from([50, 100])
NUMBERS, TENANTS = st.sampled_from([None, None, "1", "2"]), st.sampled_from(["t", "u"])
CHARGES = st.builds(
    Charge,
    name=st.just(""),
    amount=SIZES,
    code=CODES,
    modifiers=st.sampled_from([None, "25"]),
    day=st.sampled_from([0, 1, None]),
    number=NUMBERS,
    claim=st.sampled_from(["K1", "K2"]),
    tenant=TENANTS,
)
LINES = st.builds(
    Line,
    name=st.just(""),
    amount=st.sampled_from([50, 100, -100]),
    code=CODES,
    modifiers=st.sampled_from([None, "25"]),
    day=st.integers(0, 1),
    number=NUMBERS,
    payment=st.sampled_from(["R1", "R2"]),
    claim=st.sampled_from(["K1", "K2"]),
    tenant=TENANTS,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(CHARGES, max_size=8), answered=st.lists(LINES, max_size=10))
def test_no_charge_is_taken_twice_in_one_claim_payment(
    models: Models, drawn: list[Charge], answered: list[Line]
) -> None:
    charges = {f"c{n}": Charge(**{**charge.__dict__, "name": f"c{n}"}) for n, charge in enumerate(drawn)}
    # A claim payment is of one claim.
    lines = {
        f"l{n}": Line(**{**line.__dict__, "name": f"l{n}", "payment": f"{line.tenant}{line.claim}{line.payment}"})
        for n, line in enumerate(answered)
    }
    told = found(models, list(charges.values()), list(lines.values()))
    assert set(told) == set(lines)
    taken: Counter[tuple[str, str]] = Counter()
    size: Counter[tuple[str, str]] = Counter()
    for name, (charge, method) in told.items():
        line = lines[name]
        assert (charge is None) == (method == "claim")
        if charge is None:
            continue
        made = charges[charge]
        assert (made.tenant, made.claim) == (line.tenant, line.claim)
        assert method == "line_control_number" or made.code == line.code
        assert (method == "line_control_number") <= (made.number == line.number)
        taken[line.payment, charge] += 1
        size[line.payment, charge] += abs(line.amount)
    for key, count in taken.items():
        assert count == 1 or size[key] <= charges[key[1]].amount, key
    assert found(models, list(reversed(charges.values())), list(lines.values())) == told
