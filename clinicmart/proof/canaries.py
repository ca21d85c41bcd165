"""What the proof plants: the feeds of two tenants that share every id, with words that tell where a text came from.

    ZQP...              identity of a patient: names, numbers, addresses. Nobody may meet one
    ZQR...              number of a record: for roles whose identity level is `identified` or `limited`
    ZQO<TENANT>X<WHAT>  organisation: a unit, a provider or a payer of one tenant

Rows, amounts and how many there are differ by tenant and unit, so that a figure says whose rows it was made of.
"""

import re
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

from clinicmart.sample.pm_database import SCHEMA

TENANTS = ("alder", "birch")
AS_OF = date(2026, 10, 31)
CLOSED_MONTH = date(2026, 9, 1)
FIRST_DAY = date(2026, 9, 1)
APPOINTMENTS: Mapping[str, int] = MappingProxyType({"alder": 240, "birch": 180})
PATIENTS = 30
# Parent of each unit, "" for the top. The annex has another id in each tenant.
TREE = (("group", ""), ("east", "group"), ("west", "group"), ("lab", "east"), ("annex", "group"))
PLACES = ("east", "west", "lab", "annex")
PROVIDER_OF: Mapping[str, str] = MappingProxyType({"east": "p1", "lab": "p1", "west": "p2", "annex": "p3"})
PARTNERS = ("partner1", "partner2")
AMOUNTS: Mapping[str, Mapping[str, Decimal]] = MappingProxyType(
    {
        "alder": dict(zip(PLACES, map(Decimal, ("101.17", "103.19", "107.23", "109.29")), strict=True)),
        "birch": dict(zip(PLACES, map(Decimal, ("211.31", "223.37", "227.41", "229.43")), strict=True)),
    }
)
BIRTH_DATE = "1949-02-17"
PHONE = "555-0177"
WORD = re.compile(r"ZQ[OPR][A-Z0-9]+", re.IGNORECASE)
STATUS_OF = ("completed", "completed", "no_show", "completed", "cancelled")
TODAY_A_UNIT = 3
# The moment of the planted live state.
LIVE_AT = datetime(2026, 10, 31, 16, tzinfo=UTC)
VISITED = ("completed", "arrived")
REFUSED_FILE = "refused.hl7"
CHANGED = f"{AS_OF} 20:00:00"


def unit_id(tenant: str, place: str) -> str:
    """The id of a place: equal in both tenants, but for the annex."""
    return f"annex-{tenant}" if place == "annex" else place


def organisation_word(tenant: str, what: str) -> str:
    """The word in the name of a unit, provider or payer."""
    return f"ZQO{tenant}X{what}".upper()


def waiting_at(tenant: str, place: str) -> int:
    """How many patients wait at a place, by the planted live state: another number at each place and tenant."""
    return 1 + PLACES.index(place) + len(PLACES) * TENANTS.index(tenant)


def patient_word(tenant: str, number: int) -> str:
    """The family name of a patient."""
    return f"ZQP{tenant}FAMILY{number:02d}".upper()


