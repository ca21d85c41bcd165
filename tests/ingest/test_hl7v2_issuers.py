"""Numbers of HL7 v2 messages with their assigning authority: what stands behind a number, and which messages of one feed are put
together when some state the authority, some another name of it and some none."""

import itertools
import random
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import Contract
from foundation.config import Config, Feed, Tenant
from ingest.issuers import extended, issued, issuer_named, issuer_of, number_of, stated_issuer
from ingest.load import issuers, partial_rows
from ingest.sources import source_for
from tests.ingest.test_hl7v2_parts import Warehouse, adt, segment


def read(folder: Path, text: str) -> dict:
    (folder / "f.hl7").write_text(text, newline="")
    feed = Feed(tenant_id="t", name="adt", kind="hl7v2", path=str(folder / "f.hl7"), time_zone="America/New_York")
    (unit,) = source_for("hl7v2").discover(feed)
    (chunk,) = source_for("hl7v2").read(unit)
    return chunk.rows


@pytest.mark.parametrize(
    ("pid", "wanted"),
    [
        ("55^^^HOSPA^MR", "55^^^HOSPA"),
        ("55^^^hospa&1.2.840.1&ISO^MR", "55^^^HOSPA&1.2.840.1"),
        ("55^^^&urn:oid:1.2.840.1&ISO^MR", "55^^^&1.2.840.1"),
        ("55", "55"),
        ("55^^^^MR", "55"),
        ('55^^^""^MR', "55"),
        ("999-99-9999^^^SSA^SS~55^^^HOSPA^MR", "55^^^HOSPA"),
        ("7^^^HOSPB^PI~55^^^HOSPA^MR", "55^^^HOSPA"),
        ("55^^^NORTH\\T\\SOUTH^MR", "55^^^NORTH SOUTH"),
    ],
)
def test_a_number_has_its_authority_behind_it(tmp_path: Path, pid: str, wanted: str) -> None:
    rows = read(tmp_path, adt("A04", "20260310090000", {3: pid}))
    assert rows["patient"]["patient_id"].to_list() == [wanted]
    assert rows["patient_identity"]["medical_record_number"].to_list() == ["55"], "the vault keeps the number itself"


def test_visits_clinicians_and_what_belongs_to_a_visit_have_theirs(tmp_path: Path) -> None:
    doctor = "77^ONEIL^ANN^^^^^^HOSPA"
    rows = read(tmp_path, adt("A01", "20260310090000", None, {7: doctor, 19: "1001^^^HOSPA", 44: "20260310090000"}))
    assert rows["encounter"].select("encounter_id", "provider_id").rows() == [("1001^^^HOSPA", "77^^^HOSPA")]
    (movement,) = rows["bed_movement"]["bed_movement_id"]
    assert (number_of(movement)[:5], stated_issuer(movement)) == ("1001-", "HOSPA")


def test_an_npi_is_the_same_whoever_writes_it(tmp_path: Path) -> None:
    doctor = "1234567893^ONEIL^ANN^^^^^^HOSPA^^^^NPI"
    rows = read(tmp_path, adt("A01", "20260310090000", None, {7: doctor}))
    assert rows["provider"]["provider_id"].to_list() == ["1234567893"]


@pytest.mark.parametrize(
    ("sch", "wanted"),
    [
        ({1: "P1^CPOE", 2: "F1^SCHED"}, "F1^^^SCHED"),
        ({1: "P1^CPOE"}, "P1^^^CPOE"),
        ({2: "F1^SCHED^1.2.3^ISO"}, "F1^^^SCHED&1.2.3"),
        ({2: "F1"}, "F1"),
    ],
)
def test_an_appointment_has_the_authority_of_its_entity_identifier(tmp_path: Path, sch: dict, wanted: str) -> None:
    text = "\r".join(
        ["MSH|^~\\&|S|H|W|H|20260301090000||SIU^S12|1|P|2.5", segment("SCH", {**sch, 11: "^^^20260401"}), ""]
    )
    rows = read(tmp_path, text)
    assert rows["appointment"]["appointment_id"].to_list() == [wanted]
    assert rows["appointment_event"]["appointment_id"].to_list() == [wanted]


