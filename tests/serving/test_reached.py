"""Whose records were reached: by patient, by person, and the rehearsal of a breach as docs/breach.md describes it."""

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest

from data_contracts import contract
from foundation.errors import AccessError
from foundation.keys import Keys
from ingest.landing.tokens import write_to_vault
from serving.disclosures.breach import Breach, ReachedPatient, breach
from serving.disclosures.reached import Patients, reached, who_saw
from serving.extracts import extract
from tests.support import clinicmart_here

ALL_PATIENTS = {f"t{number}" for number in range(10)}
TODAY = datetime.now(UTC).date()
EVER = ("--from", "2026-01-01", "--to", f"{TODAY + timedelta(days=1)}")


def seen_by(place, user, patient):
    return list(who_saw(reached(place.home, "harbor", actor=user), patient))


@pytest.mark.parametrize("user", ["admin@harbor", "east@harbor", "analyst@harbor", "doctor@harbor"])
def test_a_drill_is_found_again_under_the_patients_own_id_whatever_the_scope_calls_them(place, reader, user):
    drill = reader(user).drill("visits", limit=500)
    own = set(place_patients(place, reader, user, drill))
    assert own
    for patient in ALL_PATIENTS:
        acts = seen_by(place, user, patient)
        assert bool(acts) == (patient in own)
        assert all((act.row.actor, act.tables, act.unresolved) == (user, ("fct_visits",), 0) for act in acts)


def place_patients(place, reader, user, drill):
    """The published ids of the patients of a drill, by the visits in it and the administrator's file."""
    data = reader("admin@harbor")._metrics.data
    of = dict(data.frame("select visit_id, patient_id from warehouse.marts.fct_visits where is_visit").rows())
    if set(drill.frame["visit_id"]) <= set(of):
        return [of[visit] for visit in drill.frame["visit_id"]]
    # The analyst sees all rows, under surrogates of visits too.
    return list(of.values())


def test_rows_that_name_no_patient_are_found_by_their_account_also_under_a_surrogate(place, reader):
    data = reader("admin@harbor")._metrics.data
    charge, patient = data.frame("select charge_id, patient_id from warehouse.marts.fct_charges limit 1").row(0)
    with Patients(place.home, "harbor") as patients:
        assert patients.of_records("fct_charges", "charge_id", [charge, "no such"], "") == ({patient}, 1)
        analyst = reader("analyst@harbor")
        surrogates = analyst._metrics.data.frame("select charge_id from warehouse.marts.fct_charges")["charge_id"]
        found, missing = patients.of_records("fct_charges", "charge_id", surrogates, analyst.scope.hash)
    assert missing == 0
    assert found == set(data.frame("select distinct patient_id from warehouse.marts.fct_charges")["patient_id"])


def test_an_extract_reaches_everybody_in_it_and_says_when_that_is_an_estimate(place, person, tmp_path):
    extract(place.home, person("analyst@harbor"), tmp_path / "x.duckdb")
    (act,) = reached(place.home, "harbor", actor="analyst@harbor")
    assert (set(act.patients), act.is_estimate) == (ALL_PATIENTS, False)
    for file in (place.home.path / "published").rglob("by_scope/*.duckdb"):
        file.unlink()
    (act,) = reached(place.home, "harbor", actor="analyst@harbor")
    assert (set(act.patients), act.is_estimate) == (ALL_PATIENTS, True)


def test_refused_acts_and_other_tenants_reach_nobody(place, reader):
    with pytest.raises(AccessError):
        reader("ceo@harbor").drill("visits")
    reader("east@mesa").drill("visits")
    assert reached(place.home, "harbor") == []
    assert len(reached(place.home, "mesa")) == 1


def test_a_name_of_no_patient_is_counted_and_not_lost(place, reader):
    scope = reader("east@harbor").scope.hash
    detail = {"metric": "visits", "column": "patient_id", "people": ["t1", "gone"]}
    place.access.audit("harbor", "east@harbor", "drill", scope, detail)
    place.access.audit("harbor", "east@harbor", "source opened", scope, {"table": "fct_claims"})
    drill, source = reached(place.home, "harbor", actor="east@harbor")
    assert (set(drill.patients), drill.unresolved) == ({"t1"}, 1)
    assert (set(source.patients), source.unresolved) == (set(), 1)


# The rehearsal


@pytest.fixture
def breached(place, reader, tmp_path):
    """A stolen sign-in of east@harbor opened rows, figures and something refused; others worked meanwhile."""
    from serving.model import MetricQuery
    from serving.people.caller import Caller, set_caller

    set_caller(Caller(channel="page", address="203.0.113.9", session="5to1en"))
    east = reader("east@harbor")
    east.query(MetricQuery(metrics=["visits"]))
    east.drill("visits", {"service_unit": "lab"}, limit=500)
    with pytest.raises(AccessError):
        east.drill("visits", {"service_unit": "west"})
    set_caller(Caller(channel="page", address="192.0.2.1", session="w0rk"))
    reader("admin@harbor").drill("visits", limit=500)
    set_caller(Caller())
    identity = contract("patient_identity")
    rows = [
        {
            "tenant_id": "harbor", "source_system": "pm", "patient_id": patient, "medical_record_number": f"N-{patient}",
            "family_name": f"Family {patient}", "address_line": "1 Main Street", "source_record_id": patient,
            "source_updated_at": datetime(2026, 3, 1), "batch_id": "b", "source_position": "unit 1: row 1",
        }
        for patient in ALL_PATIENTS
    ]  # fmt: skip
    frame = pl.DataFrame([{name: row.get(name) for name in identity.column_names} for row in rows])
    types = {column.name: column.polars_type for column in identity.columns}
    types["source_updated_at"] = pl.Datetime("us")
    write_to_vault(place.home, Keys.of(place.home), "harbor", frame.cast(types))
    return place


