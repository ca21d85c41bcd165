"""The group of one tenant: organisations, the tree of service units, providers, payers, visit types, contract rates.

Local ids (CL01, PR001, PY01 ...) are the same in every tenant and mean something else in each, on purpose.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from clinicmart.sample import catalogue, codes, names
from clinicmart.sample.catalogue import PAYERS, SERVICE_LINES, VISIT_TYPES, TenantSpec
from clinicmart.sample.clock import Calendar, as_date
from clinicmart.sample.codes import CODES, PRICES

GROUP_ID, WARD_ID = "ORG", "WD01"
BILLING_ORGANIZATION, HOSPITAL_ORGANIZATION = "O2", "O3"
STRUCTURE_CHANGED = "2025-01-02 05:00:00"
CREDENTIALED = "2019-03-01"
# Provider to the end of the credential at the first clinic, in days after the as-of day: one has ended, and the provider went on; of
# the others two end within 90 days.
CREDENTIAL_ENDS = {0: -240, 1: 30, 2: 90, 3: 91}


@dataclass(frozen=True, kw_only=True)
class Group:
    """Frames as the PM tables hold them, and arrays that the other stages index.

    Clinics and providers are numbered from 0: `clinic_ids[c]`, `clinic_line[c]` (index of SERVICE_LINES), `clinic_zone[c]`
    (index of `zones`), `provider_ids[p]`, `provider_npis[p]`, `provider_clinics[p]` (first and second clinic).
    The last providers are `hospitalists`. `rates[payer, code]` in cents. `credential_ends` is provider to the last day of the credential
    at the first clinic.
    """

    tenant: TenantSpec
    zones: list[str]
    frames: dict[str, pl.DataFrame]
    clinic_ids: np.ndarray
    clinic_line: np.ndarray
    clinic_zone: np.ndarray
    provider_ids: np.ndarray
    provider_npis: np.ndarray
    provider_names: np.ndarray
    provider_clinics: np.ndarray
    credential_ends: dict[int, int]
    hospitalists: np.ndarray
    billing_npi: str
    payer_ids: np.ndarray
    payer_names: np.ndarray
    electronic_ids: np.ndarray
    rates: np.ndarray
    bad_clinic: int
    denial_payer: int
    takeback_payer: int
    staffed_beds: int


def npi(number: int) -> str:
    """A ten-digit provider identifier with a valid check digit, in a range of our own making."""
    body = f"19{number:07d}"
    total = 24
    for position, digit in enumerate(reversed(body)):
        value = int(digit) * 2 if position % 2 == 0 else int(digit)
        total += value - 9 if value > 9 else value
    return body + str(-total % 10)


def payer_ids() -> list[str]:
    """PY01 to PY09, the last one self-pay."""
    return [f"PY{index + 1:02d}" for index in range(len(PAYERS))]


def build_group(
    tenant: TenantSpec, tenant_index: int, rng: np.random.Generator, appointments: int, calendar: Calendar
) -> Group:
    """The group of a tenant whose size follows its number of appointments."""
    place_offset = 7 * tenant_index
    units, clinic_ids, clinic_line = _units(tenant, place_offset, appointments)
    clinic_zone = np.zeros(len(clinic_ids), dtype=np.int64)
    clinic_zone[-1] = 1
    providers = _providers(rng, tenant_index, clinic_line, appointments)
    names = _payer_names(tenant_index)
    rates = _rates(rng)
    billing_npi = npi(9_000_001 + 10 * tenant_index)
    credential_ends = {provider: calendar.as_of + days for provider, days in CREDENTIAL_ENDS.items()}
    return Group(
        tenant=tenant,
        zones=[tenant.time_zone, tenant.second_zone],
        frames={
            "organizations": _organizations(tenant, billing_npi, tenant_index),
            "service_units": units,
            "providers": providers.frame,
            "provider_service_units": providers.credentials(clinic_ids, credential_ends),
            "payers": _payers(names),
            "visit_types": _visit_types(),
            "contract_rates": _contract_rates(rates),
        },
        clinic_ids=np.array(clinic_ids),
        clinic_line=np.array(clinic_line),
        clinic_zone=clinic_zone,
        provider_ids=np.array(providers.ids),
        provider_npis=np.array(providers.npis),
        provider_names=np.array(providers.names),
        provider_clinics=providers.clinics,
        credential_ends=credential_ends,
        hospitalists=np.arange(len(providers.ids) - providers.hospitalists, len(providers.ids)),
        billing_npi=billing_npi,
        payer_ids=np.array(payer_ids()),
        payer_names=np.array(names),
        electronic_ids=np.array([payer.electronic_payer_id for payer in PAYERS]),
        rates=rates,
        bad_clinic=(2 + 3 * tenant_index) % 10,
        denial_payer=(1 + tenant_index) % 3,
        takeback_payer=(0 + tenant_index) % 3,
        staffed_beds=int(units.filter(pl.col("service_unit_id") == WARD_ID)["staffed_beds"][0]),
    )


def _organizations(tenant: TenantSpec, billing_npi: str, tenant_index: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "organization_id": [GROUP_ID, BILLING_ORGANIZATION, HOSPITAL_ORGANIZATION],
            "parent_organization_id": [None, GROUP_ID, GROUP_ID],
            "name": [tenant.name, f"{tenant.name} Physicians PC", f"{tenant.name} Hospital Corporation"],
            "npi": [npi(9_000_000 + 10 * tenant_index), billing_npi, npi(9_000_002 + 10 * tenant_index)],
            "time_zone": [tenant.time_zone, None, None],
            "updated_at": [STRUCTURE_CHANGED] * 3,
        }
    )


def _units(tenant: TenantSpec, place_offset: int, appointments: int) -> tuple[pl.DataFrame, list[str], list[int]]:
    rows: list[tuple[str, str | None, str, str, str | None, int | None, str]] = []
    ids_by_path: dict[tuple[str, ...], str] = {}

    def unit(path: tuple[str, ...], unit_type: str, prefix: str, parent: str) -> str:
        if path not in ids_by_path:
            ids_by_path[path] = f"{prefix}{sum(len(item) == len(path) for item in ids_by_path) + 1}"
            rows.append((ids_by_path[path], parent, path[-1], unit_type, None, None, BILLING_ORGANIZATION))
        return ids_by_path[path]

    rows.append((GROUP_ID, None, tenant.name, "organization", tenant.time_zone, None, GROUP_ID))
    clinics: list[tuple[str, int]] = []
    last = sum(line.clinics for line in SERVICE_LINES) - 1
    for line_index, line in enumerate(SERVICE_LINES):
        business = unit((line.business_unit,), "business_unit", "BU", GROUP_ID)
        program = unit((line.business_unit, line.program), "program", "PG", business)
        service_line = unit((line.business_unit, line.program, line.name), "service_line", "SL", program)
        for _ in range(line.clinics):
            number = len(clinics)
            place = names.PLACES[(number + place_offset) % len(names.PLACES)]
            zone = tenant.second_zone if number == last else None
            clinic_id = f"CL{number + 1:02d}"
            name = f"{place} {line.name}"
            rows.append((clinic_id, service_line, name, "clinic", zone, None, BILLING_ORGANIZATION))
            clinics.append((clinic_id, line_index))
    business_name, program_name, line_name = catalogue.INPATIENT
    business = unit((business_name,), "business_unit", "BU", GROUP_ID)
    program = unit((business_name, program_name), "program", "PG", business)
    service_line = unit((business_name, program_name, line_name), "service_line", "SL", program)
    beds = 4 + appointments // 4000
    rows.append((WARD_ID, service_line, f"{tenant.name} Ward A", "ward", None, beds, HOSPITAL_ORGANIZATION))
    frame = pl.DataFrame(
        {
            "service_unit_id": [row[0] for row in rows],
            "parent_service_unit_id": [row[1] for row in rows],
            "organization_id": [row[6] for row in rows],
            "name": [row[2] for row in rows],
            "unit_type": [row[3] for row in rows],
            "time_zone": pl.Series([row[4] for row in rows], dtype=pl.String),
            "staffed_beds": pl.Series([row[5] for row in rows], dtype=pl.Int64),
            "billing_profile": ["institutional" if row[3] == "ward" else "professional" for row in rows],
            "is_active": [1] * len(rows),
            "updated_at": [STRUCTURE_CHANGED] * len(rows),
        }
    )
    return frame, [clinic for clinic, _ in clinics], [line for _, line in clinics]


@dataclass(frozen=True)
class _Providers:
    ids: list[str]
    npis: list[str]
    names: list[str]
    clinics: np.ndarray
    hospitalists: int
    frame: pl.DataFrame

    def credentials(self, clinic_ids: list[str], ends: dict[int, int]) -> pl.DataFrame:
        """One row per provider and clinic in which the provider works; `ends` as `Group.credential_ends`."""
        pairs: list[tuple[str, str]] = []
        last_days: list[str | None] = []
        for index, provider_id in enumerate(self.ids):
            if index >= len(self.ids) - self.hospitalists:
                units = [WARD_ID]
            else:
                first, second = self.clinics[index]
                units = [clinic_ids[unit] for unit in dict.fromkeys((int(first), int(second)))]
            pairs += [(provider_id, unit) for unit in units]
            last_days += [as_date(ends[index]).isoformat() if index in ends else None] + [None] * (len(units) - 1)
        return pl.DataFrame(
            {
                "provider_id": [pair[0] for pair in pairs],
                "service_unit_id": [pair[1] for pair in pairs],
                "credentialed_from": [CREDENTIALED] * len(pairs),
                "credentialed_to": pl.Series(last_days, dtype=pl.String),
                "updated_at": [STRUCTURE_CHANGED] * len(pairs),
            }
        )


def _providers(rng: np.random.Generator, tenant_index: int, clinic_line: list[int], appointments: int) -> _Providers:
    """About 45 providers, more where each would otherwise see more than 15 patients a day; three hospitalists at the end."""
    count = max(45, appointments // 6000)
    lines = np.array(clinic_line)
    share = np.array([SERVICE_LINES[line].weight / SERVICE_LINES[line].clinics for line in clinic_line])
    per_clinic = np.maximum(1, np.round(share / share.sum() * count)).astype(int)
    first = np.repeat(np.arange(len(lines)), per_clinic)
    same_line = [np.flatnonzero(lines == lines[clinic]) for clinic in first]
    second = np.array([rng.choice(options) for options in same_line])
    hospitalists = 3
    total = len(first) + hospitalists
    families = rng.permutation(len(names.FAMILY_NAMES))
    givens = rng.integers(0, len(names.GIVEN_NAMES), total)
    shown, specialties, types = [], [], []
    for index in range(total):
        line = SERVICE_LINES[lines[first[index]]] if index < len(first) else None
        title = "Dr. " if line is None or line.provider_type == "Physician" else ""
        family = names.FAMILY_NAMES[families[index % len(families)]]
        shown.append(f"{title}{names.GIVEN_NAMES[givens[index]]} {family}")
        specialties.append(line.specialty if line else "Hospital medicine")
        types.append(line.provider_type if line else "Physician")
    ids = [f"PR{index + 1:03d}" for index in range(total)]
    npis = [npi(tenant_index * 10_000 + index + 1) for index in range(total)]
    frame = pl.DataFrame(
        {
            "provider_id": ids,
            "npi": npis,
            "display_name": shown,
            "specialty": specialties,
            "provider_type": types,
            "is_active": [1] * total,
            "updated_at": [STRUCTURE_CHANGED] * total,
        }
    )
    return _Providers(ids, npis, shown, np.column_stack([first, second]), hospitalists, frame)


def _payer_names(tenant_index: int) -> list[str]:
    """The commercial payers change places from tenant to tenant: PY01 is another one in each."""
    names = [payer.name for payer in PAYERS]
    turn = tenant_index % 3
    return names[turn:3] + names[:turn] + names[3:]


def _payers(names: list[str]) -> pl.DataFrame:
    count = len(PAYERS)
    return pl.DataFrame(
        {
            "payer_id": payer_ids(),
            "effective_from": ["1900-01-01"] * count,
            "effective_to": pl.Series([None] * count, dtype=pl.String),
            "name": names,
            "payer_class": [payer.payer_class for payer in PAYERS],
            "electronic_payer_id": [payer.electronic_payer_id or None for payer in PAYERS],
            "updated_at": [STRUCTURE_CHANGED] * count,
        }
    )


def _visit_types() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "visit_type_id": [item.visit_type_id for item in VISIT_TYPES],
            "name": [item.name for item in VISIT_TYPES],
            "is_new_patient": [int(item.is_new) for item in VISIT_TYPES],
            "is_procedure": [int(item.is_procedure) for item in VISIT_TYPES],
            "expected_minutes": [item.minutes for item in VISIT_TYPES],
            "updated_at": [STRUCTURE_CHANGED] * len(VISIT_TYPES),
        }
    )


def _rates(rng: np.random.Generator) -> np.ndarray:
    """Contract rate per payer and code, in cents: the payer's share of the list price, a little different by code."""
    prices = np.array([PRICES[code] for code in CODES])
    shares = np.array([payer.rate for payer in PAYERS])
    spread = rng.uniform(0.93, 1.07, (len(PAYERS), len(CODES)))
    return np.minimum(np.round(prices * shares[:, None] * spread), prices).astype(np.int64)


def _contract_rates(rates: np.ndarray) -> pl.DataFrame:
    ids = payer_ids()
    rows = [
        (ids[payer], code, modifier, f"{rates[payer, index] / 100:.2f}")
        for payer in range(catalogue.SELF_PAY)
        for index, code in enumerate(CODES)
        for modifier in ("", codes.TELEHEALTH_MODIFIER)
    ]
    return pl.DataFrame(
        {
            "payer_id": [row[0] for row in rows],
            "procedure_code": [row[1] for row in rows],
            "modifiers": [row[2] for row in rows],
            "place_of_service": [""] * len(rows),
            "effective_from": ["2024-01-01"] * len(rows),
            "effective_to": pl.Series([None] * len(rows), dtype=pl.String),
            "rate_amount": [row[3] for row in rows],
            "updated_at": [STRUCTURE_CHANGED] * len(rows),
        }
    )
