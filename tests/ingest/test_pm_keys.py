"""How a PM database compares its keys: what the profile says of it, and keys and references that follow it."""

import sqlite3
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import contract
from foundation.config import Feed
from foundation.errors import ConfigurationError
from ingest.profiles import load_profile
from ingest.profiles.pm_database import KeyRules
from ingest.sources import source_for
from ingest.sources.pm_database.keys import comparable_keys, key_columns

PROFILE = """
kind: pm_database
time_zone: tenant
{keys}
entities:
  encounter:
    sql: |
      select id as source_record_id, id as encounter_id, mrn as patient_id, 'AMB' as encounter_class, status,
        s as started_at, s as source_updated_at from visits
  charge:
    sql: |
      select id as source_record_id, id as charge_id, visit as encounter_id, mrn as patient_id, 'posted' as status,
        code as procedure_code, '100.00' as billed_amount, day as service_date, day as source_updated_at from charges
"""
RULES = "keys: {case: insensitive, padding: trimmed}"


@pytest.fixture
def feed(tmp_path: Path):
    with sqlite3.connect(tmp_path / "pm.sqlite") as connection:
        connection.executescript(
            "create table visits (id, mrn, status, s); create table charges (id, visit, mrn, code, day);"
            "insert into visits values ('E1  ', 'm1', 'finished', '2026-03-10 10:00:00'),"
            " ('e2', 'M2 ', 'finished', '2026-03-10 11:00:00');"
            "insert into charges values ('c1', 'E1', 'M1', 'a0425', '2026-03-10'), ('C2 ', 'E2   ', 'm2', 'x ', '2026-03-10');"
        )

    def made(keys: str) -> Feed:
        (tmp_path / "pm.yaml").write_text(PROFILE.format(keys=keys), encoding="utf-8")
        url = f"sqlite:///{tmp_path / 'pm.sqlite'}"
        return Feed(tenant_id="harbor", name="pm", kind="pm_database", profile=str(tmp_path / "pm.yaml"), url=url)

    return made


def rows(feed: Feed, entity: str, *columns: str) -> list[tuple]:
    source = source_for("pm_database")
    unit = next(unit for unit in source.discover(feed) if unit.name == entity)
    return pl.concat([chunk.rows[entity] for chunk in source.read(unit) if entity in chunk.rows]).select(columns).rows()


def test_keys_and_references_are_read_as_the_database_compares_them(feed) -> None:
    ruled = feed(RULES)
    assert rows(ruled, "encounter", "encounter_id", "patient_id") == [("E1", "M1"), ("E2", "M2")]
    assert rows(ruled, "charge", "charge_id", "encounter_id", "patient_id") == [("C1", "E1", "M1"), ("C2", "E2", "M2")]


def test_what_is_no_key_stays_as_it_is(feed) -> None:
    assert rows(feed(RULES), "charge", "source_record_id", "procedure_code", "status") == [
        ("c1", "a0425", "posted"),
        ("C2 ", "x ", "posted"),
    ]


def test_without_a_rule_a_key_is_its_exact_text(feed) -> None:
    assert rows(feed(""), "charge", "charge_id", "encounter_id") == [("c1", "E1"), ("C2 ", "E2   ")]


def test_a_changed_rule_has_tables_read_whole(feed) -> None:
    source = source_for("pm_database")
    definitions = {keys: source.discover(feed(keys))[0].table.definition for keys in ("", RULES)}
    assert definitions[""] != definitions[RULES]


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ("keys: {case: maybe}", "'maybe' is not one of sensitive, insensitive"),
        ("keys: {padding: gone}", "'gone' is not one of kept, trimmed"),
        ("keys: {accents: ignored}", "accents"),
    ],
)
def test_a_wrong_rule_is_named_with_its_line(feed, keys: str, problem: str) -> None:
    made = feed(keys)
    with pytest.raises(ConfigurationError, match=problem) as error:
        load_profile(made.profile or "", "pm_database")
    assert "pm.yaml:4" in str(error.value)


def test_the_keys_of_an_entity_are_what_names_rows() -> None:
    assert set(key_columns("charge")) >= {
        "charge_id",
        "encounter_id",
        "claim_id",
        "patient_id",
        "reversal_of_charge_id",
    }
    assert not set(key_columns("charge")) & {"source_record_id", "procedure_code", "status", "billed_amount"}
    assert "claim_id" in key_columns("claim"), "claim lines refer to it, though it is not the key"


@settings(max_examples=60, deadline=None)
@given(
    st.text("aAbB0", min_size=1, max_size=4),
    st.text("aAbB0", min_size=1, max_size=4),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
)
def test_two_keys_are_one_text_where_the_database_takes_them_for_one(
    first: str, other: str, blanks: int, ignores_case: bool, trims: bool
) -> None:
    padded = other + " " * blanks
    frame = pl.DataFrame({"encounter_id": [first, padded], "status": [first, padded]})
    result = comparable_keys(frame, contract("encounter"), KeyRules(is_case_insensitive=ignores_case, is_trimmed=trims))
    collation = "collate nocase" if ignores_case else "collate binary"
    texts = [f"rtrim(?) {collation}" if trims else f"? {collation}"] * 2
    with sqlite3.connect(":memory:") as database:
        is_one = database.execute(f"select {' = '.join(texts)}", (first, padded)).fetchone()[0]
    assert result["encounter_id"].n_unique() == (1 if is_one else 2)
    assert result["status"].to_list() == [first, padded]
