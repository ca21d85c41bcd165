"""What the sample group is made of: names, units, payers, visit types, codes. Data only.

Procedure codes are HCPCS level II or invented ("Z...."); none is licensed. Payers, people and places are invented.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TenantSpec:
    """One tenant: `second_zone` is the zone of its last clinic, `weight` its share of the appointments."""

    tenant_id: str
    name: str
    time_zone: str
    second_zone: str
    state: str
    zip3: str
    weight: float


@dataclass(frozen=True, kw_only=True)
class Payer:
    """`rate` is allowed over list price; `copay` in cents; `lag` median days to adjudication; `weekday` of payment (0 Monday)."""

    name: str
    payer_class: str
    electronic_payer_id: str
    filing_indicator: str
    weight: float
    rate: float
    denial: float
    lag: float
    weekday: int
    copay: int = 0
    deductible: float = 0.0
    coinsurance: float = 0.0


@dataclass(frozen=True, kw_only=True)
class VisitType:
    """`lead` is the median days between booking and start, `codes` the candidates for the first charge line."""

    visit_type_id: str
    name: str
    minutes: int
    lead: float
    no_show: float
    codes: tuple[str, ...]
    is_new: bool = False
    is_procedure: bool = False
    encounter_class: str = "AMB"
    place_of_service: str = "11"


@dataclass(frozen=True, kw_only=True)
class ServiceLine:
    """`mix` maps visit types to shares; `extras` are codes of further charge lines."""

    business_unit: str
    program: str
    name: str
    specialty: str
    provider_type: str
    clinics: int
    weight: float
    mix: dict[str, float]
    extras: tuple[str, ...]


TENANTS = (
    TenantSpec(
        tenant_id="harbor",
        name="Harbor Health",
        time_zone="America/New_York",
        second_zone="America/Chicago",
        state="NY",
        zip3="119",
        weight=0.45,
    ),
    TenantSpec(
        tenant_id="mesa",
        name="Mesa Verde Clinics",
        time_zone="America/Denver",
        second_zone="America/Phoenix",
        state="CO",
        zip3="813",
        weight=0.33,
    ),
    TenantSpec(
        tenant_id="juniper",
        name="Juniper Medical Group",
        time_zone="America/Los_Angeles",
        second_zone="America/Boise",
        state="OR",
        zip3="977",
        weight=0.22,
    ),
)
FURTHER_ZONES = (
    ("America/Chicago", "America/New_York", "IL", "617"),
    ("America/New_York", "America/Chicago", "VA", "244"),
    ("America/Denver", "America/Los_Angeles", "UT", "847"),
    ("America/Los_Angeles", "America/Denver", "WA", "988"),
)
FURTHER_NAMES = ("Alder", "Birch", "Cedar", "Dogwood", "Elm", "Fern", "Ginkgo", "Hazel", "Ivy", "Larch", "Maple", "Oak")

# Shares and habits of the payers; the last one is self-pay and gets no claim.
PAYERS = (
    Payer(
        name="Northwind Health Plan",
        payer_class="commercial",
        electronic_payer_id="70101",
        filing_indicator="BL",
        weight=0.22,
        rate=0.62,
        denial=0.06,
        lag=15,
        weekday=1,
        copay=2500,
        deductible=0.12,
    ),
    Payer(
        name="Summit Mutual",
        payer_class="commercial",
        electronic_payer_id="70102",
        filing_indicator="CI",
        weight=0.15,
        rate=0.66,
        denial=0.08,
        lag=18,
        weekday=3,
        copay=3000,
        deductible=0.18,
    ),
    Payer(
        name="Crestline Preferred",
        payer_class="commercial",
        electronic_payer_id="70103",
        filing_indicator="12",
        weight=0.11,
        rate=0.71,
        denial=0.07,
        lag=21,
        weekday=4,
        copay=4000,
        coinsurance=0.1,
    ),
    Payer(
        name="Medicare Part B",
        payer_class="medicare",
        electronic_payer_id="70201",
        filing_indicator="MB",
        weight=0.19,
        rate=0.45,
        denial=0.05,
        lag=14,
        weekday=2,
        deductible=0.05,
        coinsurance=0.2,
    ),
    Payer(
        name="Evergreen Advantage",
        payer_class="medicare_advantage",
        electronic_payer_id="70202",
        filing_indicator="16",
        weight=0.1,
        rate=0.47,
        denial=0.1,
        lag=22,
        weekday=3,
        copay=1500,
    ),
    Payer(
        name="State Medicaid",
        payer_class="medicaid",
        electronic_payer_id="70301",
        filing_indicator="MC",
        weight=0.12,
        rate=0.34,
        denial=0.12,
        lag=24,
        weekday=4,
    ),
    Payer(
        name="Uniformed Services Plan",
        payer_class="tricare",
        electronic_payer_id="70401",
        filing_indicator="CH",
        weight=0.03,
        rate=0.48,
        denial=0.06,
        lag=19,
        weekday=1,
        coinsurance=0.15,
    ),
    Payer(
        name="Worker Injury Fund",
        payer_class="workers_compensation",
        electronic_payer_id="70501",
        filing_indicator="WC",
        weight=0.02,
        rate=0.85,
        denial=0.14,
        lag=38,
        weekday=2,
    ),
    Payer(
        name="Self-pay",
        payer_class="self_pay",
        electronic_payer_id="",
        filing_indicator="",
        weight=0.06,
        rate=1.0,
        denial=0.0,
        lag=0,
        weekday=0,
    ),
)
SELF_PAY = len(PAYERS) - 1
MEDICARE = 3

VISIT_TYPES = (
    VisitType(
        visit_type_id="NEW",
        name="New patient",
        minutes=40,
        lead=16,
        no_show=1.35,
        codes=("Z1001", "Z1002"),
        is_new=True,
    ),
    VisitType(
        visit_type_id="FUP", name="Follow-up", minutes=20, lead=12, no_show=1.0, codes=("Z1011", "Z1012", "Z1013")
    ),
    VisitType(visit_type_id="ANN", name="Annual wellness", minutes=30, lead=28, no_show=0.9, codes=("G0438", "G0439")),
    VisitType(
        visit_type_id="PRC",
        name="Procedure",
        minutes=60,
        lead=21,
        no_show=0.6,
        codes=("Z2001", "Z2002", "Z2003"),
        is_procedure=True,
    ),
    VisitType(
        visit_type_id="TEL",
        name="Telehealth",
        minutes=20,
        lead=5,
        no_show=0.7,
        codes=("Z1021", "G2012"),
        encounter_class="VR",
        place_of_service="02",
    ),
    VisitType(
        visit_type_id="BHI",
        name="Behavioral intake",
        minutes=60,
        lead=18,
        no_show=1.9,
        codes=("H0031",),
        is_new=True,
    ),
    VisitType(
        visit_type_id="BHF", name="Behavioral follow-up", minutes=45, lead=10, no_show=1.6, codes=("H0004", "Z3001")
    ),
    VisitType(visit_type_id="PTX", name="Therapy session", minutes=45, lead=7, no_show=1.1, codes=("Z4001", "Z4002")),
    VisitType(
        visit_type_id="URG",
        name="Urgent visit",
        minutes=20,
        lead=0.4,
        no_show=0.8,
        codes=("S9083", "Z1031"),
        place_of_service="20",
    ),
    VisitType(
        visit_type_id="HOM",
        name="Home visit",
        minutes=60,
        lead=9,
        no_show=0.4,
        codes=("Z5001",),
        encounter_class="HH",
        place_of_service="12",
    ),
)
URGENT = 8

SERVICE_LINES = (
    ServiceLine(
        business_unit="Primary Care",
        program="Family Health",
        name="Family Medicine",
        specialty="Family medicine",
        provider_type="Physician",
        clinics=4,
        weight=0.3,
        mix={"NEW": 0.12, "FUP": 0.5, "ANN": 0.2, "TEL": 0.15, "HOM": 0.03},
        extras=("G0444", "J3301", "Z1101", "Z1102"),
    ),
    ServiceLine(
        business_unit="Primary Care",
        program="Family Health",
        name="Pediatrics",
        specialty="Pediatrics",
        provider_type="Physician",
        clinics=2,
        weight=0.13,
        mix={"NEW": 0.1, "FUP": 0.5, "ANN": 0.32, "TEL": 0.08},
        extras=("Z1101", "Z1103"),
    ),
    ServiceLine(
        business_unit="Primary Care",
        program="Immediate Care",
        name="Urgent Care",
        specialty="Urgent care",
        provider_type="Nurse practitioner",
        clinics=2,
        weight=0.13,
        mix={"URG": 0.88, "FUP": 0.12},
        extras=("J0696", "J1100", "A4570", "Z1101"),
    ),
    ServiceLine(
        business_unit="Specialty Care",
        program="Bone and Joint",
        name="Orthopedics",
        specialty="Orthopedic surgery",
        provider_type="Physician",
        clinics=2,
        weight=0.12,
        mix={"NEW": 0.28, "FUP": 0.47, "PRC": 0.2, "TEL": 0.05},
        extras=("J3301", "A4570", "L1830", "Z2101"),
    ),
    ServiceLine(
        business_unit="Specialty Care",
        program="Bone and Joint",
        name="Physical Therapy",
        specialty="Physical therapy",
        provider_type="Therapist",
        clinics=2,
        weight=0.13,
        mix={"PTX": 0.86, "NEW": 0.14},
        extras=("G0283", "Z4101"),
    ),
    ServiceLine(
        business_unit="Specialty Care",
        program="Heart and Vascular",
        name="Cardiology",
        specialty="Cardiology",
        provider_type="Physician",
        clinics=2,
        weight=0.09,
        mix={"NEW": 0.22, "FUP": 0.5, "PRC": 0.18, "TEL": 0.1},
        extras=("Z2102", "Z2103", "J1245"),
    ),
    ServiceLine(
        business_unit="Behavioral Health",
        program="Outpatient Behavioral Health",
        name="Counseling",
        specialty="Counseling",
        provider_type="Counselor",
        clinics=1,
        weight=0.06,
        mix={"BHI": 0.12, "BHF": 0.68, "TEL": 0.2},
        extras=("G0444", "H0038"),
    ),
    ServiceLine(
        business_unit="Behavioral Health",
        program="Outpatient Behavioral Health",
        name="Psychiatry",
        specialty="Psychiatry",
        provider_type="Physician",
        clinics=1,
        weight=0.04,
        mix={"BHI": 0.15, "BHF": 0.55, "TEL": 0.3},
        extras=("G0444", "Z3101"),
    ),
)
ORTHOPEDICS, PHYSICAL_THERAPY = 3, 4
INPATIENT = ("Hospital Services", "Inpatient Care", "General Medicine")