@pytest.mark.parametrize(
    ("ended", "wanted"),
    [("B", "B^^^NORTH"), ("B^^^SOUTH", "B^^^SOUTH"), ("B^^^NORTH", "B^^^NORTH")],
)
def test_a_merge_without_an_authority_is_of_its_pids(tmp_path: Path, ended: str, wanted: str) -> None:
    text = "\r".join(
        [
            "MSH|^~\\&|E|N|C|C|20260304080000||ADT^A40|5|P|2.5.1",
            "EVN|A40|20260304080000",
            "PID|1||C^^^NORTH^MR",
            f"MRG|{ended}",
            "",
        ]
    )
    merges = read(tmp_path, text)["patient_merge"]
    assert merges.select("from_patient_id", "to_patient_id").rows() == [(wanted, "C^^^NORTH")]


@given(st.text("ab1&|^ .:/", max_size=12), st.text("ab1&|^ .:/", max_size=12))
def test_an_issuer_never_breaks_the_notation(namespace: str, universal: str) -> None:
    result = issuer_of(namespace, universal)
    identifier = extended(issued("12", result), "-1")
    assert (number_of(identifier), stated_issuer(identifier)) == ("12-1", result)
    assert not set("^|") & set(result)
    assert result.count("&") <= 1
    assert issuer_of(*result.split("&")) == result, "written again it is the same"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("North Hospital", "NORTH HOSPITAL"),
        ("urn:oid:2.16.840", "&2.16.840"),
        ("2.16.840.1", "&2.16.840.1"),
        ("https://North.example/mrn/", "&https://north.example/mrn"),
    ],
)
def test_a_name_in_the_configuration_means_what_messages_write(text: str, wanted: str) -> None:
    assert issuer_named(text) == wanted


def test_names_that_a_sender_or_the_configuration_puts_together_are_one_issuer() -> None:
    names = {"NORTH", "NORTH&1.2", "&1.2", "SOUTH", "SOUTH&3.4", "SOUTH&3.5", "OLD"}
    result = issuers.meanings(names, {"OLD": "NORTHERN", "&1.2": "NORTHERN", "NORTHERN": "NORTHERN"})
    assert {result[name] for name in ("NORTH", "NORTH&1.2", "&1.2", "OLD")} == {"NORTHERN"}
    assert (result["SOUTH&3.4"], result["SOUTH&3.5"]) == ("&3.4", "&3.5"), "a universal id is one issuer"
    assert result["SOUTH"] == "SOUTH", "which of the two it is, nobody says"


# Messages of one feed

NAMES = {"NORTH": ("^^^NORTH", "^^^NORTH&1.2&ISO", "^^^&1.2&ISO"), "SOUTH": ("^^^SOUTH", "^^^south")}


