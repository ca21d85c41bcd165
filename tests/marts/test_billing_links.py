"""Which lines of several feeds are one service: the compiled models on hard visits, and on random ones against plain code."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models

pytestmark = pytest.mark.slow

MODELS = ("int_billing_lines", "int_billing_visits", "int_billing_matches", "int_billing_links", "implausible_billing")
TABLES = {
    "intermediate.int_charges": (
        "tenant_id varchar, charge_id varchar, encounter_id varchar, claim_id varchar, line_control_number varchar, "
        "patient_id varchar, procedure_code varchar, modifiers varchar, revenue_code varchar, reversal_of_charge_id varchar, "
        "status varchar, billed_amount decimal(18,4), service_date date, source_system varchar, source_position varchar"
    ),
    "intermediate.int_claims": (
        "tenant_id varchar, claim_id varchar, claim_number varchar, encounter_id varchar, patient_id varchar, "
        "service_from_date date, service_to_date date, current_submission_id varchar, source_system varchar, "
        "source_position varchar, is_void boolean, billed_amount decimal(18,4)"
    ),
    "staging.stg_claim_lines": (
        "tenant_id varchar, source_system varchar, claim_submission_id varchar, claim_id varchar, line_number bigint, "
        "line_control_number varchar, charge_id varchar, encounter_id varchar, procedure_code varchar, modifiers varchar, "
        "revenue_code varchar, billed_amount decimal(18,4), service_date date, source_position varchar"
    ),
    "staging.stg_system_of_record": "tenant_id varchar, entity varchar, source_system varchar, precedence integer",
    "intermediate.int_billed_encounters": "tenant_id varchar, encounter_id varchar, current_encounter_id varchar",
}
FIRST = date(2026, 3, 2)


@dataclass(frozen=True)
class Charge:
    """A charge; `day` counts from the first."""

    name: str
    amount: int = 200
    code: str = "99213"
    day: int = 0
    feed: str = "dft"
    visit: str | None = "V1"
    claim: str | None = None
    patient: str | None = "P1"
    modifiers: str | None = None
    number: str | None = None
    takes_back: str | None = None

    def row(self) -> dict[str, object]:
        return {
            "tenant_id": "t",
            "charge_id": self.name,
            "encounter_id": self.visit,
            "claim_id": self.claim,
            "line_control_number": self.number,
            "patient_id": self.patient,
            "procedure_code": self.code,
            "modifiers": self.modifiers,
            "reversal_of_charge_id": self.takes_back,
            "status": "posted",
            "billed_amount": self.amount,
            "service_date": FIRST + timedelta(days=self.day),
            "source_system": self.feed,
            "source_position": self.name,
        }


@dataclass(frozen=True)
class Line:
    """A line of a claim; `day` None is a line without a day."""

    amount: int = 200
    code: str | None = "99213"
    day: int | None = 0
    modifiers: str | None = None
    number: str | None = None
    charge: str | None = None


@dataclass(frozen=True)
class Claim:
    """A claim and its lines; `gap` is what it bills beyond them."""

    name: str
    lines: tuple[Line, ...] = (Line(),)
    feed: str = "837"
    visit: str | None = None
    patient: str | None = None
    gap: int = 0
    days: tuple[int, int] = (0, 0)

    def row(self) -> dict[str, object]:
        return {
            "tenant_id": "t",
            "claim_id": self.name,
            "claim_number": self.name,
            "encounter_id": self.visit,
            "patient_id": self.patient,
            "service_from_date": FIRST + timedelta(days=self.days[0]),
            "service_to_date": FIRST + timedelta(days=self.days[1]),
            "current_submission_id": f"S-{self.name}",
            "source_system": self.feed,
            "source_position": self.name,
            "is_void": False,
            "billed_amount": sum(line.amount for line in self.lines) + self.gap,
        }

    def line_rows(self) -> list[dict[str, object]]:
        return [
            {
                "tenant_id": "t",
                "source_system": self.feed,
                "claim_submission_id": f"S-{self.name}",
                "claim_id": self.name,
                "line_number": place,
                "line_control_number": line.number,
                "charge_id": line.charge,
                "procedure_code": line.code,
                "modifiers": line.modifiers,
                "billed_amount": line.amount,
                "service_date": None if line.day is None else FIRST + timedelta(days=line.day),
                "source_position": f"{self.name} {place}",
            }
            for place, line in enumerate(self.lines, start=1)
        ]


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*MODELS), TABLES)


def counted(
    models: Models, charges: Sequence[Charge], claims: Sequence[Claim], feeds: Sequence[str] = ("dft", "837")
) -> tuple[dict[str, Decimal], dict[str, str | None]]:
    """Line to its amount of all lines that count, and counted charge to its claim."""
    models.build(
        {
            "staging.stg_system_of_record": [
                {"tenant_id": "t", "entity": entity, "source_system": feed, "precedence": rank}
                for rank, feed in enumerate(feeds, start=1)
                for entity in ("charge", "claim")
            ],
            "intermediate.int_charges": [charge.row() for charge in charges],
            "intermediate.int_claims": [claim.row() for claim in claims],
            "staging.stg_claim_lines": [row for claim in claims for row in claim.line_rows()],
        }
    )
    links = {row[0]: row[1:] for row in models.rows("int_billing_links", "line_id", "counted_line_id", "claim_id")}
    lines = {f"charge/{charge.name}": Decimal(charge.amount) for charge in charges}
    charged = {charge.claim for charge in charges}
    for claim in claims:
        if claim.name not in charged:
            lines |= {f"claim_line/{claim.name}/{n}": Decimal(x.amount) for n, x in enumerate(claim.lines, start=1)}
            lines |= {f"claim/{claim.name}": Decimal(claim.gap)} if claim.gap else {}
    told = {line for line, (instead, _) in links.items() if instead is not None}
    # Money that is posted to a line that does not count goes to the one that does.
    assert {instead for instead, _ in links.values() if instead is not None} <= set(lines) - told
    counts = {line: amount for line, amount in lines.items() if line not in told}
    own = {f"charge/{charge.name}": charge.claim for charge in charges}
    on_claims = {line: own[line] or links.get(line, (None, None))[1] for line in counts if line in own}
    return counts, on_claims


def test_a_charge_and_the_claim_of_its_visit_number_count_once_and_the_charge_is_on_the_claim(models: Models) -> None:
    lines, on_claims = counted(models, [Charge("T1", visit="A1")], [Claim("A1")])
    assert lines == {"charge/T1": 200}
    assert on_claims == {"charge/T1": "A1"}


def test_the_record_decides_which_feed_counts(models: Models) -> None:
    lines, _ = counted(models, [Charge("T1", visit="A1")], [Claim("A1")], feeds=("837", "dft"))
    assert lines == {"claim_line/A1/1": 200}


def test_a_claim_that_names_the_visit_counts_once_whatever_its_number(models: Models) -> None:
    lines, on_claims = counted(
        models, [Charge("T1")], [Claim("C9", feed="fhir", visit="V1", patient="P1")], ("dft", "fhir")
    )
    assert lines == {"charge/T1": 200}
    assert on_claims == {"charge/T1": "C9"}


def test_without_a_number_patient_day_code_and_amount_make_one_service(models: Models) -> None:
    claims = [Claim("C9", (Line(), Line()), feed="fhir", visit="E7", patient="P1")]
    lines, on_claims = counted(models, [Charge("T1"), Charge("T2"), Charge("T3", amount=90)], claims, ("dft", "fhir"))
    assert set(lines) == {"charge/T1", "charge/T2", "charge/T3"}
    assert on_claims == {"charge/T1": "C9", "charge/T2": "C9", "charge/T3": None}
    other = [replace(claims[0], patient="P2")]
    assert len(counted(models, [Charge("T1"), Charge("T2")], other, ("dft", "fhir"))[0]) == 4


def test_the_same_number_of_another_patient_or_of_other_days_is_another_visit(models: Models) -> None:
    assert len(counted(models, [Charge("T1", visit="A1")], [Claim("A1", patient="P2")])[0]) == 2
    late = Claim("A1", (Line(day=90),), days=(90, 90))
    assert len(counted(models, [Charge("T1", visit="A1")], [late])[0]) == 2


@pytest.mark.parametrize(
    "line",
    [
        Line(modifiers="25"),
        Line(amount=180),
        Line(code="99214", number="T1"),
        Line(day=1),
        Line(code="99214", amount=250),
    ],
    ids=["modifier", "price", "line number", "next day", "coded again"],
)
def test_a_line_that_differs_within_one_visit_is_the_same_service(models: Models, line: Line) -> None:
    assert counted(models, [Charge("T1", visit="A1")], [Claim("A1", (line,), days=(0, 1))])[0] == {"charge/T1": 200}


def test_units_on_one_line_are_the_charges_they_were_put_together_from(models: Models) -> None:
    charges = [Charge("T1", 50, "J1", visit="A1"), Charge("T2", 50, "J1", visit="A1")]
    claim = Claim("A1", (Line(100, "J1"),))
    assert counted(models, charges, [claim])[0] == {"charge/T1": 50, "charge/T2": 50}
    assert counted(models, charges, [claim], ("837", "dft"))[0] == {"claim_line/A1/1": 100}


def test_what_only_the_claim_bills_counts_beside_the_charges_and_the_other_way_round(models: Models) -> None:
    claim = Claim("A1", (Line(), Line(75, "80053")))
    lines, _ = counted(models, [Charge("T1", visit="A1")], [claim])
    assert lines == {"charge/T1": 200, "claim_line/A1/2": 75}
    charges = [Charge("T1", visit="A1"), Charge("T2", 75, "80053", visit="A1")]
    lines, on_claims = counted(models, charges, [Claim("A1")], ("837", "dft"))
    assert lines == {"claim_line/A1/1": 200, "charge/T2": 75}
    assert on_claims == {"charge/T2": None}


def test_an_institutional_claim_without_days_or_codes_is_the_charges_of_its_stay(models: Models) -> None:
    charges = [Charge(f"T{n}", 100, f"A{n}", day=n, visit="A1") for n in range(5)]
    claim = Claim("A1", (Line(300, "0450", day=None), Line(200, "0250", day=None)), days=(0, 4))
    lines, on_claims = counted(models, charges, [claim])
    assert sum(lines.values()) == 500
    assert set(on_claims.values()) == {"A1"}
    assert sum(counted(models, charges, [claim], ("837", "dft"))[0].values()) == 500
    # A claim that bills a total and no line.
    total = Claim("A1", (), gap=500, days=(0, 4))
    assert sum(counted(models, charges, [total])[0].values()) == 500
    assert counted(models, charges, [total], ("837", "dft"))[0] == {"claim/A1": 500}


def test_a_charge_that_was_taken_back_and_posted_anew_counts_with_its_credit(models: Models) -> None:
    charges = [
        Charge("T1", visit="A1"),
        Charge("T1-CR", -200, visit="A1", takes_back="T1"),
        Charge("T2", 250, "99214", visit="A1"),
    ]
    claim = Claim("A1", (Line(250, "99214"),))
    assert sum(counted(models, charges, [claim])[0].values()) == 250
    assert sum(counted(models, charges, [claim], ("837", "dft"))[0].values()) == 250


def test_one_number_for_a_series_of_visits_is_compared_day_by_day(models: Models) -> None:
    charges = [Charge(f"T{n}", day=7 * n, visit="A1") for n in range(4)]
    claim = Claim("A1", (Line(day=0), Line(day=7), Line(60, "97110", day=7)), days=(0, 27))
    lines, _ = counted(models, charges, [claim])
    assert set(lines) == {f"charge/T{n}" for n in range(4)} | {"claim_line/A1/3"}


def test_three_feeds_of_one_visit_count_once(models: Models) -> None:
    feeds = ("pm", "dft", "837")
    charges = [Charge("P1", feed="pm", visit=None), Charge("T1", visit="A1"), Charge("T2", 30, "36415", visit="A1")]
    claim = Claim("A1", (Line(), Line(30, "36415"), Line(40, "81002")))
    lines, on_claims = counted(models, charges, [claim], feeds)
    assert lines == {"charge/P1": 200, "charge/T2": 30, "claim_line/A1/3": 40}
    assert on_claims == {"charge/P1": "A1", "charge/T2": "A1"}


def test_a_charge_that_names_its_claim_keeps_it_and_the_claims_lines_stay_out(models: Models) -> None:
    charges = [Charge("P1", feed="pm", visit=None, claim="C1"), Charge("T1")]
    lines, on_claims = counted(models, charges, [Claim("C1")], ("pm", "dft", "837"))
    assert lines == {"charge/P1": 200}
    assert on_claims == {"charge/P1": "C1"}


def test_two_feeds_that_nothing_links_both_count_and_are_told(models: Models) -> None:
    lines, _ = counted(models, [Charge("T1", visit="V1")], [Claim("A1")])
    assert set(lines) == {"charge/T1", "claim_line/A1/1"}
    found = models.rows("implausible_billing", "code", "feed", "other_feed", "found_rows", "found_amount")
    assert found == [("CM-PLAUS-001", "837", "dft", 1, Decimal(200))]
    # What is linked, of another day or of a patient whom both feeds know is no doubt.
    for charge, claim in (
        (Charge("T1", visit="A1"), Claim("A1")),
        (Charge("T1"), Claim("A1", (Line(day=3),))),
        (Charge("T1"), Claim("A1", (Line(90),))),
    ):
        counted(models, [charge], [claim])
        assert models.rows("implausible_billing", "code") == []
    counted(models, [Charge("T1"), Charge("T2", code="1", patient="P2")], [Claim("A1", patient="P2")])
    assert models.rows("implausible_billing", "code") == []


@dataclass(frozen=True)
class Visit:
    """What happened in a visit, which feeds bill it, and how each of them names it."""

    services: tuple[tuple[str, int, int], ...]
    feeds: frozenset[str]
    links: dict[str, str]


def _visit() -> st.SearchStrategy[Visit]:
    service = st.tuples(st.sampled_from(["A", "B", "C"]), st.sampled_from([50, 100, 200]), st.integers(0, 2))
    feeds = st.sets(st.sampled_from(["pm", "dft", "fhir", "837"]), min_size=1)
    links = st.fixed_dictionaries(
        {
            "pm": st.sampled_from(["visit", "services", "own claim"]),
            "dft": st.sampled_from(["visit", "services"]),
            "fhir": st.sampled_from(["visit", "claim number", "services"]),
            # An 837 names no patient: it has the visit's number, or nothing links it.
            "837": st.just("claim number"),
        }
    )
    return st.builds(Visit, st.lists(service, min_size=1, max_size=4).map(tuple), feeds.map(frozenset), links)


def _told(number: int, visit: Visit) -> tuple[list[Charge], list[Claim]]:
    """The visit as each of its feeds tells it. Those that nothing but the services link give it different numbers."""
    charges, claims = [], []
    for feed in sorted(visit.feeds):
        link = visit.links[feed]
        name = f"V{number}" if link in ("visit", "own claim") else f"{feed}-{number}"
        if feed in ("pm", "dft"):
            claim = f"V{number}" if link == "own claim" else None
            charges += [
                Charge(f"{feed}{number}-{place}", amount, code, day, feed, None if claim else name, claim, f"P{number}")
                for place, (code, amount, day) in enumerate(visit.services)
            ]
            continue
        lines = tuple(Line(amount, code, day) for code, amount, day in reversed(visit.services))
        claim = f"V{number}" if link == "claim number" else f"{feed}-claim-{number}"
        # A claim that two feeds report under one number is one claim before its lines are compared.
        if claim not in {told.name for told in claims}:
            named = None if link == "claim number" else name
            patient = None if feed == "837" else f"P{number}"
            claims.append(Claim(claim, lines, feed, named, patient, days=(0, 2)))
    return charges, claims


def _is_linked(visit: Visit) -> bool:
    """Whether the 837 of a visit can be linked: it has no patient, so some feed of charges must bear the visit's number."""
    return "837" not in visit.feeds or any(
        feed in visit.feeds and visit.links[feed] in ("visit", "own claim") for feed in ("pm", "dft")
    )


@given(
    visits=st.lists(_visit().filter(_is_linked), min_size=1, max_size=4),
    feeds=st.permutations(["pm", "dft", "fhir", "837"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_service_counts_once_whichever_feeds_bill_it(
    models: Models, visits: list[Visit], feeds: list[str]
) -> None:
    told = [_told(number, visit) for number, visit in enumerate(visits)]
    lines, _ = counted(
        models, [c for charges, _ in told for c in charges], [c for _, claims in told for c in claims], feeds
    )
    assert sum(lines.values()) == sum(amount for visit in visits for _, amount, _ in visit.services)
    assert len(lines) == sum(len(visit.services) for visit in visits)