@dataclass(frozen=True, kw_only=True)
class Allowed:
    """Which planted words a person may meet. `places` are the units whose names are theirs; empty `tenant`: no word at all."""

    tenant: str = ""
    places: Collection[str] = PLACES
    records: bool = False

    def crossings(self, text: str) -> list[str]:
        """Planted words of a text that the person may not meet, each once."""
        words = {word.upper() for word in WORD.findall(text)}
        wrong = {word for word in words if not self._may(word)}
        wrong |= {plain for plain in (BIRTH_DATE, PHONE) if plain in text}
        return sorted(wrong)

    def _may(self, word: str) -> bool:
        if word.startswith("ZQP"):
            return False
        if word.startswith("ZQR"):
            return self.records
        prefix = organisation_word(self.tenant, "")
        if not self.tenant or not word.startswith(prefix):
            return False
        place = word.removeprefix(prefix).lower()
        return place not in PLACES or place in self.places


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One appointment as it is planted."""

    number: int
    place: str
    provider: str
    status: str
    start: datetime

    @property
    def id(self) -> str:
        return f"ZQRA{self.number:04d}"

    @property
    def partner(self) -> str:
        """Who referred it, empty for most."""
        return PARTNERS[self.number // 6 % 2] if self.number % 6 == 0 else ""


def planted(tenant: str) -> Iterator[Planted]:
    """The appointments of a tenant: spread over two months, then some of the day to which the data reach."""
    for number in range(APPOINTMENTS[tenant]):
        place = PLACES[number % len(PLACES)]
        # Some visits of a provider at a unit where he is not credentialed.
        provider = "p1" if number % 28 == 3 else PROVIDER_OF[place]
        start = datetime.combine(FIRST_DAY, datetime.min.time()) + timedelta(
            days=number % 55, hours=14, minutes=number % 50
        )
        yield Planted(number=number, place=place, provider=provider, status=STATUS_OF[number % 5], start=start)
    for offset in range(TODAY_A_UNIT * len(PLACES)):
        place = PLACES[offset % len(PLACES)]
        start = datetime.combine(AS_OF, datetime.min.time()) + timedelta(hours=13 + offset // len(PLACES) * 3)
        status = ("arrived", "scheduled", "scheduled")[offset // len(PLACES)]
        yield Planted(
            number=APPOINTMENTS[tenant] + offset, place=place, provider=PROVIDER_OF[place], status=status, start=start
        )


@dataclass(frozen=True, kw_only=True)
class Truth:
    """The right figures of a part of the planted feeds of a tenant."""

    appointments: int
    referrals: int
    encounters: int
    billed_amount: Decimal


def truth(tenant: str, places: Collection[str] = PLACES, *, provider: str = "", partner: str = "") -> Truth:
    """The right figures of the planted appointments of some places: of all of them, of one provider, or of those that a partner
    referred."""
    own = [item for item in planted(tenant) if item.place in places and provider in ("", item.provider)]
    own = [item for item in own if partner in ("", item.partner)]
    done = [AMOUNTS[tenant][item.place] for item in own if item.status == "completed"]
    return Truth(
        appointments=len(own),
        referrals=sum(bool(item.partner) for item in own),
        # The visit of the HL7 v2 message names no provider and no appointment.
        encounters=sum(item.status in VISITED for item in own) + ("east" in places and not provider and not partner),
        billed_amount=sum(done, Decimal(0)),
    )


def write_database(tenant: str, file: Path) -> None:
    """Writes the practice-management database of a tenant, in the reference schema of the profile `clinicmart`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    connection = sqlite3.connect(file)
    try:
        connection.execute("pragma foreign_keys = off")
        connection.executescript(SCHEMA.read_text("utf-8"))
        for table, row in _rows(tenant):
            row = {**row, "updated_at": CHANGED}
            places = ", ".join("?" * len(row))
            connection.execute(f"insert into {table} ({', '.join(row)}) values ({places})", list(row.values()))
        connection.commit()
    finally:
        connection.close()


Row = tuple[str, dict[str, Any]]


def _rows(tenant: str) -> Iterator[Row]:
    yield from _organisation(tenant)
    for number in range(PATIENTS):
        yield from _patient(tenant, number)
    for item in planted(tenant):
        yield from _visit(tenant, item)
    # A row that the gate holds back, with a name where a time should be.
    yield "appointments", _appointment(tenant, next(planted(tenant))) | {
        "appointment_id": "ZQRAHELD", "scheduled_start_at": patient_word(tenant, 0),
    }  # fmt: skip


def _organisation(tenant: str) -> Iterator[Row]:
    for place, above in TREE:
        yield "service_units", {
            "service_unit_id": unit_id(tenant, place), "parent_service_unit_id": above or None,
            "name": f"{organisation_word(tenant, place)} unit", "unit_type": "clinic" if above else "organization",
            "is_active": 1,
        }  # fmt: skip
    for number in (1, 2, 3):
        name = f"Dr {organisation_word(tenant, f'DOCTOR{number}')}"
        yield "providers", {"provider_id": f"p{number}", "display_name": name, "is_active": 1}
    for place, provider in PROVIDER_OF.items():
        yield "provider_service_units", {
            "provider_id": provider, "service_unit_id": unit_id(tenant, place), "credentialed_from": "2020-01-01",
        }  # fmt: skip
    yield "payers", {
        "payer_id": "y1", "effective_from": "2020-01-01", "name": f"{organisation_word(tenant, 'PAYER')} plan",
        "payer_class": "commercial",
    }  # fmt: skip
    yield "visit_types", {
        "visit_type_id": "v1", "name": "Follow-up", "is_new_patient": 0, "is_procedure": 0, "expected_minutes": 30,
    }  # fmt: skip


def _mrn(number: int) -> str:
    return f"ZQPMRN{number:02d}"


def _patient(tenant: str, number: int) -> Iterator[Row]:
    yield "patients", {
        "medical_record_number": _mrn(number), "family_name": patient_word(tenant, number), "given_name": "ZQPGIVEN",
        "birth_date": BIRTH_DATE, "sex": "female" if number % 2 else "male", "address_line": "1 ZQPSTREET",
        "city": "ZQPTOWN", "state": "NY", "postal_code": "10118", "phone": PHONE, "email": "zqpmail@example.org",
    }  # fmt: skip
    yield "coverages", {
        "coverage_id": f"V{number:02d}", "medical_record_number": _mrn(number), "payer_id": "y1",
        "member_id": f"ZQPMEMBER{number:02d}", "priority": 1, "effective_from": "2020-01-01",
    }  # fmt: skip


