"""What the fake reader answers from: service units, people, payers and one row per appointment.

Units: Harbor Health -> Primary Care (Elm Street, Dock Road), Harbor Behavioral (Bayview, North Pier) and Specialty & Surgery (Imaging).
No-shows jump at Bayview in the last full quarter; one payer's denials rise in the same months. Deterministic.
"""

import math
import random
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

AS_OF = date(2026, 11, 14)
START = date(2025, 1, 1)
TREE = [
    ("org", None, "Harbor Health", "organization", 0),
    ("primary", "org", "Primary Care", "business_unit", 1),
    ("elm", "primary", "Elm Street Clinic", "clinic", 2),
    ("dock", "primary", "Dock Road Clinic", "clinic", 2),
    ("behavioral", "org", "Harbor Behavioral", "business_unit", 1),
    ("bayview", "behavioral", "Bayview Clinic", "clinic", 2),
    ("north", "behavioral", "North Pier Clinic", "clinic", 2),
    ("surgery", "org", "Specialty & Surgery", "business_unit", 1),
    ("imaging", "surgery", "Imaging Center", "clinic", 2),
]
LEAVES = ("elm", "dock", "bayview", "north", "imaging")
PROVIDERS = {leaf: [f"{leaf}-{n}" for n in range(1, 4)] for leaf in LEAVES}
PEOPLE = (
    "Okafor",
    "Lindqvist",
    "Marsh",
    "Ibarra",
    "Chen",
    "Novak",
    "Reyes",
    "Haddad",
    "Stone",
    "Silva",
    "Byrne",
    "Kaur",
    "Ito",
    "Weiss",
    "Adler",
)
PROVIDER_NAMES = {pid: f"Dr. {PEOPLE[i]}" for i, pid in enumerate(pid for ids in PROVIDERS.values() for pid in ids)}
CLASSES = ("commercial", "medicare", "medicaid", "medicare_advantage", "self_pay", "tricare", "workers_compensation")
CLASS_WEIGHTS = (41, 22, 16, 10, 6, 3, 2)
PAYERS = {
    "commercial": "Northwind Health",
    "medicare": "Medicare",
    "medicaid": "State Medicaid",
    "medicare_advantage": "Anchor Advantage",
    "self_pay": "Self-pay",
    "tricare": "Tricare East",
    "workers_compensation": "Harbor Comp",
}
VISIT_TYPES = {"new": "New patient", "follow_up": "Follow-up", "therapy": "Therapy session", "procedure": "Procedure"}
BANDS = ("0 same day", "1 to 7", "8 to 14", "15 to 30", "31 to 60", "61 and more")
CATEGORIES = (
    "Eligibility",
    "Authorization",
    "Coding",
    "Timely filing",
    "Duplicate",
    "Medical necessity",
    "Missing information",
)
PARENT = {row[0]: row[1] for row in TREE}
NAMES = {
    "service_unit": {row[0]: row[2] for row in TREE},
    "provider": PROVIDER_NAMES,
    "payer": PAYERS,
    "visit_type": VISIT_TYPES,
}


def visits() -> pl.DataFrame:
    """One row per appointment, completed ones with an encounter and a charge."""
    rng = random.Random(20261114)
    rows = []
    day = START
    number = 0
    while day <= AS_OF + timedelta(days=20):
        season = 1 + 0.1 * math.sin(day.timetuple().tm_yday / 58)
        jump = date(2026, 7, 1) <= day <= date(2026, 9, 30)
        for leaf in LEAVES:
            if day.isoweekday() > 5:
                continue
            for _ in range(int(rng.gauss(7, 1.5) * season) + (2 if leaf in ("elm", "dock") else 0)):
                number += 1
                hour = min(max(int(rng.gauss(12.5, 2.7)), 8), 17)
                payer = rng.choices(CLASSES, CLASS_WEIGHTS)[0]
                band = rng.choice(BANDS)
                risk = 0.06 + 0.015 * BANDS.index(band) + (0.03 if hour < 9 else 0)
                risk += 0.07 if leaf == "bayview" else 0
                risk += 0.11 if leaf == "bayview" and jump else 0
                past = day <= AS_OF
                cancelled = past and rng.random() < 0.09
                no_show = past and not cancelled and rng.random() < risk
                done = past and not cancelled and not no_show
                billed = Decimal(rng.randint(9_000, 60_000)) / 100 if done else Decimal(0)
                old = (AS_OF - day).days
                denied = (
                    done
                    and payer != "self_pay"
                    and rng.random() < (0.07 + (0.12 if payer == "medicaid" and jump else 0))
                )
                answered = done and rng.random() < min(old / 60, 0.97)
                adjusted = (
                    (billed * Decimal("0.34")).quantize(Decimal("0.01")) if answered and not denied else Decimal(0)
                )
                paid = (billed * Decimal("0.52")).quantize(Decimal("0.01")) if answered and not denied else Decimal(0)
                patient = (billed - adjusted - paid) if answered and not denied and rng.random() < 0.8 else Decimal(0)
                rows.append(
                    {
                        "appointment_id": f"A{number:06d}",
                        "appointment_date": day,
                        "weekday": day.isoweekday(),
                        "hour_of_day": hour,
                        "leaf": leaf,
                        "provider": rng.choice(PROVIDERS[leaf]),
                        "payer_class": payer,
                        "payer": payer,
                        "visit_type": rng.choice(list(VISIT_TYPES)),
                        "lead_time_band": band,
                        "lead_time_days": float([0, 4, 11, 22, 44, 80][BANDS.index(band)]),
                        "patient": f"P{rng.randint(1, 4000)}",
                        "expected": past and not cancelled,
                        "past": past,
                        "cancelled": cancelled,
                        "late_cancel": cancelled and rng.random() < 0.4,
                        "no_show": no_show,
                        "done": done,
                        "cycle": rng.gauss(52, 11) + (9 if hour in (10, 11, 15) else 0) if done else None,
                        "wait": abs(rng.gauss(13, 5)) + (8 if hour in (10, 11, 15) else 0) if done else None,
                        "billed": billed,
                        "paid": paid,
                        "patient_paid": patient,
                        "adjusted": adjusted,
                        "open": billed - adjusted - paid - patient,
                        "answered": answered,
                        "answered_date": day + timedelta(days=min(number % 60, max(old, 0))),
                        "denied": answered and denied,
                        "denial_category": rng.choices(CATEGORIES, (30, 24, 14, 9, 7, 6, 3))[0]
                        if answered and denied
                        else None,
                        "ageing_bucket": "0-30"
                        if old <= 30
                        else "31-60"
                        if old <= 60
                        else "61-90"
                        if old <= 90
                        else "91-120"
                        if old <= 120
                        else "over 120",
                    }
                )
        day += timedelta(days=1)
    return pl.DataFrame(rows, infer_schema_length=None)


def below(unit: str) -> list[str]:
    """Leaves at or below a unit."""

    def under(leaf: str | None) -> bool:
        return leaf is not None and (leaf == unit or under(PARENT[leaf]))

    return [leaf for leaf in LEAVES if under(leaf)] if unit in PARENT else [unit]


def is_under(node: str | None, unit: str) -> bool:
    return node is not None and (node == unit or is_under(PARENT[node], unit))


def child_of(leaf: str, unit: str) -> str:
    """The direct child of `unit` on the way to a leaf; the leaf itself where it is the unit."""
    at = leaf
    while PARENT[at] not in (unit, None) and at != unit:
        at = str(PARENT[at])
    return at
