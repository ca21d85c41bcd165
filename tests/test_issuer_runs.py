"""Numbers of several issuers and keys of an database that ignores case, from feeds to figures: tenants of one home, run once."""

import json
import sqlite3
from pathlib import Path

import pytest

from tests.support import clinicmart, clinicmart_here

ADT = (
    "MSH|^~\\&|EHR|{site}|W|H|{at}||ADT^A04|{control}|P|2.5.1\rEVN|A04|{at}\r"
    "PID|1||{patient}||ROE^{name}||{born}|{sex}\rPV1|1|O|{unit}{gap}{visit}\r"
)
GAP = "|" * 16
PM = """
kind: pm_database
time_zone: tenant
keys: {case: insensitive, padding: trimmed}
entities:
  encounter:
    sql: |
      select id as source_record_id, id as encounter_id, mrn as patient_id, 'AMB' as encounter_class, 'finished' as status,
        began as started_at, began as source_updated_at from visits
  charge:
    sql: |
      select id as source_record_id, id as charge_id, visit as encounter_id, mrn as patient_id, 'posted' as status,
        '99213' as procedure_code, amount as billed_amount, day as service_date, day as source_updated_at from charges
"""
CONFIGURATION = """
tenants:
  one-feed:
    name: One feed
    time_zone: America/New_York
    as_of: 2026-06-30
    feeds: [{name: adt, kind: hl7v2, path: one-feed}]
  two-feeds:
    name: Two feeds
    time_zone: America/New_York
    as_of: 2026-06-30
    feeds: [{name: adt_a, kind: hl7v2, path: two-a}, {name: adt_b, kind: hl7v2, path: two-b}]
  database:
    name: Database
    time_zone: America/New_York
    as_of: 2026-06-30
    feeds: [{name: pm, kind: pm_database, profile: pm.yaml, url: "sqlite:///DATABASE"}]
  no-rule:
    name: Database whose profile says nothing about keys
    time_zone: America/New_York
    as_of: 2026-06-30
    feeds: [{name: pm, kind: pm_database, profile: no-rule.yaml, url: "sqlite:///DATABASE"}]
"""


def message(site: str, day: int, patient: str, visit: str, name: str, born: str, sex: str = "F") -> str:
    at = f"202603{day:02d}090000"
    return ADT.format(
        site=site,
        at=at,
        control=f"{site}{day}",
        patient=patient,
        name=name,
        born=born,
        sex=sex,
        unit=f"U{site}",
        gap=GAP,
        visit=visit,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("issuers")
    feeds = {
        "one-feed": [
            message("A", 10, "31^^^A^MR", "77^^^A", "ANN", "19500101"),
            message("B", 12, "31^^^B^MR", "77^^^B", "ANN", "20010101"),
        ],
        "two-a": [message("A", 10, "41^^^A^MR", "77", "ANN", "19500101")],
        "two-b": [message("B", 12, "52^^^B^MR", "77", "ANN", "20010101")],
    }
    for name, messages in feeds.items():
        (folder / name).mkdir()
        (folder / name / "a.hl7").write_text("".join(messages), newline="")
    (folder / "pm.yaml").write_text(PM, encoding="utf-8")
    (folder / "no-rule.yaml").write_text(
        PM.replace("keys: {case: insensitive, padding: trimmed}\n", ""), encoding="utf-8"
    )
    (folder / "c.yaml").write_text(CONFIGURATION.replace("DATABASE", str(folder / "pm.sqlite")), encoding="utf-8")
    with sqlite3.connect(folder / "pm.sqlite") as connection:
        connection.executescript(
            "create table visits (id, mrn, began); create table charges (id, visit, mrn, amount, day);"
            "insert into visits values ('E1', 'm1', '2026-03-10 10:00:00'), ('E2', 'M2', '2026-03-10 11:00:00'), "
            "('E3', 'M3', '2026-03-10 12:00:00'), ('E9', 'M9', '2026-03-30 12:00:00');"
            "insert into charges values ('C1', 'E1      ', 'M1', '200.00', '2026-03-10'), ('C2', 'e2', 'M2', '100.00', '2026-03-10'), "
            "('C3', 'e3', 'M4', '50.00', '2026-03-10');"
        )
    home = folder / "home"
    ran = clinicmart("run", "--config", str(folder / "c.yaml"), "--home", str(home))
    assert ran.code == 0, ran.out + ran.err
    return home


def figures(home: Path, tenant: str, *metrics: str) -> list[int]:
    who = ("--home", home, "--tenant", tenant, "--as", f"admin@{tenant}")
    asked = clinicmart_here("metrics", "query", ",".join(metrics), *who, "--format", "csv")
    assert asked.code == 0, asked.err
    names, values = (line.split(",") for line in asked.out.strip().splitlines()[-2:])
    found = dict(zip(names, values, strict=True))
    return [int(found[name]) for name in metrics]


def test_one_number_of_two_authorities_is_two_people_and_two_visits(home: Path) -> None:
    assert figures(home, "one-feed", "patients", "encounters") == [2, 2]


def test_one_visit_number_of_two_feeds_that_contradict_is_two_visits_and_shown(home: Path) -> None:
    assert figures(home, "two-feeds", "patients", "encounters") == [2, 2]
    status = clinicmart_here("status", "--home", home, "--json")
    conflicts = json.loads(status.out)["conflicts"]
    shown = [(row["tenant_id"], row["entity"], row["column_name"], row["keys_in_conflict"]) for row in conflicts]
    assert shown == [("two-feeds", "encounter", "encounter_id", 1)]


def test_charges_that_name_a_visit_as_the_database_compares_it_are_of_that_visit(home: Path) -> None:
    assert figures(home, "database", "encounters", "unbilled_visits") == [4, 0]


def test_without_a_rule_a_number_in_another_case_is_of_the_visit_of_the_same_patient_alone(home: Path) -> None:
    # The charge that names e3 is of another patient than visit E3: nothing but the number says that they belong together.
    assert figures(home, "no-rule", "encounters", "unbilled_visits") == [4, 1]