def _appointment(tenant: str, item: Planted) -> dict[str, Any]:
    return {
        "appointment_id": item.id, "medical_record_number": _mrn(item.number % PATIENTS),
        "service_unit_id": unit_id(tenant, item.place), "provider_id": item.provider, "visit_type_id": "v1",
        "payer_id": "y1", "encounter_id": f"ZQRE{item.number:04d}" if item.status in VISITED else None,
        "referral_id": f"ZQRF{item.number:04d}" if item.partner else None, "status": item.status,
        "cancel_initiator": "patient" if item.status == "cancelled" else None, "is_walk_in": 0, "is_telehealth": 0,
        "booked_at": f"{item.start - timedelta(days=9)}", "scheduled_start_at": f"{item.start}",
        "scheduled_end_at": f"{item.start + timedelta(minutes=30)}",
        "cancelled_at": f"{item.start - timedelta(days=2)}" if item.status == "cancelled" else None,
    }  # fmt: skip


def _visit(tenant: str, item: Planted) -> Iterator[Row]:
    """An appointment and what followed it: visit, charge, claim, payment."""
    who, unit, day = _mrn(item.number % PATIENTS), unit_id(tenant, item.place), f"{item.start.date()}"
    if item.partner:
        yield "referrals", {
            "referral_id": f"ZQRF{item.number:04d}", "medical_record_number": who,
            "referral_partner_id": item.partner, "service_unit_id": unit, "visit_type_id": "v1",
            "status": "authorized", "ordered_at": f"{item.start - timedelta(days=20)}",
        }  # fmt: skip
    yield "appointments", _appointment(tenant, item)
    if item.status not in VISITED:
        return
    encounter, is_over = f"ZQRE{item.number:04d}", item.status == "completed"
    arrived = item.start - timedelta(minutes=5)
    yield "appointment_status_history", {
        "appointment_event_id": f"ZQRH{item.number:04d}", "appointment_id": item.id, "status": "arrived",
        "occurred_at": f"{arrived}",
    }  # fmt: skip
    common = {
        "encounter_id": encounter,
        "medical_record_number": who,
        "service_unit_id": unit,
        "provider_id": item.provider,
    }
    common |= {"payer_id": "y1"}
    yield "encounters", {
        **common, "visit_type_id": "v1", "appointment_id": item.id, "encounter_class": "ambulatory",
        "status": "finished" if is_over else "in_progress", "started_at": f"{arrived}",
        "ended_at": f"{item.start + timedelta(minutes=30)}" if is_over else None,
    }  # fmt: skip
    yield "encounter_timestamps", {
        "encounter_id": encounter, "checked_in_at": f"{arrived}", "roomed_at": f"{item.start + timedelta(minutes=4)}",
        "checked_out_at": f"{item.start + timedelta(minutes=30)}" if is_over else None,
    }  # fmt: skip
    if not is_over:
        return
    claim, charge, amount = f"ZQRK{item.number:04d}", f"ZQRC{item.number:04d}", str(AMOUNTS[tenant][item.place])
    yield "charges", {
        **common, "charge_id": charge, "claim_id": claim, "procedure_code": "99213", "status": "posted", "units": "1",
        "billed_amount": amount, "service_date": day, "posted_date": day,
    }  # fmt: skip
    yield "claims", {
        **common, "claim_submission_id": f"{claim}S", "claim_id": claim, "claim_type": "professional",
        "frequency_code": "1", "payer_sequence": "P", "billed_amount": amount, "service_from_date": day,
        "service_to_date": day, "submitted_at": f"{item.start + timedelta(hours=4)}",
    }  # fmt: skip
    yield "claim_lines", {
        "claim_submission_id": f"{claim}S", "line_number": 1, "claim_id": claim, "charge_id": charge,
        "encounter_id": encounter, "procedure_code": "99213", "units": "1", "billed_amount": amount,
        "service_date": day,
    }  # fmt: skip


def message_visit(tenant: str) -> str:
    """The number of the visit in a tenant's HL7 v2 message."""
    return f"ZQREMESSAGE{tenant.upper()}"


def write_messages(tenant: str, folder: Path) -> None:
    """Writes the HL7 v2 feed of a tenant: a visit, and a file that names patients and holds no message."""
    folder.mkdir(parents=True, exist_ok=True)
    visit = "|".join(
        ["PV1", "1", "O", unit_id(tenant, "east"), *[""] * 15, message_visit(tenant), *[""] * 24, "20261005100000"]
    )
    person = f"PID|1||{_mrn(1)}^^^N^MR||{patient_word(tenant, 1)}^ZQPGIVEN||19490217|F|||1 ZQPSTREET^^ZQPTOWN||{PHONE}"
    (folder / "visit.hl7").write_text(
        f"MSH|^~\\&|EHR|N|CM|CM|20261005100500||ADT^A04|ZQRMESSAGE|P|2.5.1\rEVN|A04|20261005100000\r{person}\r{visit}\r"
    )
    (folder / REFUSED_FILE).write_text(f"{patient_word(tenant, 2)} {_mrn(2)} is no message\n")
