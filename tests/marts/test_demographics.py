"""Who the patients of rows are: age bands on the day of the row, and patients who are new or established."""

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.marts.building import Compiled
from tests.marts.compiled_models import Models, Row
from tests.marts.test_authorizations import TABLES as AUTHORIZATION_TABLES
from tests.marts.test_authorizations import authorization

pytestmark = pytest.mark.slow

HISTORY = "int_visit_history"
TABLES = {
    "intermediate.int_encounters": "tenant_id varchar, patient_id varchar, encounter_date date, status varchar",
    "intermediate.int_appointments": "tenant_id varchar, appointment_id varchar, patient_id varchar",
    "intermediate.int_appointment_outcomes": "tenant_id varchar, appointment_id varchar, appointment_date date",
}


def visit(day: date, *, patient: str | None = "p1", status: str = "finished", tenant: str = "t") -> Row:
    return {"tenant_id": tenant, "patient_id": patient, "encounter_date": day, "status": status}


def built(models: Models, visits: list[Row], appointments: list[tuple[str, date]] = ()) -> dict[tuple[str, date], str]:  # type: ignore[assignment]
    """Patient and day to the kind of the patient; all of tenant t."""
    models.build(
        {
            "intermediate.int_encounters": visits,
            "intermediate.int_appointments": [
                {"tenant_id": "t", "appointment_id": str(number), "patient_id": patient}
                for number, (patient, _) in enumerate(appointments)
            ],
            "intermediate.int_appointment_outcomes": [
                {"tenant_id": "t", "appointment_id": str(number), "appointment_date": day}
                for number, (_, day) in enumerate(appointments)
            ],
        }
    )
    rows = models.rows(HISTORY, "tenant_id", "patient_id", "day", "patient_kind")
    return {(patient, day): kind for tenant, patient, day, kind in rows if tenant == "t"}


@pytest.fixture(scope="module")
def models(project: Compiled) -> Models:
    return Models(project.sql(HISTORY), TABLES)


def test_a_visit_within_three_years_makes_a_patient_established(models: Models) -> None:
    first, later = date(2023, 6, 1), date(2026, 6, 1)
    day = timedelta(days=1)
    kinds = built(
        models,
        [
            visit(date(2020, 1, 1), patient="oldest"),
            visit(first),
            visit(later),
            visit(first + day, patient="p2"),
            visit(first, patient="never came", status="cancelled"),
            visit(first, patient="elsewhere", tenant="u"),
            visit(first, patient=None),
        ],
        [("p2", later), ("never came", later), ("elsewhere", later)],
    )
    # Three years to the day are no longer within three years.
    assert kinds[("p1", later)] == "new"
    assert kinds[("p2", later)] == "established"
    assert kinds[("never came", later)] == "new"
    assert kinds[("elsewhere", later)] == "new"
    # The feeds' visits begin later than three years before.
    assert kinds[("oldest", date(2020, 1, 1))] == "unknown"
    assert ("never came", first) not in kinds


DAYS = st.integers(0, 2_400).map(lambda number: date(2020, 1, 1) + timedelta(days=number))
PATIENTS = st.sampled_from(["p1", "p2", "p3"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(visits=st.lists(st.tuples(PATIENTS, DAYS), max_size=10), booked=st.lists(st.tuples(PATIENTS, DAYS), max_size=6))
def test_every_day_of_a_patient_has_the_kind_that_cpt_says(models: Models, visits, booked) -> None:  # type: ignore[no-untyped-def]
    def years_before(day: date) -> date:
        return day.replace(year=day.year - 3) if (day.month, day.day) != (2, 29) else date(day.year - 3, 2, 28)

    first_known = min((day for _, day in visits), default=None)
    right = {}
    for patient, day in {*visits, *booked}:
        earlier = [seen for who, seen in visits if who == patient and seen < day]
        if any(seen > years_before(day) for seen in earlier):
            right[(patient, day)] = "established"
        elif first_known is not None and first_known <= years_before(day):
            right[(patient, day)] = "new"
        else:
            right[(patient, day)] = "unknown"
    assert built(models, [visit(day, patient=patient) for patient, day in visits], booked) == right


PEOPLE = (
    ("child", 2009, "0 to 17"),
    ("adult", 2008, "18 to 34"),
    ("older", 1942, "75 to 84"),
    ("oldest", 1941, "85 and over"),
    ("not born", 2027, "unknown"),
    ("unknown", None, "unknown"),
)


def test_age_is_of_the_year_of_the_row_and_unknown_stays_unknown(project: Compiled) -> None:
    name = "fct_authorizations"
    models = Models(project.sql(name), AUTHORIZATION_TABLES)
    rows = [authorization(person, "requested", patient_id=person) for person, _, _ in PEOPLE]
    models.build(
        {
            "staging.stg_authorizations": [*rows, authorization("nobody lists", "requested", patient_id="p9")],
            "staging.stg_tenants": [{"tenant_id": "t", "data_as_of_date": date(2026, 10, 31)}],
            "intermediate.int_service_units": [
                {"tenant_id": "t", "service_unit_id": "east", "time_zone": "America/New_York"}
            ],
            "intermediate.int_patients": [
                {"tenant_id": "t", "patient_id": person, "birth_year": year, "sex": "female", "zip3": "119"}
                for person, year, _ in PEOPLE
            ],
        }
    )
    bands = dict(models.rows(name, "authorization_id", "age_band"))
    assert bands == {person: band for person, _, band in PEOPLE} | {"nobody lists": "unknown"}
    traits = {row[0]: row[1:] for row in models.rows(name, "authorization_id", "sex", "language", "zip3")}
    assert traits["child"] == ("female", "unknown", "119")
    assert traits["nobody lists"] == ("unknown", "unknown", "unknown")
