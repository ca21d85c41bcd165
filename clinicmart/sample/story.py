"""One tenant of the sample, drawn from start to end: what every writer and the truths read."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from clinicmart.sample.adjudication import Adjudicator, Remittances, Submissions
from clinicmart.sample.balances import Balances, settle
from clinicmart.sample.catalogue import MEDICARE, TenantSpec
from clinicmart.sample.charges import Charges, Claims, draw_charges, draw_claims
from clinicmart.sample.clock import Calendar, Zones
from clinicmart.sample.inpatient import Stays, draw_stays
from clinicmart.sample.people import People, draw_people
from clinicmart.sample.structure import Group, build_group
from clinicmart.sample.text import numbers
from clinicmart.sample.transactions import Transactions, draw_transactions
from clinicmart.sample.visits import Appointments, Encounters, draw_appointments, draw_encounters

STAGES = (
    "group",
    "people",
    "appointments",
    "encounters",
    "stays",
    "charges",
    "claims",
    "payers",
    "patients",
    "payments",
    "access",
)


@dataclass(kw_only=True)
class Story:
    """All arrays of a tenant, and the ids as text (`appointment_ids[i]` belongs to element i of `appointments`)."""

    seed: int
    index: int
    group: Group
    calendar: Calendar
    zones: Zones
    people: People
    appointments: Appointments
    encounters: Encounters
    stays: Stays
    charges: Charges
    claims: Claims
    remits: Remittances
    submissions: Submissions
    transactions: Transactions
    balances: Balances

    def __post_init__(self) -> None:
        self.appointment_ids = "A" + numbers(np.arange(1, len(self.appointments) + 1), 7)
        self.encounter_ids = "V" + numbers(np.arange(1, len(self.encounters) + 1), 7)
        self.stay_ids = "S" + numbers(np.arange(1, len(self.stays) + 1), 7)
        self.charge_ids = "C" + numbers(np.arange(1, len(self.charges) + 1), 8)
        self.claim_ids = "K" + numbers(np.arange(1, len(self.claims) + 1), 7)

    def rng(self, stage: str) -> np.random.Generator:
        """The stream of random numbers of one stage, apart from all others."""
        return random_stream(self.seed, self.index, stage)

    def control_numbers(self, claim: np.ndarray, payer: np.ndarray, submission: np.ndarray) -> pl.Series:
        """The payers' own claim numbers (CLP07)."""
        payers = pl.Series(self.group.electronic_ids).gather(payer)
        return payers + numbers(claim + 1, 8) + numbers(submission)


def random_stream(seed: int, tenant_index: int, stage: str) -> np.random.Generator:
    """Independent of the other tenants and stages."""
    place = STAGES.index(stage) if stage in STAGES else sum(stage.encode())
    return np.random.default_rng([seed, tenant_index, place])


def tell(seed: int, index: int, tenant: TenantSpec, calendar: Calendar, appointments: int) -> Story:
    """Draws one tenant."""

    def rng(stage: str) -> np.random.Generator:
        return random_stream(seed, index, stage)

    group = build_group(tenant, index, rng("group"), appointments, calendar)
    zones = Zones(group.zones, calendar)
    people = draw_people(rng("people"), calendar, appointments)
    booked = draw_appointments(rng("appointments"), group, people, calendar, zones, appointments)
    visits = draw_encounters(rng("encounters"), booked)
    stays = draw_stays(rng("stays"), group, people, calendar, zones)
    charges = draw_charges(rng("charges"), group, booked, visits, calendar, zones)
    secondary = np.where(booked.payer == MEDICARE, people.secondary[booked.patient], -1)
    claims = draw_claims(rng("claims"), charges, booked, visits, secondary, calendar, zones)
    adjudicator = Adjudicator(
        rng=rng("payers"),
        group=group,
        charges=charges,
        claims=claims,
        line_of_claim=group.clinic_line[booked.clinic[visits.appointment[claims.encounter]]],
        calendar=calendar,
    )
    remits, submissions = adjudicator.run()
    transactions = draw_transactions(rng("payments"), group, calendar, remits)
    balances = settle(rng("patients"), charges, remits, booked, visits, calendar)
    return Story(
        seed=seed,
        index=index,
        group=group,
        calendar=calendar,
        zones=zones,
        people=people,
        appointments=booked,
        encounters=visits,
        stays=stays,
        charges=charges,
        claims=claims,
        remits=remits,
        submissions=submissions,
        transactions=transactions,
        balances=balances,
    )
