"""Words that no profile knows, in every kind of feed: counted, never taken for a known word, and taught by a profile."""

import os
import re
import sqlite3
import string
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation import duck
from foundation.config import Config, Feed, load_config
from foundation.errors import ConfigurationError
from foundation.feed_remote import Listener
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.accounts.accounts import notice_reasons, unknown_words
from ingest.inbox import mllp_journal
from ingest.inbox.inbox import Inbox
from ingest.landing.land_feed import land_feed
from ingest.landing.quarantine import held_rows
from ingest.landing.unknown_words import NOT_SHOWN, shown_word
from ingest.ledger import Ledger
from ingest.load.raw_tables import load_warehouse
from ingest.profiles import load_profile, profile_digest
from tests.ingest.coded_fields import FIELDS, SLOT, Field, adt, profile_of, read, remittance, resource, sch
from tests.support import clinicmart_here

# Two letters that begin no word of any standard here, then some more: an unknown word of every field.
WORDS = st.text(string.ascii_uppercase, min_size=2, max_size=6).map(lambda others: f"QJ{others}")


@pytest.mark.parametrize("field", FIELDS, ids=str)
@given(word=WORDS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_unknown_word_is_counted_becomes_no_known_one_and_is_taught(field: Field, word: str, tmp_path: Path) -> None:
    rows, words = read(field, word, tmp_path, None)
    sent = f"ADT^{word[:3]}" if field.list == "events" else word
    result = [item for item in words if item.word == sent]
    assert {(item.entity, item.column) for item in result} == {(field.entity, field.column)}
    assert all(item.rows >= 1 and item.position for item in result)
    values = [row.get(field.column) for row in rows.get(field.entity, [])]
    if field.value is not None:
        assert field.value in values or (field.value == "" and word in values), values
    assert field.meaning not in values
    taught, left = read(field, word, tmp_path, profile_of(field, word, tmp_path))
    assert [item for item in left if item.word == sent] == []
    assert taught != rows
    if field.value is not None:
        assert (field.then or field.meaning) in [row.get(field.column) for row in taught[field.entity]]


@dataclass
class Site:
    """A home with one tenant whose feeds hold words that nobody knows, one folder a feed, and a PM database."""

    folder: Path
    home: Home
    keys: Keys
    ledger: Ledger
    profiles: dict[str, str]
    runs: int = 0

    def configure(self) -> Config:
        """Writes the configuration with today's profiles."""
        feeds = []
        for kind in ("hl7v2", "x12", "fhir"):
            profile = f", profile: {self.profiles[kind]}" if kind in self.profiles else ""
            feeds.append(f"      - {{name: {kind}, kind: {kind}, path: {kind}{profile}}}")
        url = f"sqlite:///{self.folder / 'pm.sqlite'}"
        feeds.append(f"      - {{name: pm, kind: pm_database, profile: {self.profiles['pm']}, url: '{url}'}}")
        text = "tenants:\n  harbor:\n    name: Harbor\n    time_zone: America/New_York\n    feeds:\n" + "\n".join(feeds)
        file = self.folder / "clinicmart.yaml"
        file.write_text(text, encoding="utf-8")
        return load_config(file)

    def run(self) -> None:
        """Lands every feed and loads the raw tables."""
        config = self.configure()
        self.runs += 1
        for feed in config.tenants[0].feeds:
            report = land_feed(self.home, self.keys, self.ledger, feed, f"run-{self.runs}")
            assert report.problems == []
        load_warehouse(self.home, self.keys, self.ledger, config)

    def rows(self, entity: str, *columns: str) -> list[tuple[Any, ...]]:
        """Raw rows of an entity in order, with their feed."""
        with duck.session(self.home) as connection:
            duck.attach(
                connection, self.home.warehouse, alias="w", key=self.keys.derive_hex("warehouse"), read_only=True
            )
            names = ", ".join(("source_system", *columns))
            return connection.execute(f"select {names} from w.raw.{entity} order by all").fetchall()

    def words(self) -> dict[tuple[str, str, str], tuple[str, int]]:
        """(feed, field, word) to what it became and rows, as Data health reads it."""
        with duck.session(self.home) as connection:
            duck.attach(
                connection, self.home.warehouse, alias="w", key=self.keys.derive_hex("warehouse"), read_only=True
            )
            result = connection.execute('select feed, field, word, became, "rows" from w.raw.unknown_word').fetchall()
        return {(feed, field, word): (became, rows) for feed, field, word, became, rows in result}

    def held(self) -> dict[tuple[str, str], int]:
        """Rows in quarantine by feed and entity."""
        return {(entry["feed"], entry["entity"]): entry["rows"] for entry in held_rows(self.ledger)}


PM = """kind: pm_database
time_zone: UTC
entities:
  appointment:
    sql: |
      select id as appointment_id, id as source_record_id, changed as source_updated_at, chart as patient_id,
        case state when 'B' then 'scheduled' {more} else state end as status, starts as scheduled_start_at
      from appts
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    for kind in ("hl7v2", "x12", "fhir"):
        (tmp_path / kind).mkdir()
    many = [
        sch(1, status="Kept"),
        sch(2, status="BUMPED"),
        sch(3, status="LEFT WITHOUT BEING SEEN"),
        sch(4, status="BUMPED"),
    ]
    strange = [sch(5, status="DOE CAME"), adt(6, kind="ADT^Z01"), adt(7, visit_class="QX")]
    (tmp_path / "hl7v2" / "a.hl7").write_text("".join(many + strange), encoding="utf-8")
    (tmp_path / "x12" / "a.835").write_text(remittance("CLP*ACCT1*1*", "CLP*ACCT1*99*"), encoding="utf-8")
    (tmp_path / "fhir" / "Slot.ndjson").write_text(
        resource(resourceType="Slot", id="s1", status="maybe", **SLOT), encoding="utf-8"
    )
    with sqlite3.connect(tmp_path / "pm.sqlite") as connection:
        connection.executescript(
            "create table appts (id text, chart text, state text, starts text, changed text);"
            "insert into appts values ('P1', 'C1', 'B', '2026-03-02 09:00:00', '2026-03-01 10:00:00'),"
            "('P2', 'C2', 'GONE', '2026-03-02 09:00:00', '2026-03-01 10:00:00');"
        )
    (tmp_path / "pm.yaml").write_text(PM.format(more=""), encoding="utf-8")
    home = Home(tmp_path / "home")
    return Site(tmp_path, home, Keys.of(home), Ledger(home), {"pm": "pm.yaml"})


def test_words_are_counted_shown_and_taught_and_only_their_rows_change(site: Site) -> None:
    site.run()
    assert site.words() == {
        ("hl7v2", "SCH-25", "BUMPED"): ("unknown", 2),
        ("hl7v2", "SCH-25", "LEFT WITHOUT BEING SEEN"): ("unknown", 1),
        # Part of a patient's name in the same file: never shown.
        ("hl7v2", "SCH-25", NOT_SHOWN): ("unknown", 1),
        ("hl7v2", "MSH-9", "ADT^Z01"): ("", 1),
        ("hl7v2", "PV1-2", "QX"): ("UNK", 1),
        ("x12", "CLP02", "99"): ("", 1),
        ("fhir", "Slot.status", "maybe"): ("", 1),
        ("pm", "status", "GONE"): ("unknown", 1),
    }
    appointments = site.rows("appointment", "appointment_id", "status")
    assert appointments == [
        ("hl7v2", "F1", "completed"),
        ("hl7v2", "F2", "unknown"),
        ("hl7v2", "F3", "unknown"),
        ("hl7v2", "F4", "unknown"),
        ("hl7v2", "F5", "unknown"),
        ("pm", "P1", "scheduled"),
        ("pm", "P2", "unknown"),
    ]
    assert site.rows("encounter", "encounter_id", "encounter_class") == [("hl7v2", "V7", "UNK")]
    assert site.rows("remittance_claim", "claim_status_code") == [("x12", "99")]
    assert site.held() == {("hl7v2", "record"): 1, ("fhir", "slot"): 1}
    landed = site.rows("appointment", "appointment_id", "batch_id")

    site.run()
    assert site.rows("appointment", "appointment_id", "batch_id") == landed, "nothing changed: nothing is read again"

    (site.folder / "h.yaml").write_text(
        "kind: hl7v2\nappointment_statuses: {bumped: cancelled}\nevents: {ADT^Z01: ADT^A04}\n", encoding="utf-8"
    )
    (site.folder / "x.yaml").write_text('kind: x12\nclaim_statuses: {"99": "4"}\n', encoding="utf-8")
    (site.folder / "f.yaml").write_text("kind: fhir\nextends: r4\nslot_statuses: {maybe: held}\n", encoding="utf-8")
    (site.folder / "pm.yaml").write_text(PM.format(more="when 'GONE' then 'no_show'"), encoding="utf-8")
    site.profiles |= {"hl7v2": "h.yaml", "x12": "x.yaml", "fhir": "f.yaml"}
    notices = notice_reasons(site.ledger)
    site.run()
    assert site.words() == {
        ("hl7v2", "SCH-25", "LEFT WITHOUT BEING SEEN"): ("unknown", 1),
        ("hl7v2", "SCH-25", NOT_SHOWN): ("unknown", 1),
        ("hl7v2", "PV1-2", "QX"): ("UNK", 1),
    }
    changed = {"F2": "cancelled", "F4": "cancelled", "P2": "no_show"}
    assert site.rows("appointment", "appointment_id", "status") == [
        (feed, name, changed.get(name, status)) for feed, name, status in appointments
    ]
    assert [name for _, name in site.rows("encounter", "encounter_id")] == ["V6", "V7"]
    assert site.rows("remittance_claim", "claim_status_code") == [("x12", "4")]
    assert site.rows("slot", "status") == [("fhir", "held")]
    assert site.held() == {}, "what the earlier read left in quarantine is closed"
    expected_text = notice_reasons(site.ledger).select("feed", "reason", "detail", "rows").rows()
    assert expected_text == notices.select("feed", "reason", "detail", "rows").rows(), "no notice counts twice"


def test_a_word_taken_back_makes_its_rows_unknown_again(site: Site) -> None:
    (site.folder / "h.yaml").write_text("kind: hl7v2\nappointment_statuses: {bumped: cancelled}\n", encoding="utf-8")
    site.profiles["hl7v2"] = "h.yaml"
    site.run()
    assert ("hl7v2", "F2", "cancelled") in site.rows("appointment", "appointment_id", "status")
    del site.profiles["hl7v2"]
    site.run()
    assert ("hl7v2", "F2", "unknown") in site.rows("appointment", "appointment_id", "status")
    assert site.words()["hl7v2", "SCH-25", "BUMPED"] == ("unknown", 2)


def test_rows_that_are_read_again_are_no_new_arrivals(site: Site) -> None:
    site.run()
    counted = site.ledger.rows(sa.select(tables.received))
    (site.folder / "h.yaml").write_text("kind: hl7v2\nappointment_statuses: {bumped: cancelled}\n", encoding="utf-8")
    site.profiles["hl7v2"] = "h.yaml"
    site.run()
    assert site.ledger.rows(sa.select(tables.received)) == counted


def test_a_file_that_has_grown_is_read_under_the_new_profile_with_what_it_held_before(site: Site) -> None:
    site.run()
    file = site.folder / "hl7v2" / "a.hl7"
    file.write_text(file.read_text("utf-8") + sch(8, status="BUMPED"), encoding="utf-8")
    (site.folder / "h.yaml").write_text("kind: hl7v2\nappointment_statuses: {bumped: cancelled}\n", encoding="utf-8")
    site.profiles["hl7v2"] = "h.yaml"
    site.run()
    statuses = dict(site.rows("appointment", "appointment_id", "status")[i][1:] for i in range(6))
    assert [statuses[name] for name in ("F2", "F4", "F8")] == ["cancelled"] * 3
    assert ("hl7v2", "SCH-25", "BUMPED") not in site.words()


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("LEFT WITHOUT BEING SEEN", "LEFT WITHOUT BEING SEEN"),
        ("A17", "A17"),
        ("ADT^Z01", "ADT^Z01"),
        ("Doe moved", NOT_SHOWN),
        ("CALL 555-1234", NOT_SHOWN),
        ("19800101", NOT_SHOWN),
        ("jane@example.org", NOT_SHOWN),
        ("DOE, JANE", NOT_SHOWN),
        ("a reason that somebody typed", NOT_SHOWN),
    ],
)
def test_only_a_word_that_looks_like_a_code_is_shown(word: str, shown: str) -> None:
    assert shown_word(word, frozenset({"doe"})) == shown


@pytest.mark.parametrize(
    ("kind", "text", "expected_text"),
    [
        (
            "hl7v2",
            "apointment_statuses: {}",
            ":2: apointment_statuses: unknown key (did you mean appointment_statuses?)",
        ),
        ("hl7v2", "appointment_statuses: {KEPT: complete}", ":2: appointment_statuses.KEPT: 'complete' is not one of"),
        ("hl7v2", "visit_number: [PV1-9]", ":2: visit_number: 'PV1-9' is not one of"),
        ("hl7v2", "events: {Z01: A01}", ":2: events.Z01: is not a message type and an event"),
        ("hl7v2", "events: {ADT^Z01: SIU^S12}", ":2: events.ADT^Z01: 'SIU^S12' is of another message type"),
        ("hl7v2", "uses_msh7_offset: maybe", ":2: uses_msh7_offset: 'maybe' is not one of yes"),
        ("x12", "claim_statuses: {'99': '98'}", ":2: claim_statuses.99: '98' is not one of"),
        ("x12", "time_zone: Mars/Olympus", ":2: time_zone: 'Mars/Olympus' is neither `tenant` nor an IANA time zone"),
        ("x12", "filing_indicators: {QQ: medicaid}", ":2: filing_indicators.QQ: 'medicaid' is not one of"),
    ],
)
def test_what_is_wrong_with_a_profile_is_named_by_file_line_and_key(
    tmp_path: Path, kind: str, text: str, expected_text: str
) -> None:
    path = tmp_path / "sender.yaml"
    path.write_text(f"kind: {kind}\n{text}\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        load_profile(str(path), kind)  # type: ignore[call-overload]
    assert f"{path}{expected_text}" in str(error.value)


def test_a_run_stops_before_it_reads_anything_where_a_profile_is_wrong(site: Site) -> None:
    (site.folder / "h.yaml").write_text("kind: hl7v2\nsex: {T: other}\n", encoding="utf-8")
    site.profiles["hl7v2"] = "h.yaml"
    site.configure()
    ran = clinicmart_here("run", "--config", site.folder / "clinicmart.yaml", "--home", site.folder / "other")
    assert ran.code == 2
    assert f"{site.folder / 'h.yaml'}:2: sex: unknown key (did you mean sexes?)" in ran.err
    assert not (site.folder / "other").exists()


def test_a_profile_says_which_field_holds_the_visit_number_and_in_which_zone_times_are(tmp_path: Path) -> None:
    path = tmp_path / "sender.yaml"
    path.write_text("kind: hl7v2\ntime_zone: America/Denver\nvisit_number: [PID-18]\n", encoding="utf-8")
    field = Field(
        "hl7v2", "encounter", "encounter_id", lambda _: adt(1).replace("||eng", "||eng|||ACCT9"), None, "", ""
    )
    plain, _ = read(field, "", tmp_path, None)
    reported, _ = read(field, "", tmp_path, str(path))
    assert [row["encounter_id"] for row in plain["encounter"]] == ["V1"]
    assert [row["encounter_id"] for row in reported["encounter"]] == ["ACCT9"]
    hours = [rows["encounter"][0]["started_at"].hour for rows in (plain, reported)]
    assert hours == [12, 14], "8 o'clock in New York and in Denver"


def test_a_comment_or_an_empty_list_reads_nothing_again(tmp_path: Path) -> None:
    path = tmp_path / "sender.yaml"
    feed = Feed(tenant_id="t", name="f", kind="hl7v2", path="x", profile=str(path))
    digests = []
    for number, text in enumerate(
        ("", "sexes: {}\n# as the standard has it\n", "sexes: {T: other}\n", "uses_msh7_offset: 'no'\n")
    ):
        path.write_text(f"kind: hl7v2\n{text}", encoding="utf-8")
        os.utime(path, (number, number))
        digests.append(profile_digest(feed))
    assert digests[0] == digests[1] == "" == profile_digest(replace(feed, profile=None))
    assert len(set(digests[1:])) == 3


@pytest.mark.parametrize("kind", ["hl7v2", "x12"])
def test_the_profiles_of_the_page_hold_and_name_every_key(tmp_path: Path, kind: str) -> None:
    page = (Path(__file__).parents[2] / "docs" / "profiles.md").read_text("utf-8")
    (text,) = re.findall(rf"```yaml \S+\n(kind: {kind}\n.*?)```", page, re.DOTALL)
    path = tmp_path / "northwind.yaml"
    path.write_text(text, encoding="utf-8")
    profile = load_profile(str(path), kind)  # type: ignore[call-overload]
    standard = type(profile)()
    for item in fields(profile):
        assert getattr(profile, item.name) != getattr(standard, item.name), item.name


def test_messages_that_a_listener_still_holds_are_read_again(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    keys, ledger = Keys.of(home), Ledger(home)
    profile = tmp_path / "h.yaml"
    listener = Listener(host="127.0.0.1", port=2575)
    feed = Feed(tenant_id="harbor", name="adt", kind="hl7v2", listen=listener, time_zone="America/New_York")
    journal = mllp_journal.Journal(Inbox.of(home, keys, feed))
    for number, word in enumerate(("BUMPED", "KEPT")):
        content = sch(number, status=word).rstrip("\r").encode()
        assert journal.put(b"ADT", f"C{number}".encode(), content).result() == mllp_journal.STORED
    file = tmp_path / "clinicmart.yaml"

    def run(**more: Any) -> dict[tuple[str, str], int]:
        report = land_feed(home, keys, ledger, replace(feed, **more), f"run-{len(list(tmp_path.iterdir()))}-{more}")
        assert report.problems == []
        return {(row["word"], row["became"]): row["rows"] for row in unknown_words(ledger).to_dicts()}

    assert run() == {("BUMPED", "unknown"): 1}
    profile.write_text("kind: hl7v2\nappointment_statuses: {BUMPED: cancelled}\n", encoding="utf-8")
    assert run(profile=str(profile)) == {}
    text = "tenants:\n  harbor:\n    name: Harbor\n    time_zone: America/New_York\n    feeds:\n"
    file.write_text(
        text + "      - {name: adt, kind: hl7v2, listen: {port: 2575}, profile: h.yaml}\n", encoding="utf-8"
    )
    load_warehouse(home, keys, ledger, load_config(file))
    site = Site(tmp_path, home, keys, ledger, {})
    assert site.rows("appointment", "appointment_id", "status") == [
        ("adt", "F0", "cancelled"),
        ("adt", "F1", "completed"),
    ]
    assert journal.put(b"ADT", b"C9", sch(9, status="BUMPED").rstrip("\r").encode()).result() == mllp_journal.STORED
    read_before = ledger.rows(sa.select(sa.func.sum(tables.unit.c.records_read).label("n")))[0]["n"]
    run(profile=str(profile))
    read_after = ledger.rows(sa.select(sa.func.sum(tables.unit.c.records_read).label("n")))[0]["n"]
    assert read_after == read_before + 1, "from where the last read ended"
    journal.close()