class Noting(Warehouse):
    """Raw tables and parts whose names of issuers are noted as the load does it."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config, self.renamed = config, issuers.configure(self.connection, config)

    def note_issuers(self, entity_contract: Contract) -> None:
        if issuers.note_spellings(self.connection, entity_contract, "arrived"):
            self.renamed |= issuers.settle(self.connection, self.config)


def load(folder: Path, batches: list[list[str]], config: Config) -> Warehouse:
    """The raw tables after batches of messages."""
    made = Noting(config)
    for batch in batches:
        made.take(folder, batch)
    partial_rows.regroup(made.connection, made.renamed | issuers.settle(made.connection, config))
    return made


def configured(issuer: str | None = None, **other_names: tuple[str, ...]) -> Config:
    feed = Feed(tenant_id="t", name="adt", kind="hl7v2", path="x", issuer=issuer)
    tenant = Tenant(tenant_id="t", name="T", time_zone="UTC", feeds=(feed,), system_of_record={}, issuers=other_names)
    return Config(file=Path("c.yaml"), tenants=(tenant,))


def visits(made: Warehouse) -> dict[str, tuple[str | None, str | None]]:
    query = "select encounter_id, service_unit_id, discharge_disposition from warehouse.raw.encounter"
    return {row[0]: row[1:] for row in made.connection.execute(query).fetchall()}


CONFIG = configured()


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_messages_of_one_visit_are_put_together_in_any_order_and_under_any_name(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("issuers")
    clock = itertools.count(10)
    reported: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    messages = []
    wanted: dict[tuple[str, str], list] = {}
    stated = defaultdict(set)
    for number in ("1", "2"):
        for issuer in chance.sample(sorted(NAMES), chance.choice((1, 2))):
            stated[number].add(issuer)
            for step in range(3):
                at = f"202603{next(clock)}090000"
                is_named = step == 0 or chance.random() < 0.6
                # Without a name it can only be told where the number has one issuer: else the first by name is meant.
                authority = chance.choice(NAMES[issuer]) if is_named else ""
                expected_text = {19: f"{number}{authority}", 3: f"U{at}"} | ({44: at} if step == 0 else {})
                messages.append(
                    (number, issuer if is_named else None, at, adt("A08" if step else "A04", at, None, expected_text))
                )
    for number, issuer, at, _ in messages:
        # The universal id of NORTH goes before the name of SOUTH.
        owner = issuer or ("NORTH" if "NORTH" in stated[number] else "SOUTH")
        reported[number, owner].append((at, f"U{at}"))
    wanted = {key: max(items)[1] for key, items in reported.items()}
    # NORTH is known to be 1.2 only where a message says so.
    messages.append(
        ("x", None, "", adt("A04", "20260301090000", None, {19: "x^^^NORTH&1.2&ISO", 44: "20260301090000"}))
    )
    chance.shuffle(messages)
    cut = chance.randint(0, len(messages))
    made = load(folder, [[m[3] for m in part] for part in (messages[:cut], messages[cut:]) if part], CONFIG)
    result = {key: row for key, row in visits(made).items() if not key.startswith("x")}
    # A number of which all messages write one name keeps it; dbt knows both names as one issuer.
    meant = {"&1.2": "NORTH", "NORTH": "NORTH", "SOUTH": "SOUTH"}
    assert {(number_of(key), meant[stated_issuer(key)]): row[0] for key, row in result.items()} == wanted


def test_what_landed_before_issuers_were_kept_goes_on_under_its_number(tmp_path: Path) -> None:
    before = adt("A01", "20260310090000", {3: "M1"}, {19: "1001", 3: "MED", 44: "20260310090000"})
    after = adt("A03", "20260312090000", {3: "M1^^^NORTH^MR"}, {19: "1001^^^NORTH", 36: "01"})
    made = load(tmp_path, [[before], [after]], CONFIG)
    assert visits(made) == {"1001^^^NORTH": ("MED", "01")}, "the discharge ends the stay that began before"
    waiting = made.connection.execute("select count(*) from warehouse.parts.waiting").fetchone()
    assert waiting == (0,)


def test_the_issuer_of_a_feed_is_that_of_numbers_without_one(tmp_path: Path) -> None:
    config = configured("SOUTH")
    north = adt("A04", "20260310090000", None, {19: "1001^^^NORTH", 3: "A", 44: "20260310090000"})
    bare = adt("A04", "20260312090000", None, {19: "1001", 3: "B", 44: "20260312090000"})
    assert visits(load(tmp_path, [[north, bare]], config)) == {"1001^^^NORTH": ("A", None), "1001^^^SOUTH": ("B", None)}
    assert len(visits(load(tmp_path, [[north, bare]], CONFIG))) == 1, "without it nothing says that they are two"


def test_a_name_that_comes_to_mean_another_issuer_parts_or_joins_what_landed(tmp_path: Path) -> None:
    first = adt("A04", "20260310090000", None, {19: "1001^^^NORTH", 3: "A", 44: "20260310090000"})
    other = adt("A08", "20260312090000", None, {19: "1001^^^NH", 3: "B", 44: "20260310090000"})
    made = load(tmp_path, [[first], [other]], CONFIG)
    assert set(visits(made)) == {"1001^^^NORTH", "1001^^^NH"}
    for config, count in ((configured(NORTH=("NH",)), 1), (CONFIG, 2)):
        renamed = issuers.configure(made.connection, config)
        partial_rows.regroup(made.connection, renamed | issuers.settle(made.connection, config))
        assert len(visits(made)) == count
