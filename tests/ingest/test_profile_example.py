"""The worked example of docs/profiles.md for a PM system, carried out; and what `sources check` says of one that is wrong."""

import re
import sqlite3
from pathlib import Path

import pytest

from tests.support import ROOT, clinicmart_here

SCHEMA = """
create table patients (id integer primary key, chart_no text);
create table appts (appt_no integer primary key, patient integer, clinic text, state text, starts text, changed_on text);
insert into patients values (1, 'C-2041'), (2, 'C-2042');
insert into appts values
    (11, 1, 'north', 'B', '2026-03-02 09:00:00', '2026-03-01 10:00:00'),
    (12, 2, 'north', 'N', '2026-03-02 09:30:00', '2026-03-02 18:00:00'),
    (13, 1, 'south', 'X', '2026-03-03 10:00:00', '2026-03-02 11:00:00');
"""


def example() -> str:
    """The profile that the page shows."""
    page = (ROOT / "docs" / "profiles.md").read_text("utf-8")
    result = re.search(r"```yaml\n(kind: pm_database\n.*?)```", page, re.DOTALL)
    assert result is not None
    return result[1]


@pytest.fixture
def check(tmp_path: Path):
    database = tmp_path / "pm.sqlite"
    with sqlite3.connect(database) as connection:
        connection.executescript(SCHEMA)
    (tmp_path / "clinicmart.yaml").write_text(
        "tenants:\n  harbor:\n    name: Harbor\n    time_zone: America/New_York\n    feeds:\n"
        f"      - {{name: pm, kind: pm_database, profile: ours.yaml, url: 'sqlite:///{database}'}}\n",
        encoding="utf-8",
    )

    def run(profile: str):
        (tmp_path / "ours.yaml").write_text(profile, encoding="utf-8")
        return clinicmart_here("sources", "check", "--config", tmp_path / "clinicmart.yaml")

    return run


def line_of(profile: str, text: str) -> int:
    """The line of the profile that holds a text."""
    return next(number for number, line in enumerate(profile.splitlines(), start=1) if text in line)


def test_the_example_of_the_docs_reads_every_row(check) -> None:
    ran = check(example())
    assert ran.code == 0, ran.err
    (row,) = [line.split() for line in ran.out.splitlines() if line.strip().startswith("harbor")]
    assert row == ["harbor", "pm", "pm_database", "1", "3", "3", "0"]
    assert ran.err == ""


def test_a_code_that_was_not_translated_is_named_by_its_line(check) -> None:
    profile = example().replace("when 'N' then 'no_show'", "when 'N' then 'missed'")
    ran = check(profile)
    assert ran.code == 0
    expected = (
        "appointment.status: unknown word missed in status, which becomes unknown "
        f"(see {{}}:{line_of(profile, 'as status')}): 1 rows"
    )
    assert re.search(re.escape(expected).replace(re.escape("{}"), r"\S+/ours\.yaml"), ran.err), ran.err


def test_a_column_that_no_contract_names_is_told_by_its_line(check) -> None:
    profile = example().replace(
        "as scheduled_start_at\n", "as scheduled_start_at,\n        a.state          as our_state\n"
    )
    ran = check(profile)
    assert "appointment.our_state: no contract names it, dropped (see " in ran.err
    assert f"ours.yaml:{line_of(profile, 'as our_state')}): 3 rows" in ran.err


@pytest.mark.parametrize(
    ("change", "text", "expected_text", "code"),
    [
        (("appointment:", "appointments:"), "appointments:", "there is no entity with this name", 2),
        (("reconcile_days: 1", "reconcile_day: 1"), "reconcile_day: 1", "unknown key", 2),
        (("overlap_minutes: 120", "overlap_minutes: often"), "overlap_minutes", "not a whole number", 2),
        (("as appointment_id", "as appt_id"), "sql: |", "must select appointment_id", 2),
        (("a.starts ", "a.begins "), "sql: |", "no such column: a.begins", 1),
    ],
)
def test_what_is_wrong_with_a_profile_is_named_by_file_and_line(check, change, text, expected_text, code) -> None:
    profile = example().replace(*change)
    assert profile != example()
    ran = check(profile)
    assert ran.code == code, ran.err
    assert expected_text in ran.err
    assert f"ours.yaml:{line_of(profile, text)}" in ran.err


def test_a_status_that_a_fhir_profile_does_not_know_names_the_key_to_extend(tmp_path: Path) -> None:
    resource = (
        '{"resourceType":"Encounter","id":"e1","status":"strange","class":{"code":"AMB"},'
        '"subject":{"reference":"Patient/p1"},"period":{"start":"2026-03-02T09:00:00Z"}}\n'
    )
    (tmp_path / "Encounter.ndjson").write_text(resource, encoding="utf-8")
    (tmp_path / "ours.yaml").write_text("kind: fhir\nextends: r4\n", encoding="utf-8")
    (tmp_path / "clinicmart.yaml").write_text(
        "tenants:\n  harbor:\n    name: Harbor\n    time_zone: America/New_York\n    feeds:\n"
        "      - {name: ehr, kind: fhir, profile: ours.yaml, path: Encounter.ndjson}\n",
        encoding="utf-8",
    )
    ran = clinicmart_here("sources", "check", "--config", tmp_path / "clinicmart.yaml")
    standard = (ROOT / "ingest" / "profiles" / "r4.yaml").read_text("utf-8")
    assert (
        f"encounter.status: unknown word strange in Encounter.status, which becomes unknown (see {ROOT}/ingest/profiles/r4.yaml:"
        in ran.err
    ), ran.err
    assert (
        f"r4.yaml:{line_of(standard, 'encounter_statuses')}" in ran.err
        or f"r4.yaml:{line_of(standard, 'encounter_statuses') + 1}" in ran.err
    )
