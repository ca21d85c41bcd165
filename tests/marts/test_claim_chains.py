"""Which claim a submission, a remittance, a charge and a status belong to: the compiled models on hard histories and on
random ones, against chains that plain code made and knows."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.chain_rows import (
    NORTH,
    SOUTH,
    TABLES,
    Row,
    billed,
    build,
    charge_claims,
    charged,
    claims_of,
    decided,
    matches,
    sent,
    turned_back,
)
from tests.marts.compiled_models import Models

pytestmark = pytest.mark.slow

MODELS = (
    "int_claim_submission_bills",
    "int_claim_bills",
    "int_remitted_claims",
    "int_remitted_bills",
    "int_claim_links",
    "int_bill_claims",
    "int_claim_numbers",
    "int_claim_submissions",
    "int_remittance_claim_matches",
    "int_claims",
    "int_charges",
)


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*MODELS), TABLES)


def test_originals_of_three_months_under_one_account_number_are_three_claims(models: Models) -> None:
    months = [sent(f"m{month}", "ACCT", 31 * month, 100) for month in range(3)]
    build(models, months, [decided(f"d{month}", "ACCT", 31 * month, 100) for month in (2, 0)])
    assert claims_of(models) == {"m0": "ACCT", "m1": "ACCT#2", "m2": "ACCT#3"}
    assert billed(models) == {"ACCT": 100, "ACCT#2": 100, "ACCT#3": 100}
    assert matches(models) == {"d0": ("ACCT", "claim_id"), "d2": ("ACCT#3", "claim_id")}


def test_the_same_original_sent_again_is_one_claim_with_one_more_submission(models: Models) -> None:
    build(models, [sent("a", "A1"), sent("b", "A1", on=30, sender_code="S2")])
    assert claims_of(models) == {"a": "A1", "b": "A1"}
    assert models.rows("int_claims", "claim_id", "submissions", "billed_amount") == [("A1", 2, 200)]


@pytest.mark.parametrize(
    "other",
    [
        {"amount": 50},
        {"day": 40},
        {"npi": SOUTH},
        {"patient_match_token": "other"},
        {"npi": None, "billing_tax_token": "other tax id"},
        {"npi": None, "sender_code": "S2"},
    ],
)
def test_masked_numbers_are_told_apart_by_issuer_patient_day_or_amount(
    models: Models, other: Mapping[str, object]
) -> None:
    build(
        models,
        [sent("a", "XXXX", patient_match_token="one"), sent("b", "XXXX", **{"patient_match_token": "one"} | other)],
    )
    assert sorted(claims_of(models).values()) == ["XXXX", "XXXX#2"]


def test_a_replacement_under_another_number_follows_the_payers_number(models: Models) -> None:
    build(
        models,
        [sent("a", "A1"), sent("r", "A1R", 0, 180, on=30, kind="7", replaces="ICN1"), sent("o", "A2")],
        [decided("denied", "A1", control="ICN1", status="4"), decided("paid", "A1R", 0, 180, on=50, control="ICN2")],
    )
    assert claims_of(models) == {"a": "A1", "r": "A1", "o": "A2"}
    assert billed(models) == {"A1": 180, "A2": 200}
    assert matches(models) == {"denied": ("A1", "claim_id"), "paid": ("A1", "claim_id")}


def test_a_void_under_another_number_leaves_nothing_billed(models: Models) -> None:
    build(
        models,
        [
            sent("a", "A1"),
            sent("r", "A1R", on=30, kind="7", replaces="ICN1"),
            sent("v", "A1V", on=60, kind="8", replaces="ICN2"),
        ],
        [decided("first", "A1", control="ICN1"), decided("second", "A1R", on=50, control="ICN2")],
    )
    assert set(claims_of(models).values()) == {"A1"}
    assert billed(models) == {"A1": 0}


def test_a_payers_number_means_the_payer_that_gave_it(models: Models) -> None:
    build(
        models,
        [
            sent("a", "A1"),
            sent("b", "B1", payer_id="Q", npi=SOUTH),
            sent("r", "R1", on=30, kind="7", replaces="7", payer_id="Q", npi=SOUTH),
        ],
        [decided("one", "A1", control="7"), decided("two", "B1", control="7", payee=SOUTH, payer="Q")],
    )
    assert claims_of(models) == {"a": "A1", "b": "B1", "r": "B1"}


def test_a_replacement_whose_original_only_the_payer_knows_takes_its_denial_along(models: Models) -> None:
    build(
        models,
        [sent("r", "A1R", on=30, kind="7", replaces="ICN1")],
        [decided("denied", "A1", control="ICN1", status="4"), decided("paid", "A1R", on=50, control="ICN2")],
    )
    assert matches(models) == {"denied": ("A1R", "payer_control_number"), "paid": ("A1R", "claim_id")}


def test_a_correction_whose_number_nobody_sent_follows_the_payers_number(models: Models) -> None:
    answers = [
        decided("denied", "A1", control="ICN1", status="4"),
        decided("paid", "ZZZ", control="ICN2", original="ICN1"),
    ]
    build(models, [sent("a", "A1")], answers)
    assert matches(models)["paid"] == ("A1", "payer_control_number")


def test_a_replacement_under_its_own_number_replaces_the_claim_of_its_days(models: Models) -> None:
    build(
        models, [sent("m0", "ACCT"), sent("m1", "ACCT", 31), sent("r", "ACCT", 31, 150, on=40, kind="7", replaces="?")]
    )
    assert claims_of(models) == {"m0": "ACCT", "m1": "ACCT#2", "r": "ACCT#2"}
    assert billed(models) == {"ACCT": 200, "ACCT#2": 150}


def test_a_replacement_that_may_replace_two_claims_replaces_none(models: Models) -> None:
    build(models, [sent("a", "ACCT"), sent("b", "ACCT", amount=50), sent("r", "ACCT", 0, 150, on=40, kind="7")])
    assert len(set(claims_of(models).values())) == 3


def test_a_replacement_may_correct_the_days(models: Models) -> None:
    build(models, [sent("a", "A1"), sent("r", "A1", 3, on=40, kind="7")])
    assert claims_of(models) == {"a": "A1", "r": "A1"}


def test_an_original_that_was_turned_back_is_put_right_by_the_next_one(models: Models) -> None:
    again = [sent("a", "A1"), sent("b", "A1", 0, 180, on=9)]
    build(models, again, statuses=[turned_back("A1", 200)])
    assert claims_of(models) == {"a": "A1", "b": "A1"}
    assert billed(models) == {"A1": 180}
    for told in (
        [],
        [turned_back("A1", 200, on=10)],
        [turned_back("A1", 200), turned_back("A1", 200, on=5, accepted=True)],
    ):
        build(models, again, statuses=told)
        assert len(set(claims_of(models).values())) == 2, "not turned back before it was sent again"
    build(models, [sent("a", "A1"), sent("b", "A1", 31)], statuses=[turned_back("A1", 200)])
    assert len(set(claims_of(models).values())) == 2, "another month, though of the same amount"
    build(models, again, [decided("paid", "A1")], statuses=[turned_back("A1", 200)])
    assert len(set(claims_of(models).values())) == 2, "decided all the same"
    build(models, [*again, sent("c", "A1", 0, 170, on=12)], statuses=[turned_back("A1", 200)])
    assert claims_of(models) == {"a": "A1", "b": "A1", "c": "A1#2"}


def test_claims_of_two_practices_are_paid_by_payee(models: Models) -> None:
    submissions = [sent("a", "1001", amount=50), sent("b", "1001", amount=50, npi=SOUTH, feed="837 b")]
    build(models, submissions, [decided("south", "1001", amount=50, payee=SOUTH), decided("north", "1001", amount=50)])
    assert matches(models) == {"north": ("1001", "claim_id"), "south": ("1001#2", "claim_id")}
    tax = {"npi": None, "billing_tax_token": "t1"}, {"npi": None, "billing_tax_token": "t2", "feed": "837 b"}
    submissions = [sent("a", "1001", **tax[0]), sent("b", "1001", **tax[1])]
    build(models, submissions, [decided("paid", "1001", payee=None, tax="t2")])
    assert matches(models) == {"paid": ("1001#2", "claim_id")}


@pytest.mark.parametrize("answer", [{"day": 40}, {"payee": SOUTH, "amount": 50}, {"payee": SOUTH, "day": None}])
def test_a_payment_of_a_claim_nobody_sent_is_not_put_on_another_of_its_number(
    models: Models, answer: Mapping[str, object]
) -> None:
    build(models, [sent("a", "1001")], [decided("paid", "1001", **answer)])  # type: ignore[arg-type]
    assert matches(models) == {}


def test_a_payment_that_may_be_of_two_claims_is_of_none_and_the_payers_number_tells(models: Models) -> None:
    two = [sent("a", "XXXX", patient_match_token="one"), sent("b", "XXXX", patient_match_token="two", on=2)]
    build(models, two, [decided("paid", "XXXX", control="ICN1")])
    assert matches(models) == {"paid": (None, "ambiguous")}
    months = [sent("a", "ACCT"), sent("b", "ACCT", 31)]
    back = decided("back", "ACCT", None, control="ICN9", original="ICN2", status="22", on=90)
    build(models, months, [decided("one", "ACCT", control="ICN1"), decided("two", "ACCT", 31, control="ICN2"), back])
    assert matches(models)["back"] == ("ACCT#2", "payer_control_number")


def test_a_practice_and_its_837_that_differ_tell_of_one_claim(models: Models) -> None:
    both = [sent("pm1", "A1", amount=210, feed="pm", npi=None, patient_id="x"), sent("e1", "A1")]
    build(models, both)
    assert set(claims_of(models).values()) == {"A1"}
    assert billed(models) == {"A1": 210}, "the system of record"
    later = [sent("pm1", "A1", amount=210, feed="pm", npi=None, patient_id="x"), sent("e1", "A1", 60)]
    build(models, later)
    assert claims_of(models) == {"pm1": "A1", "e1": "A1#2"}


def test_a_later_payers_submission_stays_with_its_claim(models: Models) -> None:
    second = {"payer_sequence": "secondary", "payer_id": "Q", "patient_match_token": "by another member id"}
    build(models, [sent("a", "A1", patient_match_token="one"), sent("s", "A1", on=40, **second)])
    assert set(claims_of(models).values()) == {"A1"}


def test_claims_that_name_the_claim_they_replace_follow_it(models: Models) -> None:
    chain = [
        sent("c1", "one", feed="fhir", patient_id="x", kind="8"),
        sent("c2", "two", 0, 150, feed="fhir", patient_id="x", on=9, kind="7", replaced_claim_id="one"),
        sent("c3", "three", 0, 170, feed="fhir", patient_id="x", on=12, kind="7", replaced_claim_id="two"),
    ]
    build(models, chain)
    assert set(claims_of(models).values()) == {"one"}
    assert billed(models) == {"one": 170}
    build(models, [*chain[:1], chain[1] | {"patient_id": "y"}])
    assert len(set(claims_of(models).values())) == 2, "another patient's"


def test_claims_that_replace_one_another_in_a_circle_stay_apart(models: Models) -> None:
    circle = [
        sent("a", "one", feed="fhir", kind="7", replaced_claim_id="two"),
        sent("b", "two", feed="fhir", kind="7", replaced_claim_id="one"),
    ]
    build(models, circle)
    assert claims_of(models) == {"a": "one", "b": "two"}


def test_charges_go_to_the_claim_of_their_day_and_patient(models: Models) -> None:
    months = [sent("m0", "ACCT", amount=100), sent("m1", "ACCT", 31, 100)]
    build(models, months, charges=[charged("c0", "ACCT", 0, 100, "x"), charged("c1", "ACCT", 31, 100, "x")])
    assert charge_claims(models) == {"c0": "ACCT", "c1": "ACCT#2"}
    build(models, [sent("e", "1001")], charges=[charged("c", "1001", 60, 50, "x"), charged("d", "1001", 61, 50, "x")])
    assert charge_claims(models) == {"c": "1001#2", "d": "1001#2"}, "other days and another amount"
    build(models, charges=[charged("c", "1001", 0, 50, "x"), charged("d", "1001", 0, 50, "y")])
    assert charge_claims(models) == {"c": "1001", "d": "1001#2"}
    replaced = [sent("a", "A1"), sent("r", "A1R", on=30, kind="7", replaces="ICN1")]
    build(models, replaced, [decided("denied", "A1", control="ICN1")], [charged("c", "A1R")])
    assert charge_claims(models) == {"c": "A1"}


@dataclass
class World:
    """Claims made by plain code: what belongs together is known because it was made together."""

    submissions: list[Row] = field(default_factory=list)
    answers: list[tuple[Row, Row]] = field(default_factory=list)
    truth: dict[str, int] = field(default_factory=dict)
    billed: dict[int, int] = field(default_factory=dict)

    def claim(self, plan: "Plan", number: str, name: int) -> None:
        day, npi = plan.day, plan.npi
        control = None
        sent_at = 1
        for step, link in enumerate(plan.links):
            own = number if link.same_number or step == 0 else f"{number}-{name}-{step}"
            amount = plan.amount + (0 if step == 0 else link.changed_by)
            record = f"s{name}-{step}"
            kind = "1" if step == 0 else "8" if link.is_void else "7"
            token = f"patient {plan.patient}"
            self.submissions.append(
                sent(
                    record,
                    own,
                    day,
                    amount,
                    on=sent_at,
                    kind=kind,
                    replaces=control,
                    npi=npi,
                    patient_match_token=token,
                )
            )
            self.truth[record] = name
            self.billed[name] = 0 if link.is_void else amount
            if link.is_sent_again and not link.is_void:
                again = self.submissions[-1] | {"claim_submission_id": f"{record}-again"}
                again["submitted_at"] = self.submissions[-1]["submitted_at"] + timedelta(days=2)  # type: ignore[operator]
                self.submissions.append(again)
                self.truth[f"{record}-again"] = name
            control = f"ICN{name}-{step}"
            answer = f"d{name}-{step}"
            status = "22" if link.is_void else "4" if link.is_denied else "1"
            decision = decided(answer, own, day, amount, on=sent_at + 10, control=control, status=status, payee=npi)
            self.answers.append(decision)
            self.truth[answer] = name
            sent_at += 30
            if link.is_void:
                return


@dataclass(frozen=True)
class Link:
    """One step of a chain; of the first, only what concerns its answer counts."""

    same_number: bool
    is_void: bool
    is_denied: bool
    is_sent_again: bool
    changed_by: int


@dataclass(frozen=True)
class Plan:
    number: str
    day: int
    amount: int
    npi: str
    patient: int
    links: tuple[Link, ...]


LINKS = st.builds(
    Link,
    same_number=st.booleans(),
    is_void=st.booleans(),
    is_denied=st.booleans(),
    is_sent_again=st.booleans(),
    changed_by=st.sampled_from([0, -1, 1]),
)
PLANS = st.builds(
    Plan,
    number=st.sampled_from(["ACCT", "1001"]),
    day=st.sampled_from([0, 31, 62]),
    amount=st.sampled_from([100, 250]),
    npi=st.sampled_from([NORTH, SOUTH]),
    patient=st.sampled_from([1, 2]),
    links=st.tuples(
        LINKS.map(lambda link: Link(True, False, link.is_denied, link.is_sent_again, 0)), LINKS, LINKS
    ).flatmap(lambda links: st.integers(1, 3).map(lambda size: links[:size])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plans=st.lists(PLANS, min_size=1, max_size=5, unique_by=lambda plan: (plan.number, plan.day, plan.npi)),
    chance=st.randoms(use_true_random=False),
)
def test_random_chains_come_back_as_they_were_made(models: Models, plans: list[Plan], chance: Random) -> None:
    world = World()
    for name, plan in enumerate(plans):
        world.claim(plan, plan.number, name)
    chance.shuffle(world.submissions)
    chance.shuffle(world.answers)
    build(models, world.submissions, world.answers)
    found = claims_of(models) | {name: claim for name, (claim, _) in matches(models).items()}
    assert found.keys() == world.truth.keys()
    claim_of_name = {world.truth[record]: claim for record, claim in found.items()}
    assert {record: claim_of_name[name] for record, name in world.truth.items()} == found
    assert len(set(claim_of_name.values())) == len(plans), "no two claims became one"
    assert billed(models) == {claim_of_name[name]: amount for name, amount in world.billed.items()}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans=st.lists(PLANS, min_size=2, max_size=6), chance=st.randoms(use_true_random=False))
def test_what_looks_alike_is_never_put_on_another_patients_claim(
    models: Models, plans: list[Plan], chance: Random
) -> None:
    """Claims may agree in all but the patient, whom no 835 names here: it is then shown as ambiguous."""
    plans = list({(plan.number, plan.day, plan.amount, plan.npi, plan.patient): plan for plan in plans}.values())
    world = World()
    for name, plan in enumerate(plans):
        first = Plan(plan.number, plan.day, plan.amount, plan.npi, plan.patient, plan.links[:1])
        world.claim(first, plan.number, name)
    chance.shuffle(world.answers)
    build(models, world.submissions, world.answers)
    submitted = claims_of(models)
    assert len(set(submitted.values())) == len(plans)
    likes = [(plan.number, plan.day, plan.amount, plan.npi) for plan in plans]
    for record, (claim, method) in matches(models).items():
        name = world.truth[record]
        if likes.count(likes[name]) == 1:
            assert claim == submitted[f"s{name}-0"]
        else:
            assert (claim, method) == (None, "ambiguous")
