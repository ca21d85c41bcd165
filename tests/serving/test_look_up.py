"""Who a patient is: one at a time, for roles that may, with a reason, and seen by the administrator."""

import io
import json
from datetime import date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_contracts import contract
from foundation.keys import Keys
from ingest.landing.tokens import write_to_vault
from ingest.trace.identities import _letters
from serving.administration import Administration
from serving.disclosures.reached import reached
from serving.people.look_ups import ACTION, MOST_AN_HOUR
from tests.support import clinicmart_here

# Patient -> family name, given name, birth date.
PATIENTS = {
    "t0": ("Núñez-Ortiz", "Ana María", date(1980, 1, 2)),
    "t1": ("Nunez Ortiz", "Ana", date(1991, 3, 4)),
    "t2": ("Canary", "Cleo", date(1970, 5, 6)),
}


@pytest.fixture
def home(place):
    """The small published home, with a vault of harbor that names three of its patients."""
    identity = contract("patient_identity")
    rows = [
        {
            "tenant_id": "harbor", "source_system": "pm", "patient_id": patient, "medical_record_number": f"N-{patient}",
            "family_name": family, "given_name": first, "birth_date": born, "phone": "555-0100", "source_record_id": patient,
            "source_updated_at": datetime(2026, 3, 1), "batch_id": "b", "source_position": "unit 1: row 1",
        }
        for patient, (family, first, born) in PATIENTS.items()
    ]  # fmt: skip
    frame = pl.DataFrame([{name: row.get(name) for name in identity.column_names} for row in rows])
    types = {column.name: column.polars_type for column in identity.columns}
    types["source_updated_at"] = pl.Datetime("us")
    write_to_vault(place.home, Keys.of(place.home), "harbor", frame.cast(types))
    return place.home


@pytest.fixture
def look_up(home, monkeypatch):
    """`look_up("Canary", "Cleo", user="east@harbor")`: the command with what a person types."""

    def ask(*typed, user="admin@harbor", tenant="harbor", reason="Call about the visit", more=()):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in typed)))
        words = ("--tenant", tenant, "--as", user, "--reason", reason, "--home", home.path, "--json")
        return clinicmart_here("identity", "look-up", *words, *more)

    return ask


def shown(ran):
    """What the command showed, as JSON; the prompts stand before it or beside it."""
    return json.loads(ran.out[ran.out.index("{") :])


def audited(place):
    return place.access.audit_rows("harbor", action=ACTION)


def test_an_administrator_sees_one_patient_and_the_audit_knows_whom_without_the_name(place, look_up):
    found = shown(look_up("canary", "CLEO", ""))
    assert found["patient_ids"] == ["t2"]
    assert (found["identity"]["family_name"], found["identity"]["medical_record_number"]) == ("Canary", "N-t2")
    (row,) = audited(place)
    assert (row.actor, row.result) == ("admin@harbor", "done")
    assert row.detail == {
        "reason": "Call about the visit",
        "by": "name",
        "break_glass": False,
        "column": "patient_id",
        "people": ["t2"],
    }
    assert place.access.verify_audit().is_intact
    # Who saw this patient: the look-up is among the answers.
    (act,) = reached(place.home, "harbor", actor="admin@harbor")
    assert (act.row.action, act.patients) == (ACTION, frozenset({"t2"}))


def test_of_several_who_fit_none_is_shown_and_the_birth_date_decides(place, look_up):
    ran = look_up("Nunez-Ortiz", "Ana", "")
    assert ran.code == 1
    assert "2 patients fit" in ran.err
    assert not any(name in ran.out + ran.err for name in ("Núñez", "1980", "1991", "N-t"))
    assert shown(look_up("nunez ortiz", "ana", "1980-01-02"))["patient_ids"] == ["t0"]
    assert [row.result for row in audited(place)] == ["done", "refused"]


def test_an_id_leads_to_the_name(look_up):
    assert shown(look_up(more=("--patient", "t2")))["identity"]["given_name"] == "Cleo"
    assert look_up(more=("--patient", "nobody")).code == 1


@pytest.mark.parametrize("typed", [("Nobody", "Cleo", ""), ("Canary", "Cleo", "1970-05-07"), ("", "", "")])
def test_nobody_fits(place, look_up, typed):
    ran = look_up(*typed)
    assert ran.code != 0
    assert "Canary" not in ran.out + ran.err


@pytest.mark.parametrize("user", ["ceo@harbor", "analyst@harbor", "partner@harbor"])
def test_roles_without_patients_never_look_up_not_even_in_an_emergency(place, look_up, user):
    for more in ((), ("--break-glass",)):
        ran = look_up("Canary", "Cleo", "", user=user, more=more)
        assert (ran.code, "may not look up" in ran.err, "N-t2" in ran.out) == (1, True, False)
    assert {(row.actor, row.result) for row in audited(place)} == {(user, "refused")}


@pytest.mark.parametrize("user", ["east@harbor", "biller@harbor", "doctor@harbor"])
def test_others_break_the_glass_and_every_administrator_sees_it(place, look_up, user):
    refused = look_up("Canary", "Cleo", "", user=user)
    assert (refused.code, "emergency only" in refused.err) == (1, True)
    administration = Administration(
        place.home, place.access, place.access.principal("harbor", "admin@harbor"), units=(), providers=()
    )
    assert administration.broken_glass() == ()
    assert shown(look_up("Canary", "Cleo", "", user=user, more=("--break-glass",)))["patient_ids"] == ["t2"]
    (row,) = administration.broken_glass()
    assert (row.actor, row.detail["reason"]) == (user, "Call about the visit")
    # An administrator's own look-ups are no emergencies.
    look_up("Canary", "Cleo", "", more=("--break-glass",))
    assert len(administration.broken_glass()) == 1


def test_a_reason_is_a_sentence(place, look_up):
    assert look_up("Canary", "Cleo", "", reason="x").code == 2
    assert audited(place) == ()


def test_another_tenant_has_another_vault(look_up):
    ran = look_up("Canary", "Cleo", "", user="admin@mesa", tenant="mesa")
    assert (ran.code, "N-t2" in ran.out) == (1, False)
    assert look_up("Canary", "Cleo", "", user="admin@mesa").code == 1


def test_one_at_a_time_does_not_become_a_list(place, look_up):
    for _ in range(MOST_AN_HOUR):
        place.access.audit("harbor", "admin@harbor", ACTION, detail={"people": ["t2"], "column": "patient_id"})
    ran = look_up("Canary", "Cleo", "")
    assert (ran.code, "within an hour" in ran.err) == (1, True)
    # Others still may.
    assert look_up("Canary", "Cleo", "", user="east@harbor", more=("--break-glass",)).code == 0


@given(name=st.text())
def test_a_name_is_compared_without_case_accents_and_marks(name):
    plain = _letters(name)
    assert plain == _letters(plain) == _letters(f" {name}-'. ")
    assert _letters(name.upper()) == _letters(name.upper().lower().upper())
