"""Money of claim payments on the lines of a claim: on the claim or on lines, of one payer or of three, in pairs of reasons.

The truth of the random adjudications is worked out in whole cents while they are drawn, and shares nothing with the models.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models
from tests.marts.remittance_money import (
    MODELS,
    TABLES,
    Claim,
    Decision,
    Service,
    adjudicated_allowed,
    balances,
    patient_due,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*MODELS), TABLES)


def primary(charge: int = 20000, paid: int = 8000, off: int = 10000, status: str = "1") -> Decision:
    """The primary payer pays 80 of 200, takes 100 off and leaves 20 to the patient."""
    left = charge - paid - off
    reasons = (("CO-45", off), ("PR-2", left)) if left else (("CO-45", off),)
    return Decision("1", "P1", 10, status, charge, paid, services=(Service(0, charge, paid, reasons),))


def later(name: str, status: str, paid: int, *reasons: tuple[str, int], payer: str = "P2", day: int = 40) -> Decision:
    return Decision(name, payer, day, status, 20000, paid, services=(Service(0, 20000, paid, reasons),))


@pytest.mark.parametrize(
    ("reasons", "paid", "contractual", "still_open"),
    [
        # What was posted is stated again beside reason 23.
        ((("CO-45", 10000), ("OA-23", 8000)), 2000, 10000, 0),
        # Without reason 23.
        ((("CO-45", 18500),), 1500, 10500, 0),
        # As the guide asks: reason 23 holds payments and reductions of the payers before.
        ((("CO-45", 400), ("OA-23", 18000)), 1000, 10400, 600),
        ((("OA-23", 18000), ("PR-2", 500)), 1500, 10000, 500),
        # The later payer's contract allows less than was paid: all that was open goes.
        ((("CO-45", 20000),), 0, 12000, 0),
        # A denial leaves open what it denies.
        ((("CO-45", 10000), ("CO-50", 10000)), 0, 10000, 2000),
    ],
)
def test_a_later_payers_contractual_amount_counts_for_what_is_not_posted(
    models: Models, reasons: Sequence[tuple[str, int]], paid: int, contractual: int, still_open: int
) -> None:
    claim = Claim([20000], [primary(), later("2", "2", paid, *reasons)])
    found = balances(models, claim)["K1"]
    assert (found.contractual, found.open) == (contractual, {"K1/0": still_open})


def test_a_later_payer_alone_counts_as_far_as_it_states(models: Models) -> None:
    silent = Claim([20000], [later("2", "2", 1500, ("CO-45", 18500))], name="K1")
    stating = Claim([20000], [later("2", "2", 1000, ("OA-23", 18000), ("CO-45", 400), ("PR-2", 600))], name="K2")
    found = balances(models, silent, stating)
    assert (found["K1"].contractual, found["K1"].open) == (18500, {"K1/0": 0})
    assert (found["K2"].contractual, found["K2"].open) == (400, {"K2/0": 18600})


def test_a_reversal_of_a_later_payer_takes_back_what_counted(models: Models) -> None:
    wrong = later("2", "2", 1500, ("CO-45", 18500))
    back = wrong.reversed("3", 50)
    right = later("4", "2", 1200, ("CO-45", 18300), ("PR-2", 500), day=50)
    found = balances(
        models,
        Claim([20000], [primary(), wrong, back], name="K1"),
        Claim([20000], [primary(), wrong, back, right], name="K2"),
    )
    assert (found["K1"].contractual, found["K1"].open) == (10000, {"K1/0": 2000})
    assert (found["K2"].contractual, found["K2"].open) == (10300, {"K2/0": 500})


def test_money_on_the_claim_is_spread_over_its_lines_to_the_cent(models: Models) -> None:
    claim = Claim(
        [10001, 20000, 3333], [Decision("1", "P1", 10, "1", 33334, 20000, (("CO-45", 10000), ("PR-1", 3334)))]
    )
    found = balances(models, claim)["K1"]
    assert found.open == {"K1/0": 1001, "K1/1": 2000, "K1/2": 333}
    assert (found.paid, found.contractual) == (20000, 10000)
    assert patient_due(models) == found.open


def test_what_is_allowed_of_the_claim_is_allowed_of_its_lines(models: Models) -> None:
    by_case = Decision("1", "P1", 10, "1", 30000, 15000, (("CO-45", 12000), ("PR-1", 3000)))
    split = Decision(
        "1", "P1", 10, "1", 10000, 8000, services=(Service(0, 6000, 5000), Service(0, 4000, 3000, (("CO-45", 1000),)))
    )
    balances(models, Claim([10000, 20000], [by_case], "K1"), Claim([10000], [split], "K2"))
    assert adjudicated_allowed(models) == {"K1/0": 6000, "K1/1": 12000, "K2/0": 8000}


def test_reason_23_on_the_claim_and_on_the_lines_leaves_neither_debit_nor_credit(models: Models) -> None:
    first = Decision(
        "1",
        "P1",
        10,
        "1",
        22000,
        6400,
        services=(
            Service(0, 18000, 4800, (("CO-45", 12000), ("PR-2", 1200))),
            Service(1, 4000, 1600, (("CO-45", 2000), ("PR-2", 400))),
        ),
    )
    second = Decision(
        "2",
        "P2",
        40,
        "2",
        22000,
        1600,
        (("OA-23", 6400),),
        (Service(0, 18000, 6000, (("OA-23", 12000),)), Service(1, 4000, 2000, (("OA-23", 2000),))),
    )
    found = balances(models, Claim([18000, 4000], [first, second]))["K1"]
    assert found.open == {"K1/0": 0, "K1/1": 0}
    assert found.contractual == 14000


def test_a_claim_that_is_paid_beyond_its_charge_has_its_credit_on_one_line(models: Models) -> None:
    found = balances(models, Claim([10000, 5000], [Decision("1", "P1", 10, "1", 15000, 16000)]))["K1"]
    assert found.open == {"K1/0": -1000, "K1/1": 0}


def test_a_patients_payment_for_the_claim_goes_to_what_is_open(models: Models) -> None:
    decision = Decision(
        "1",
        "P1",
        10,
        "1",
        30000,
        28000,
        services=(Service(0, 10000, 10000), Service(1, 20000, 18000, (("PR-1", 2000),))),
    )
    assert balances(models, Claim([10000, 20000], [decision], patient_payments=[(20, 1500)]))["K1"].open == {
        "K1/0": 0,
        "K1/1": 500,
    }


def test_the_payer_that_decided_last_says_what_the_patient_owes(models: Models) -> None:
    second = later("2", "2", 500, ("OA-23", 18000), ("PR-2", 1500))
    third = later("3", "3", 1000, ("OA-23", 18500), ("PR-2", 200), ("OA-18", 300), payer="P3", day=60)
    balances(models, Claim([20000], [primary(), second, third]))
    assert patient_due(models) == {"K1/0": 200}
    balances(models, Claim([20000], [primary(), second, second.reversed("4", 50)]))
    assert patient_due(models) == {"K1/0": 2000}


def denials(models: Models) -> dict[str, bool]:
    """Reason to whether it counts as a denial, of what was built last."""
    rows = models.rows("int_remittance_adjustments", "group_code || '-' || reason_code", "counts_as_denial")
    return dict(rows)


def bundle(*services: Service, paid: int) -> Claim:
    charges = [service.billed for service in services]
    return Claim(charges, [Decision("1", "P1", 10, "1", sum(charges), paid, services=services)])


def test_a_pair_of_reasons_over_two_lines_nets_to_nothing(models: Models) -> None:
    excess = Service(0, 10000, 12000, (("CO-94", -5000), ("CO-45", 3000)), "C9")
    claim = bundle(excess, Service(1, 5000, 0, (("CO-97", 5000),), "C9"), paid=12000)
    found = balances(models, claim)["K1"]
    assert (found.contractual, found.open) == (3000, {"K1/0": 0, "K1/1": 0})
    assert denials(models) == {"CO-94": False, "CO-45": False, "CO-97": False}
    back = Claim(claim.charges, [*claim.decisions, claim.decisions[0].reversed("2", 30)])
    found = balances(models, back)["K1"]
    assert (found.contractual, found.open) == (0, {"K1/0": 10000, "K1/1": 5000})


def test_a_lone_reason_of_a_pair_stays_a_denial(models: Models) -> None:
    claim = bundle(Service(0, 10000, 7000, (("CO-45", 3000),)), Service(1, 5000, 0, (("CO-97", 5000),)), paid=7000)
    found = balances(models, claim)["K1"]
    assert (found.contractual, found.open) == (3000, {"K1/0": 0, "K1/1": 5000})
    assert denials(models) == {"CO-45": False, "CO-97": True}


def test_of_two_lines_the_one_with_the_same_adjudicated_code_is_the_pair(models: Models) -> None:
    claim = bundle(
        Service(0, 5000, 0, (("CO-97", 5000),)),
        Service(1, 10000, 12000, (("CO-94", -5000), ("CO-45", 3000)), "C9"),
        Service(2, 5000, 0, (("CO-97", 5000),), "C9"),
        paid=12000,
    )
    found = balances(models, claim)["K1"]
    assert (found.contractual, found.open) == (3000, {"K1/0": 5000, "K1/1": 0, "K1/2": 0})


def test_a_payment_above_the_charge_by_reason_45_is_the_other_side_too(models: Models) -> None:
    claim = bundle(Service(0, 10000, 13000, (("CO-45", -3000),)), Service(1, 5000, 0, (("CO-97", 5000),)), paid=13000)
    found = balances(models, claim)["K1"]
    assert (found.contractual, found.open) == (0, {"K1/0": 0, "K1/1": 2000})


def sequences(models: Models, claim: Claim) -> dict[str, int]:
    balances(models, claim)
    return {
        name.split("/")[1]: order
        for name, order in models.rows("int_payer_sequences", "remittance_claim_id", "payer_sequence")
    }


def answer(
    name: str, payer: str, day: int, status: str, *reasons: tuple[str, int], number: str | None = None
) -> Decision:
    return Decision(name, payer, day, status, 20000, 0, reasons, control_number=number)


PRIOR = ("OA-23", 18000)


@pytest.mark.parametrize(
    ("submissions", "decisions", "order"),
    [
        # A denial of the only payer is the primary payer's, whether an 837 names it or not.
        ({}, [answer("a", "P1", 10, "4")], {"a": 1}),
        ({"P1": "secondary"}, [answer("a", "P1", 10, "4")], {"a": 2}),
        # The primary payer forwarded the claim; no 837 names the next one.
        ({"P1": "primary"}, [answer("a", "P1", 10, "19"), answer("b", "P2", 10, "4")], {"a": 1, "b": 2}),
        ({}, [answer("a", "P1", 30, "19"), answer("b", "P2", 10, "4")], {"a": 1, "b": 2}),
        # Reason 23 proves a payer before it, whose decision may come later or never.
        ({}, [answer("a", "P1", 30, "1"), answer("b", "P2", 10, "4", PRIOR)], {"a": 1, "b": 2}),
        ({}, [answer("b", "P2", 10, "4", PRIOR)], {"b": 2}),
        # Who denied before the primary payer decided was asked first.
        ({}, [answer("a", "P1", 30, "1"), answer("b", "P2", 10, "4")], {"a": 1, "b": 1}),
        ({}, [answer("a", "P1", 10, "1"), answer("b", "P2", 30, "4")], {"a": 1, "b": 2}),
        # A third payer, and one that the claim was sent to by mistake.
        (
            {},
            [answer("a", "P1", 10, "19"), answer("b", "P2", 20, "20"), answer("c", "P3", 30, "4")],
            {"a": 1, "b": 2, "c": 3},
        ),
        ({"P1": "primary"}, [answer("a", "P1", 10, "1"), answer("b", "P9", 20, "23")], {"a": 1, "b": 2}),
        # A payer states primary whenever it pays.
        ({}, [answer("a", "P1", 10, "1"), answer("b", "P2", 20, "1", PRIOR)], {"a": 1, "b": 2}),
        ({}, [answer("b", "P2", 20, "1", PRIOR)], {"b": 1}),
        # The same payer decided as secondary and, after it was found to be the first, as primary.
        (
            {},
            [
                answer("a", "P1", 10, "1"),
                answer("b", "P2", 20, "2", number="N1"),
                answer("c", "P2", 40, "22", number="N1"),
                answer("d", "P2", 40, "1", number="N2"),
                answer("e", "P2", 21, "4"),
            ],
            {"a": 1, "b": 2, "c": 2, "d": 1, "e": 2},
        ),
    ],
)
def test_the_order_of_payers_comes_from_what_is_known(
    models: Models, submissions: dict[str, str], decisions: list[Decision], order: dict[str, int]
) -> None:
    assert sequences(models, Claim([20000], decisions, submissions=submissions)) == order


@dataclass
class Truth:
    """What is true of a claim, in cents: what is open on each line after all payers, what was paid and taken off."""

    open: list[int]
    paid: int = 0
    contractual: int = 0


LEVELS = st.sampled_from(["line", "line", "claim", "adjustments on the claim", "payments before on both"])
STYLES = st.sampled_from(["all that came before", "payments before", "nothing"])


def stated(style: str, before: tuple[int, int], off: int) -> dict[str, int]:
    """What a payer states as contractual and by reason 23, where payments and reductions came before it."""
    paid_before, off_before = before
    if style == "all that came before":
        return {"CO-45": off, "OA-23": paid_before + off_before}
    if style == "payments before":
        return {"CO-45": off_before + off, "OA-23": paid_before}
    return {"CO-45": paid_before + off_before + off}


def rendered(
    level: str, name: str, payer: int, day: int, status: str, lines: list[tuple[int, int, dict[str, int], int]]
) -> Decision:
    """A decision of lines (charge, paid, reasons, paid before), with its amounts on the claim or on the lines."""
    charge, paid = sum(line[0] for line in lines), sum(line[1] for line in lines)
    number = f"N{name}"

    def reasons(amounts: dict[str, int]) -> tuple[tuple[str, int], ...]:
        return tuple((reason, cents) for reason, cents in amounts.items() if cents)

    together: dict[str, int] = {}
    for _, _, amounts, _ in lines:
        for reason, cents in amounts.items():
            together[reason] = together.get(reason, 0) + cents
    if level == "claim":
        return Decision(name, f"P{payer}", day, status, charge, paid, reasons(together), control_number=number)
    on_claim: dict[str, int] = {}
    services = []
    for place, (line_charge, line_paid, amounts, paid_before) in enumerate(lines):
        if level == "adjustments on the claim":
            services.append(Service(place, line_charge, line_paid))
        elif level == "payments before on both" and amounts.get("OA-23", 0) >= paid_before > 0:
            on_line = {**amounts, "OA-23": amounts["OA-23"] - paid_before}
            on_claim["OA-23"] = on_claim.get("OA-23", 0) + paid_before
            services.append(Service(place, line_charge, line_paid + paid_before, reasons(on_line)))
        else:
            services.append(Service(place, line_charge, line_paid, reasons(amounts)))
    if level == "adjustments on the claim":
        on_claim = together
    return Decision(name, f"P{payer}", day, status, charge, paid, reasons(on_claim), tuple(services), number)


@st.composite
def adjudications(draw: st.DrawFn) -> tuple[Claim, Truth]:
    """A claim of one to four lines that one to three payers decide, some of them twice, and its truth."""
    charges = draw(st.lists(st.integers(100, 90000), min_size=1, max_size=4))
    truth = Truth(list(charges))
    paid_before, off_before = [0] * len(charges), [0] * len(charges)
    decisions: list[Decision] = []
    for payer in range(1, draw(st.integers(1, 3)) + 1):
        level, style = draw(LEVELS), "all that came before" if payer == 1 else draw(STYLES)
        is_repeated = draw(st.booleans()) and draw(st.booleans())
        status = str(draw(st.sampled_from([payer, 18 + payer])))
        for turn in range(2 if is_repeated else 1):
            lines, results = [], []
            for place, charge in enumerate(charges):
                paid = draw(st.integers(0, truth.open[place]))
                off = draw(st.integers(0, truth.open[place] - paid))
                left = truth.open[place] - paid - off
                reason = draw(st.sampled_from(["PR-2", "PR-1", "CO-50"]))
                amounts = stated(style, (paid_before[place], off_before[place]), off) | {reason: left}
                lines.append((charge, paid, amounts, paid_before[place]))
                results.append((paid, off, left))
            day = payer * 30 + turn * 9
            decisions.append(rendered(level, f"{payer}{turn}", payer, day, status, lines))
            if is_repeated and turn == 0:
                decisions.append(decisions[-1].reversed(f"{payer}r", day + 9))
        for place, (paid, off, left) in enumerate(results):
            paid_before[place] += paid
            off_before[place] += off
            truth.open[place] = left
            truth.paid += paid
            truth.contractual += off
    shuffled = draw(st.permutations(decisions))
    return Claim(charges, shuffled), truth


@settings(
    max_examples=20,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=st.lists(adjudications(), min_size=1, max_size=12))
def test_random_adjudications_leave_what_is_true(models: Models, drawn: list[tuple[Claim, Truth]]) -> None:
    claims = [Claim(claim.charges, claim.decisions, f"K{n}") for n, (claim, _) in enumerate(drawn)]
    found = balances(models, *claims)
    for claim, (_, truth) in zip(claims, drawn, strict=True):
        balance = found[claim.name]
        assert (balance.paid, balance.contractual) == (truth.paid, truth.contractual)
        assert sum(balance.open.values()) == sum(truth.open)
        # No credit, and no line that holds more than its charge.
        assert [cents for cents in balance.open.values() if cents < 0] == []
        assert len(balance.open) == len(claim.charges)
        if all(len(decision.services) == len(claim.charges) and not decision.reasons for decision in claim.decisions):
            assert list(balance.open.values()) == truth.open
