"""Writes the PM database of a tenant: SQLite by the schema file, rows in order of their keys."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from clinicmart.sample import access, diagnoses, eligibility, flaws, moves, pm_tables
from clinicmart.sample.clock import DAY
from clinicmart.sample.people import coverages_table, patients_table
from clinicmart.sample.story import Story

SCHEMA = Path(__file__).with_name("pm_schema.sql")
CHUNK_ROWS = 50_000


def tables(story: Story) -> Iterator[tuple[str, pl.DataFrame]]:
    """Name and rows of each table, bad rows included."""
    yield from story.group.frames.items()
    yield "service_unit_placements", moves.placements(story)
    visited = np.full(len(story.people.payer), (story.calendar.first - 30) * DAY + 16 * 3600)
    np.maximum.at(visited, story.appointments.patient, np.maximum(story.appointments.booked, 0))
    yield "patients", patients_table(story.people, story.group, visited)
    yield "coverages", coverages_table(story.people, story.group, story.calendar)
    checks, benefits = eligibility.tables(story)
    yield "eligibility_checks", checks
    yield "eligibility_benefits", benefits
    referrals, referral_ids = access.referrals(story)
    yield "referrals", referrals
    appointments = pm_tables.appointments(story, referral_ids)
    yield "appointments", pl.concat([appointments, flaws.bad_appointments(appointments)])
    yield "appointment_status_history", pm_tables.appointment_status_history(story)
    yield "slots", access.slots(story, access.draw_slots(story))
    yield "reminders", access.reminders(story)
    yield "authorizations", access.authorizations(story)
    yield "encounters", pm_tables.encounters(story)
    yield "encounter_timestamps", pm_tables.encounter_timestamps(story)
    yield "admit_decisions", pm_tables.admit_decisions(story)
    yield "encounter_diagnoses", diagnoses.encounter_diagnoses(story)
    charges = pm_tables.charges(story)
    yield "charges", pl.concat([charges, flaws.bad_charges(charges)])
    yield "claims", pm_tables.claims(story)
    yield "claim_lines", pm_tables.claim_lines(story)
    yield "patient_payments", pm_tables.patient_payments(story)
    yield "adjustments", pm_tables.adjustments(story)
    yield "staff_shifts", access.staff_shifts(story)
    yield "inventory_usage", access.inventory_usage(story)
    yield "ledger_entries", access.ledger_entries(story)


def write_database(story: Story, file: Path) -> dict[str, int]:
    """Writes a fresh database and returns the rows per table. Raises sqlite3.Error where the disk refuses."""
    file.unlink(missing_ok=True)
    rows: dict[str, int] = {}
    connection = sqlite3.connect(file, isolation_level=None)
    try:
        for setting in ("journal_mode = off", "synchronous = off", "foreign_keys = off", "cache_size = -200000"):
            connection.execute(f"PRAGMA {setting}")
        connection.executescript(SCHEMA.read_text(encoding="utf-8"))
        connection.execute("BEGIN")
        for name, frame in tables(story):
            places = ", ".join("?" * frame.width)
            statement = f"INSERT INTO {name} ({', '.join(frame.columns)}) VALUES ({places})"
            for chunk in frame.iter_slices(CHUNK_ROWS):
                columns = [chunk[column].to_list() for column in chunk.columns]
                connection.executemany(statement, zip(*columns, strict=True))
            rows[name] = frame.height
        connection.execute("COMMIT")
    finally:
        connection.close()
    return rows