def asked(place, *words):
    return clinicmart_here("audit", *words, "--tenant", "harbor", *EVER, "--home", place.home.path)


def test_the_rehearsal_of_a_breach(breached, reader, tmp_path):
    data = reader("admin@harbor")._metrics.data
    lab = "select distinct patient_id from warehouse.marts.fct_visits where service_unit_id = 'lab' and is_visit"
    right = sorted(data.frame(lab)["patient_id"])
    assert 0 < len(right) < len(ALL_PATIENTS)
    for words in (("--session", "5to1en"), ("--user", "east@harbor")):
        told = json.loads(asked(breached, "breach", *words, "--discovered", "2026-11-02", "--json").out)
        assert [item["patient_id"] for item in told["patients"]] == right
        assert (told["people"], told["people_only_estimated"]) == (len(right), 0)
        assert (told["acts_that_showed_figures_only"], told["acts_refused"]) == (1, 1)
        assert (told["addresses"], told["users"]) == ("203.0.113.9", "east@harbor")
        assert (told["letters_by"], told["secretary_by"]) == ("2027-01-01", "2027-03-01")
    everybody = json.loads(asked(breached, "breach", "--json").out)
    assert everybody["users"] == "admin@harbor, east@harbor"
    letters = tmp_path / "letters.csv"
    refused = asked(
        breached, "breach", "--session", "5to1en", "--letters", letters, "--as", "east@harbor", "--reason", "rehearsal"
    )
    assert (refused.code, letters.exists()) == (1, False)
    done = asked(
        breached, "breach", "--session", "5to1en", "--letters", letters, "--as", "admin@harbor", "--reason", "rehearsal"
    )
    assert done.code == 0, done.err
    assert letters.stat().st_mode & 0o077 == 0
    rows = list(csv.DictReader(io.StringIO(letters.read_text("utf-8"))))
    assert [row["family_name"] for row in rows] == [f"Family {patient}" for patient in right]
    newest = breached.access.audit_rows("harbor", action="letters", limit=2)
    assert [(row.result, row.detail["people"]) for row in newest] == [("done", len(right)), ("refused", len(right))]


def test_who_saw_a_patient_is_answered_by_id_and_by_number_and_the_question_is_a_row(breached):
    by_id = asked(breached, "patient", "t1", "--csv")
    by_number = asked(breached, "patient", "--number", "N-t1", "--csv")
    assert by_id.code == 0, by_id.err
    assert by_id.out == by_number.out
    rows = list(csv.DictReader(io.StringIO(by_id.out)))
    assert {row["actor"] for row in rows} <= {"admin@harbor", "east@harbor"}
    assert ("admin@harbor", "192.0.2.1", "w0rk") in {(row["actor"], row["address"], row["session"]) for row in rows}
    assert breached.access.audit_rows("harbor", action="list")[0].detail["people"] == ["t1"]
    assert asked(breached, "patient", "--number", "nobody").code == 1
    assert asked(breached, "patient").code == 2


def test_what_a_person_saw_is_listed_with_how_many_patients(breached):
    rows = list(csv.DictReader(io.StringIO(asked(breached, "person", "east@harbor", "--csv").out)))
    assert [(row["action"], row["result"]) for row in rows] == [
        ("query", "done"), ("drill", "done"), ("drill", "refused"),
    ]  # fmt: skip
    assert [bool(row["patients"]) for row in rows] == [False, True, False]
    assert "t1" not in "".join(row["detail"] for row in rows)


@pytest.mark.parametrize(
    ("people", "secretary", "media"),
    [(499, "2027-03-01", False), (500, "2027-01-01", False), (501, "2027-01-01", True)],
)
def test_from_five_hundred_people_on_the_secretary_is_told_with_the_letters(people, secretary, media):
    now = datetime(2026, 10, 1, tzinfo=UTC)
    patients = tuple(
        ReachedPatient(
            patient_id=f"t{n}", zip3="021", times=1, first_at=now, last_at=now, actions=(), tables=(), is_estimate=False
        )
        for n in range(people)
    )  # fmt: skip
    extent = Breach(
        patients=patients, acts=1, actors=(), addresses=(), figures_only=0, refused=0, unresolved=0,
        discovered_on=date(2026, 11, 2),
    )  # fmt: skip
    assert (f"{extent.letters_by}", f"{extent.secretary_by}", extent.may_need_media) == ("2027-01-01", secretary, media)


def test_the_time_of_a_breach_is_a_time_in_utc_with_its_end_not_included(breached):
    acts = reached(breached.home, "harbor", actor="east@harbor")
    at = acts[0].row.at
    day = date(2026, 11, 2)
    for since, until, people in ((at, at, 0), (at, at + timedelta(microseconds=1), True), (at - timedelta(1), at, 0)):
        extent = breach(breached.home, "harbor", since=since, until=until, discovered_on=day, actor="east@harbor")
        assert bool(extent.patients) == bool(people)
