"""Which decision a reversal takes back: the compiled models on hard histories, and on random ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models

pytestmark = pytest.mark.slow

MODELS = ("int_remittance_reversals", "int_remittance_corrections")
TABLES = {
    "intermediate.int_remittance_claims": (
        "tenant_id varchar, remittance_claim_id varchar, remittance_id varchar, claim_id varchar, claim_key varchar, "
        "payer_id varchar, payer_claim_control_number varchar, original_payer_claim_control_number varchar, "
        "claim_status_code varchar, is_reversal boolean, is_counted boolean, billed_amount decimal(18,4), "
        "payer_paid_amount decimal(18,4), service_from_date date, payment_date date"
    )
}
FIRST = date(2026, 3, 2)


@dataclass(frozen=True)
class Answer:
    """A claim payment; of a reversal the amounts are given as they were decided and sent with the sign turned."""

    name: str
    payment: str
    day: int
    paid: int
    billed: int = 100
    reverses: bool = False
    number: str | None = "ICN1"
    original: str | None = None
    claim: str = "A1"
    payer: str = "P"
    tenant: str = "t"
    service: int | None = 0
    status: str = "1"

    def row(self) -> dict[str, object]:
        sign = -1 if self.reverses else 1
        return {
            "tenant_id": self.tenant,
            "remittance_claim_id": self.name,
            "remittance_id": self.payment,
            "claim_id": self.claim,
            "claim_key": self.claim,
            "payer_id": self.payer,
            "payer_claim_control_number": self.number,
            "original_payer_claim_control_number": self.original,
            "claim_status_code": "22" if self.reverses else self.status,
            "is_reversal": self.reverses,
            "is_counted": True,
            "billed_amount": sign * self.billed,
            "payer_paid_amount": sign * self.paid,
            "service_from_date": None if self.service is None else FIRST + timedelta(days=self.service - 30),
            "payment_date": FIRST + timedelta(days=self.day),
        }


def reversal(name: str, payment: str, day: int, paid: int, **more: object) -> Answer:
    return Answer(name, payment, day, paid, reverses=True, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*MODELS), TABLES)


def found(models: Models, answers: Sequence[Answer]) -> dict[str, tuple[str | None, str, bool]]:
    """Reversal to the decision it takes back, how that was found, and whether it takes all of it."""
    models.build({"intermediate.int_remittance_claims": [answer.row() for answer in answers]})
    rows = models.rows(
        MODELS[0],
        "tenant_id",
        "remittance_claim_id",
        "reversed_remittance_claim_id",
        "match_method",
        "is_whole",
    )
    return {name if tenant == "t" else f"{tenant}/{name}": tuple(rest) for tenant, name, *rest in rows}  # type: ignore[misc]


def corrections(models: Models) -> dict[str, str]:
    return dict(models.rows(MODELS[1], "remittance_claim_id", "reversal_id"))


def test_a_reversal_takes_back_the_decision_of_the_payers_number_and_the_correction_follows(models: Models) -> None:
    told = found(
        models,
        [
            Answer("first", "p1", 0, 80),
            Answer("other", "p1", 0, 80, number="ICN2", claim="A2"),
            reversal("back", "p2", 30, 80),
            Answer("instead", "p2", 30, 70),
        ],
    )
    assert told == {"back": ("first", "control_number_amount", True)}
    assert corrections(models) == {"instead": "back"}


def test_the_original_number_of_a_reversal_goes_before_its_own(models: Models) -> None:
    told = found(
        models,
        [
            Answer("first", "p1", 0, 80),
            Answer("second", "p2", 9, 80, number="ICN2"),
            reversal("back", "p3", 30, 80, number="ICN9", original="ICN2"),
        ],
    )
    assert told == {"back": ("second", "control_number_amount", True)}


def test_a_reversal_in_an_earlier_payment_than_its_decision_is_found_all_the_same(models: Models) -> None:
    assert found(models, [reversal("back", "p1", 0, 80), Answer("late", "p2", 5, 80)]) == {
        "back": ("late", "control_number_amount", True)
    }


def test_without_the_payers_number_claim_day_and_amounts_tell(models: Models) -> None:
    answers = [
        Answer("first", "p1", 0, 80),
        Answer("elsewhere", "p1", 0, 80, claim="A2", number=None),
        Answer("other day", "p1", 0, 80, service=4, number="ICN5"),
        reversal("back", "p2", 30, 80, number=None),
    ]
    assert found(models, answers) == {"back": ("first", "claim_amount", True)}


def test_a_claim_number_the_payer_never_had_links_nothing(models: Models) -> None:
    answers = [Answer("first", "p1", 0, 80, claim="0"), reversal("back", "p2", 30, 80, claim="0", number="ICN8")]
    assert found(models, answers) == {"back": (None, "none", False)}


def test_a_partial_reversal_is_called_one_and_two_take_no_more_than_was_decided(models: Models) -> None:
    told = found(
        models,
        [
            Answer("first", "p1", 0, 80),
            reversal("part", "p2", 10, 30, billed=40),
            reversal("more", "p3", 20, 50, billed=60),
            reversal("too much", "p4", 30, 1, billed=1),
        ],
    )
    assert told == {
        "part": ("first", "control_number_part", False),
        "more": ("first", "control_number_part", False),
        "too much": (None, "none", False),
    }


def test_a_decision_is_taken_back_once_and_the_second_reversal_is_shown(models: Models) -> None:
    told = found(
        models, [Answer("first", "p1", 0, 80), reversal("back", "p2", 30, 80), reversal("again", "p3", 40, 80)]
    )
    assert told == {"back": ("first", "control_number_amount", True), "again": (None, "none", False)}


def test_a_correction_is_not_what_the_reversal_beside_it_takes_back(models: Models) -> None:
    lone = [reversal("back", "p2", 30, 80), Answer("instead", "p2", 30, 80)]
    assert found(models, lone) == {"back": (None, "none", False)}
    later = [*lone, reversal("back again", "p3", 60, 80), Answer("last", "p3", 60, 80)]
    assert found(models, later) == {
        "back": (None, "none", False),
        "back again": ("instead", "control_number_amount", True),
    }
    assert corrections(models) == {"instead": "back", "last": "back again"}


def test_two_equal_decisions_are_taken_back_in_their_order(models: Models) -> None:
    answers = [
        Answer("b", "p1", 0, 80),
        Answer("a", "p2", 5, 80),
        reversal("y", "p3", 10, 80),
        reversal("x", "p4", 20, 80),
    ]
    assert {name: told[0] for name, told in found(models, answers).items()} == {"y": "b", "x": "a"}


def test_tenants_and_payers_that_share_numbers_stay_apart(models: Models) -> None:
    answers = [
        Answer("first", "p1", 0, 80),
        reversal("back", "p2", 30, 80, tenant="u"),
        reversal("theirs", "p2", 30, 80, payer="Q"),
    ]
    assert found(models, answers) == {"u/back": (None, "none", False), "theirs": (None, "none", False)}


def test_a_forecast_is_no_decision(models: Models) -> None:
    answers = [Answer("forecast", "p1", 0, 80, status="25"), reversal("back", "p2", 30, 80)]
    assert found(models, answers) == {"back": (None, "none", False)}


ANSWERS = st.builds(
    Answer,
    name=st.just(""),
    payment=st.sampled_from(["p1", "p2", "p3", "p4"]),
    day=st.just(0),
    paid=st.sampled_from([0, 40, 80]),
    billed=st.sampled_from([60, 100]),
    reverses=st.booleans(),
    number=st.sampled_from(["ICN1", "ICN2", None]),
    original=st.sampled_from([None, None, "ICN1"]),
    claim=st.sampled_from(["A1", "A2", "0"]),
    payer=st.sampled_from(["P", "Q"]),
    tenant=st.sampled_from(["t", "u"]),
    service=st.sampled_from([0, 3, None]),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=st.lists(ANSWERS, max_size=14), chance=st.randoms(use_true_random=False))
def test_nothing_is_taken_back_beyond_what_was_decided(models: Models, drawn: list[Answer], chance: object) -> None:
    answers = {
        f"n{index}": Answer(**{**answer.__dict__, "name": f"n{index}", "day": int(answer.payment[1]) * 10})
        for index, answer in enumerate(drawn)
    }
    told = found(models, list(answers.values()))
    assert {name.rpartition("/")[2] for name in told} == {name for name, a in answers.items() if a.reverses}
    whole = Counter(decision for decision, _, is_whole in told.values() if is_whole)
    assert all(count == 1 for count in whole.values())
    taken: dict[str, Decimal] = {}
    for name, (decision, method, is_whole) in told.items():
        back = answers[name.rpartition("/")[2]]
        assert (decision is None) == (method == "none")
        if decision is None:
            continue
        made = answers[decision]
        assert not made.reverses
        assert (made.tenant, made.claim, made.payer) == (back.tenant, back.claim, back.payer)
        assert made.payment != back.payment
        assert not is_whole or (made.paid, made.billed) == (back.paid, back.billed)
        assert is_whole or whole[decision] == 0
        taken[decision] = taken.get(decision, Decimal(0)) + back.paid
        assert taken[decision] <= made.paid
    shuffled = list(answers.values())
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert found(models, shuffled) == told
