"""Visits and charges outside a credential, and what is billed under one that ends: the compiled models on hard and on random rows."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models, Row

pytestmark = pytest.mark.slow

MODELS = ("int_credentialed_units", "fct_credential_gaps", "fct_credentials")
_SERVICE = (
    "tenant_id varchar, patient_id varchar, service_unit_key varchar, service_unit_id varchar, provider_id varchar, "
)
TABLES = {
    "intermediate.int_credentials": (
        "tenant_id varchar, provider_id varchar, service_unit_id varchar, valid_from date, valid_to date, source_system varchar, "
        "source_record_id varchar, source_position varchar"
    ),
    "intermediate.int_service_units": "tenant_id varchar, service_unit_id varchar, path varchar",
    "staging.stg_tenants": "tenant_id varchar, data_as_of_date date",
    "marts.fct_encounters": _SERVICE
    + "encounter_id varchar, encounter_date date, is_encounter boolean, source_system varchar, "
    "source_position varchar",
    "marts.fct_charge_lines": _SERVICE
    + "charge_line_id varchar, encounter_id varchar, service_date date, billed_amount decimal(18,4), "
    "source_system varchar, source_position varchar",
}
AS_OF = date(2026, 10, 31)
TREE = {"group": "/group/", "east": "/group/east/", "lab": "/group/east/lab/", "west": "/group/west/"}


def credential(unit: str, first: date, last: date | None, *, provider: str = "p1", tenant: str = "t") -> Row:
    return {
        "tenant_id": tenant,
        "provider_id": provider,
        "service_unit_id": unit,
        "valid_from": first,
        "valid_to": last,
    }


def visit(name: str, unit: str, day: date, *, provider: str = "p1", tenant: str = "t") -> Row:
    row = {"tenant_id": tenant, "encounter_id": name, "service_unit_id": unit, "provider_id": provider}
    return row | {"encounter_date": day, "is_encounter": True}


def line(name: str, unit: str, day: date, amount: int, *, provider: str = "p1", tenant: str = "t") -> Row:
    row = {"tenant_id": tenant, "charge_line_id": name, "service_unit_id": unit, "provider_id": provider}
    return row | {"service_date": day, "billed_amount": amount}


def built(models: Models, credentials: list[Row], visits: list[Row] = (), lines: list[Row] = ()) -> None:  # type: ignore[assignment]
    tenants = ("t", "u")
    models.build(
        {
            "intermediate.int_credentials": credentials,
            "intermediate.int_service_units": [
                {"tenant_id": tenant, "service_unit_id": unit, "path": path}
                for tenant in tenants
                for unit, path in TREE.items()
            ],
            "staging.stg_tenants": [{"tenant_id": tenant, "data_as_of_date": AS_OF} for tenant in tenants],
            "marts.fct_encounters": list(visits),
            "marts.fct_charge_lines": list(lines),
        }
    )


def gaps(models: Models) -> list[str]:
    return [row[0] for row in models.rows("fct_credential_gaps", "gap_id")]


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(*MODELS), TABLES)


def test_first_and_last_day_are_covered_and_units_below_too(models: Models) -> None:
    first, last = date(2026, 3, 1), date(2026, 3, 31)
    day = timedelta(days=1)
    visits = [
        visit("before", "east", first - day),
        visit("first", "east", first),
        visit("last below", "lab", last),
        visit("after", "lab", last + day),
        visit("above", "group", first),
        visit("beside", "west", first),
        visit("another", "east", first, provider="p2"),
        visit("nobody", "east", first, provider="unknown"),
        visit("nowhere", "unknown", first),
        visit("elsewhere", "west", first, tenant="u"),
        visit("planned", "west", first) | {"is_encounter": False},
    ]
    built(models, [credential("east", first, last)], visits)
    # Tenant u brings no credentials: nothing is known of it.
    assert gaps(models) == ["above", "after", "another", "before", "beside"]


def test_spans_of_one_provider_may_overlap_and_have_no_end(models: Models) -> None:
    credentials = [
        credential("lab", date(2026, 1, 1), date(2026, 2, 28)),
        credential("lab", date(2026, 2, 1), date(2026, 3, 31)),
        credential("lab", date(2026, 6, 1), None),
    ]
    days = [date(2026, 2, 15), date(2026, 4, 15), date(2027, 1, 1)]
    lines = [line(f"c{day:%m}", "lab", day, 100) for day in days] + [line("free", "lab", date(2026, 4, 15), 0)]
    built(models, credentials, lines=lines)
    assert gaps(models) == ["c04"]
    assert models.rows("fct_credential_gaps", "gap_kind", "billed_amount") == [("charge", Decimal(100))]


def test_at_stake_is_what_was_billed_in_the_last_ninety_days_while_the_credential_held(models: Models) -> None:
    lines = [
        line("old", "east", AS_OF - timedelta(days=90), 1),
        line("first day", "lab", AS_OF - timedelta(days=89), 10),
        line("last day", "east", AS_OF, 100),
        line("later", "east", AS_OF + timedelta(days=1), 1_000),
        line("beside", "west", AS_OF, 10_000),
        line("another", "east", AS_OF, 100_000, provider="p2"),
        line("taken back", "east", AS_OF, -3),
    ]
    ended = AS_OF - timedelta(days=80)
    credentials = [
        credential("east", date(2026, 1, 1), AS_OF + timedelta(days=30)),
        credential("west", date(2026, 1, 1), ended),
    ]
    built(models, credentials, lines=lines)
    amounts = dict(models.rows("fct_credentials", "service_unit_id", "trailing_billed_amount"))
    assert amounts == {"east": Decimal(107), "west": Decimal(0)}


DAYS = st.integers(0, 20).map(lambda number: date(2026, 3, 1) + timedelta(days=number))
UNITS = st.sampled_from(sorted(TREE))
PROVIDERS = st.sampled_from(["p1", "p2"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    spans=st.lists(
        st.tuples(UNITS, PROVIDERS, DAYS, st.one_of(st.none(), st.integers(0, 9))),
        max_size=6,
        unique_by=lambda s: s[:3],
    ),
    visits=st.lists(st.tuples(UNITS, PROVIDERS, DAYS), max_size=12),
)
def test_a_visit_is_a_gap_where_no_span_covers_its_day_and_unit(models: Models, spans, visits) -> None:  # type: ignore[no-untyped-def]
    held = [
        (unit, provider, first, date.max if length is None else first + timedelta(days=length))
        for unit, provider, first, length in spans
    ]
    right = [
        f"v{number:02}"
        for number, (unit, provider, day) in enumerate(visits)
        if held
        and not any(
            TREE[unit].startswith(TREE[top]) and provider == who and first <= day <= last
            for top, who, first, last in held
        )
    ]
    built(
        models,
        [credential(unit, first, None if last == date.max else last, provider=who) for unit, who, first, last in held],
        [visit(f"v{number:02}", unit, day, provider=who) for number, (unit, who, day) in enumerate(visits)],
    )
    assert gaps(models) == right


FEEDS = {
    "staging.stg_provider_service_units": (
        "tenant_id varchar, source_system varchar, provider_id varchar, service_unit_id varchar, credentialed_from date, "
        "credentialed_to date, source_record_id varchar, source_updated_at timestamp, source_position varchar"
    ),
    "staging.stg_system_of_record": "tenant_id varchar, entity varchar, source_system varchar, precedence integer",
    "intermediate.int_provider_crosswalk": "tenant_id varchar, provider_id varchar, current_provider_id varchar",
}


def test_credentials_of_several_feeds_and_identifiers_are_one(project: Compiled) -> None:
    models = Models(project.sql("int_credentials"), FEEDS)
    first, last = date(2026, 1, 1), date(2026, 6, 30)

    def sent(feed: str, provider: str, unit: str, end: date | None, tenant: str = "t") -> Row:
        row = {"tenant_id": tenant, "source_system": feed, "provider_id": provider, "service_unit_id": unit}
        return row | {"credentialed_from": first, "credentialed_to": end, "source_record_id": f"{provider}/{unit}"}

    models.build(
        {
            "staging.stg_provider_service_units": [
                sent("pm", "p1", "east", last),
                sent("ehr", "npi1", "east", date(2026, 3, 31)),
                sent("ehr", "p2", "east", None),
                sent("pm", "p2", "east", last),
                sent("pm", "p3", "lab", last),
                sent("ehr", "npi3", "lab", None),
                sent("pm", "npi1", "east", last, tenant="u"),
            ],
            "staging.stg_system_of_record": [
                {"tenant_id": "t", "entity": "provider_service_unit", "source_system": "pm", "precedence": 1}
            ],
            "intermediate.int_provider_crosswalk": [
                {"tenant_id": "t", "provider_id": "npi1", "current_provider_id": "p1"},
                {"tenant_id": "t", "provider_id": "npi3", "current_provider_id": "p3"},
            ],
        }
    )
    assert models.rows("int_credentials", "tenant_id", "provider_id", "service_unit_id", "valid_to") == [
        ("t", "p1", "east", last),
        ("t", "p2", "east", last),
        ("t", "p3", "lab", None),
        ("u", "npi1", "east", last),
    ]
