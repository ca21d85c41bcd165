"""Numbers of several issuers and keys of a database that ignores case, from feeds to figures."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.runs.site import Configuration, Site, feed, tenant

pytestmark = pytest.mark.slow
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


def deliver(folder: Path) -> Configuration:
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
    with sqlite3.connect(folder / "pm.sqlite") as connection:
        connection.executescript(
            "create table visits (id, mrn, began); create table charges (id, visit, mrn, amount, day);"
            "insert into visits values ('E1', 'm1', '2026-03-10 10:00:00'), ('E2', 'M2', '2026-03-10 11:00:00'), "
            "('E3', 'M3', '2026-03-10 12:00:00'), ('E9', 'M9', '2026-03-30 12:00:00');"
            "insert into charges values ('C1', 'E1      ', 'M1', '200.00', '2026-03-10'), ('C2', 'e2', 'M2', '100.00', '2026-03-10'), "
            "('C3', 'e3', 'M4', '50.00', '2026-03-10');"
        )
    connection.close()

    def database(profile: str) -> dict[str, Any]:
        pm = {"name": "pm", "kind": "pm_database", "profile": profile, "url": f"sqlite:///{folder / 'pm.sqlite'}"}
        return tenant([pm], as_of="2026-06-30")

    return {
        "one-feed": tenant([feed("adt", "hl7v2", "one-feed")], as_of="2026-06-30"),
        "two-feeds": tenant([feed("adt_a", "hl7v2", "two-a"), feed("adt_b", "hl7v2", "two-b")], as_of="2026-06-30"),
        "database": database("pm.yaml"),
        # The same database under a profile that says nothing about keys.
        "no-rule": database("no-rule.yaml"),
    }


def test_one_number_of_two_authorities_is_two_people_and_two_visits(first: Site) -> None:
    assert first.figures("one-feed", "patients", "encounters") == {"patients": 2, "encounters": 2}


def test_one_visit_number_of_two_feeds_that_contradict_is_two_visits_and_shown(first: Site) -> None:
    assert first.figures("two-feeds", "patients", "encounters") == {"patients": 2, "encounters": 2}
    shown = [
        (row["tenant_id"], row["entity"], row["column_name"], row["keys_in_conflict"])
        for row in first.status()["conflicts"]
        if row["tenant_id"] in ("one-feed", "two-feeds", "database", "no-rule")
    ]
    assert shown == [("two-feeds", "encounter", "encounter_id", 1)]


def test_charges_that_name_a_visit_as_the_database_compares_it_are_of_that_visit(first: Site) -> None:
    assert first.figures("database", "encounters", "unbilled_visits") == {"encounters": 4, "unbilled_visits": 0}


def test_without_a_rule_a_number_in_another_case_is_of_the_visit_of_the_same_patient_alone(first: Site) -> None:
    # The charge that names e3 is of another patient than visit E3: nothing but the number says that they belong together.
    assert first.figures("no-rule", "encounters", "unbilled_visits") == {"encounters": 4, "unbilled_visits": 1}
