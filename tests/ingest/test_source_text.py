"""Positions opened in the original files of every protocol, and what of them is shown to those who may not see names."""

import gzip
import json
import re
from dataclasses import dataclass

import pytest
import sqlalchemy as sa

from data_contracts import contract
from foundation import duck
from foundation.config import Config, load_config
from foundation.errors import ClinicmartError
from foundation.home import Home
from foundation.keys import Keys
from ingest import ledger as tables
from ingest.landing.land_feed import land_feed
from ingest.ledger import Ledger, now
from ingest.load.landed_rows import landed_rows
from ingest.trace.source_masks import HL7V2, MASK, X12, masked, masked_row
from ingest.trace.source_text import CHANGED, GONE, OPENED, TABLE, UNKNOWN, SourceText, mark_of, open_position
from tests.ingest.test_landing import remittance

# What no masked text may hold: planted in every feed below.
IDENTITIES = (
    *("Quixote", "Dulcinea", "Sancho", "Rocinante", "M7654321", "19470923", "1947-09-23", "5558675309", "078051120"),
    *("12 Windmill Lane", "Windmill", "W1M7654321", "V90000", "A900001", "K90000", "ICNK9", "ACCT77"),
)
MESSAGES = "\r".join(
    [
        "FHS|^~\\&|EHR|HARBOR",
        "BHS|^~\\&|EHR|HARBOR",
        *(
            line
            for number, given_name in enumerate(("Dulcinea", "Sancho"), start=1)
            for line in (
                f"MSH|^~\\&|EHR|HARBOR|CM|HARBOR|2026030110{number:02}00+0000||ADT^A04^ADT_A01|H{number}|P|2.5.1",
                f"EVN|A04|2026030110{number:02}00+0000",
                f"PID|1||M765432{number}^^^HARBOR^MR~078051120^^^SSA^SS||Quixote^{given_name}^^^^^L||19470923|F|||12 Windmill Lane^^Toboso"
                "^NY^11999^USA||5558675309|||||ACCT77|078-05-1120",
                "NK1|1|Quixote^Rocinante|SPO",
                f"PV1|1|O|CL01^R1^B2^HARBOR||||1900000013^Quixote^Alonso^^^^^^NPI^^^^NPI||||||||||||V90000{number}|||||||||||||||||"
                f"||||||||2026030110{number:02}00+0000",
                "ZQX|Quixote|free text about Dulcinea",
            )
        ),
        "BTS|2",
        "FTS|1",
    ]
)
PATIENT = {
    "resourceType": "Patient",
    "id": "M7654321",
    "active": True,
    "gender": "female",
    "birthDate": "1947-09-23",
    "identifier": [{"type": {"coding": [{"code": "MR"}]}, "value": "M7654321"}],
    "name": [{"family": "Quixote", "given": ["Dulcinea"]}],
    "address": [{"line": ["12 Windmill Lane"], "postalCode": "11999"}],
}
ENCOUNTER = {
    "resourceType": "Encounter",
    "id": "V900001",
    "meta": {"lastUpdated": "2026-03-01T10:00:00Z", "source": "Quixote"},
    "status": "finished",
    "class": {
        "system": "http://terminology.hl7.org/CodeSystem/v3-ActCode",
        "code": "AMB",
        "display": "seen with Sancho",
    },
    "type": [{"coding": [{"system": "urn:visit", "code": "NEW"}], "text": "Dulcinea, new"}],
    "subject": {"reference": "Patient/M7654321", "display": "Dulcinea Quixote"},
    "period": {"start": "2026-03-01T10:00:00Z", "end": "2026-03-01T10:30:00Z"},
    "text": {"status": "generated", "div": "<div>Dulcinea Quixote</div>"},
    "Sancho": "a key nobody knows",
    "statusHistory": [{"status": "Quixote senior", "period": {"start": "2026-03-01"}}],
}
SENT = "ISA*00*{0:10}*00*{0:10}*ZZ*{1:15}*ZZ*{1:15}*260301*0900*^*00501*000000001*0*P*:"
CLAIMS = "~".join(
    [
        SENT.format("", "HARBOR"),
        "GS*HC*HARBOR*ACME*20260301*0900*1*X*005010X222A1",
        "ST*837*0001*005010X222A1",
        "BHT*0019*00*1*20260301*0900*CH",
        "HL*1**20*1",
        "NM1*85*2*HARBOR CLINIC*****XX*1999999984",
        "HL*2*1*22*0",
        "SBR*P*18*******CI",
        "NM1*IL*1*Quixote*Dulcinea****MI*W1M7654321",
        "N3*12 Windmill Lane",
        "DMG*D8*19470923*F",
        "NM1*PR*2*ACME HEALTH*****PI*ACME1",
        "CLM*K900001*150.00***11:B:1*Y*A*Y*Y",
        "REF*EA*M7654321",
        "HI*ABK:Z0000",
        "NTE*ADD*seen with Sancho Quixote",
        "LX*1",
        "SV1*HC:Z1001::::::Dulcinea*150.00*UN*1***1",
        "DTP*472*D8*20260301",
        "REF*6R*K900001-1",
        "SE*19*0001",
        "GE*1*1",
        "IEA*1*000000001",
    ]
)


@dataclass(frozen=True)
class Place:
    """Two tenants with the same files, so that every id and position there is occurs in both."""

    home: Home
    ledger: Ledger
    config: Config

    def rows(self, entity: str, tenant: str = "harbor") -> list[dict]:
        """Landed rows of an entity."""
        keys = Keys.of(self.home)
        return landed_rows(self.home, keys, self.ledger, tenant, entity, "tenant_id", [tenant])

    def open(self, position: str, tenant: str = "harbor") -> SourceText:
        return open_position(self.home, Keys.of(self.home), self.ledger, self.config, tenant, position)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Made once: tests that change a file or the ledger put it back."""
    tmp_path = tmp_path_factory.mktemp("sources")
    sections = []
    for tenant in ("harbor", "mesa"):
        feeds = tmp_path / tenant
        for folder in ("hl7", "fhir", "837", "835"):
            (feeds / folder).mkdir(parents=True)
        (feeds / "hl7" / "quixote_dulcinea.hl7").write_text(MESSAGES)
        (feeds / "fhir" / "patients.ndjson").write_text(f"{json.dumps(PATIENT)}\n")
        bundle = {
            "resourceType": "Bundle",
            "type": "collection",
            "entry": [{"resource": PATIENT}, {"resource": ENCOUNTER}],
        }
        (feeds / "fhir" / "bundle.json").write_text(json.dumps(bundle))
        with gzip.open(feeds / "837" / "march.837.gz", "wt") as handle:
            handle.write(CLAIMS + "~")
        (feeds / "835" / "march.835").write_text(
            remittance(1, [("K900001", "150.00", "90.00"), ("K900002", "50.00", "10.00")]).replace(
                "DOE*JANE", "Quixote*Sancho"
            )
        )
        sections.append(
            f"  {tenant}:\n    name: {tenant}\n    time_zone: America/New_York\n    feeds:\n"
            f"      - {{name: adt, kind: hl7v2, path: {tenant}/hl7}}\n      - {{name: ehr, kind: fhir, profile: r4, path: {tenant}/fhir}}\n"
            f"      - {{name: claims, kind: x12, path: {tenant}/837}}\n      - {{name: remits, kind: x12, path: {tenant}/835/*.835}}\n"
        )
    file = tmp_path / "clinicmart.yaml"
    file.write_text("tenants:\n" + "".join(sections), encoding="utf-8")
    config, home = load_config(file), Home.at(tmp_path / "home")
    ledger, keys = Ledger(home), Keys.of(home)
    ledger.start_run("run-1", str(file))
    for tenant in config.tenants:
        for feed in tenant.feeds:
            assert land_feed(home, keys, ledger, feed, "run-1").problems == []
    return Place(home, ledger, config)


def text_of(opened: SourceText) -> str:
    return "\n".join(opened.segments) or json.dumps(opened.resource)


def test_each_row_leads_to_the_very_message_resource_or_loop_it_came_from(place: Place) -> None:
    visits = {row["source_system"]: place.open(row["source_position"]) for row in place.rows("encounter")}
    assert all(result.state == OPENED for result in visits.values())
    assert visits["ehr"].resource == ENCOUNTER
    second = next(row for row in place.rows("encounter") if row["encounter_id"] == "V900002")
    message = place.open(second["source_position"])
    assert re.fullmatch(r"unit \d+: message 2 \(segment 9\)", second["source_position"])
    assert [segment[:3] for segment in message.segments] == ["MSH", "EVN", "PID", "NK1", "PV1", "ZQX"]
    assert "V900002" in text_of(message)
    assert "V900001" not in text_of(message)
    (claim,) = place.rows("claim")
    assert place.open(claim["source_position"]).segments[0] == "CLM*K900001*150.00***11:B:1*Y*A*Y*Y"
    assert place.open(claim["source_position"]).segments[-1] == "REF*6R*K900001-1"
    (line,) = place.rows("claim_line")
    assert [segment.split("*")[0] for segment in place.open(line["source_position"]).segments] == [
        "CLM",
        "SV1",
        "DTP",
        "REF",
    ]
    paid = {row["claim_id"]: place.open(row["source_position"]) for row in place.rows("remittance_claim")}
    assert {claim_id: result.segments[0].split("*")[1] for claim_id, result in paid.items()} == {
        "K900001": "K900001",
        "K900002": "K900002",
    }
    assert not any("K900002" in segment for segment in paid["K900001"].segments)


def test_every_landed_row_of_every_entity_opens(place: Place) -> None:
    batch = tables.batch.c
    result = place.ledger.rows(sa.select(batch.entity).where(batch.file.is_not(None)).distinct())
    entities = {row["entity"] for row in result}
    assert {
        "encounter",
        "claim",
        "claim_line",
        "remittance",
        "remittance_claim",
        "remittance_line",
        "patient",
    } <= entities
    for entity in sorted(entities):
        for row in place.rows(entity):
            opened = place.open(row["source_position"])
            assert opened.state == OPENED, (entity, row["source_position"])
            assert opened.mark.startswith("file ")
            assert opened.mark == mark_of(Keys.of(place.home), place.ledger, "harbor", row["source_position"])


def test_masked_text_of_every_row_holds_no_planted_identity_and_still_says_what_happened(place: Place) -> None:
    seen: dict[str, str] = {}
    for entity in (
        "encounter",
        "patient",
        "coverage",
        "provider",
        "claim",
        "claim_line",
        "payer",
        "remittance_claim",
        "remittance_line",
    ):
        for row in place.rows(entity):
            opened = place.open(row["source_position"])
            plain, shown = text_of(opened), text_of(masked(opened))
            assert any(identity in plain for identity in IDENTITIES) or entity in ("payer", "provider"), plain
            for identity in IDENTITIES:
                assert identity.lower() not in shown.lower(), (entity, identity, shown)
            assert MASK in shown
            seen[f"{row['source_system']} {entity}"] = shown
    assert "EVN|A04|20260301100" in seen["adt encounter"]
    assert '"status": "finished"' in seen["ehr encounter"]
    assert '"code": "AMB"' in seen["ehr encounter"]
    assert "CLM*[masked]*150.00***11:B:1" in seen["claims claim"]
    assert "DTP*472*D8*20260301" in seen["claims claim"]
    assert "SVC*HC:Z1001*150.00*90.00" in seen["remits remittance_claim"]


def test_landed_rows_hold_no_identity_either_once_masked(place: Place) -> None:
    tokens = set()
    for entity in ("patient", "encounter", "claim", "claim_line", "remittance_claim", "coverage"):
        for row in place.rows(entity):
            tokens |= {value for name, value in row.items() if name == "patient_id" and value}
            shown = json.dumps(masked_row(contract(entity), row), default=str)
            for identity in (*IDENTITIES, *tokens):
                assert identity not in shown, (entity, identity)
    assert tokens
    (claim,) = place.rows("claim")
    assert masked_row(contract("claim"), claim)["billed_amount"] == claim["billed_amount"]
    assert masked_row(contract("claim"), claim)["place_of_service"] == "11"
    assert "landed_at" not in masked_row(contract("claim"), claim)


def test_elements_that_are_listed_never_name_a_person_or_an_account() -> None:
    assert not {2, 3, 4, 5, 6, 7, 9, 11, 13, 14, 18, 19} & set(HL7V2["PID"])
    assert 19 not in HL7V2["PV1"]
    assert not {"NK1", "GT1", "MRG", "OBX", "NTE"} & set(HL7V2)
    assert not {1, 7} & set(X12["CLP"])
    assert 1 not in X12["CLM"]
    assert 2 not in X12["REF"]
    assert not {3, 4, 5} & set(X12["NM1"])
    assert not {"N3", "N4", "DMG", "PER", "NTE", "MSG"} & set(X12)


@pytest.mark.parametrize(
    "segment",
    [
        "PV1|1|O|CL01&Quixote^R1",
        "PV1|1|O~Quixote|CL01",
        "PV1|1|Dulcinea Quixote|CL01",
        "Quixote|1",
        "PID|1||||Quixote|||F~Dulcinea",
        "MSH|^~\\&|Dulcinea Quixote|HARBOR",
        "SCH|||||||See Dulcinea Quixote^",
        "PV1|1|\\X517569786F7465\\|CL01",
    ],
)
def test_a_name_put_where_a_code_belongs_is_masked(segment: str) -> None:
    text = SourceText(
        kind="hl7v2",
        feed="adt",
        mark="file",
        position="",
        state=OPENED,
        segments=(segment,),
        separators=tuple("|^~\\&"),
    )
    (shown,) = masked(text).segments
    for identity in (*IDENTITIES, "517569786F7465"):
        assert identity not in shown, shown
    assert MASK in shown


@pytest.mark.parametrize(
    "position",
    [
        "",
        "unit 1",
        "unit x: line 1",
        "unit 1: ../../etc/passwd\x00",
        "unit 1; drop table unit: line 1",
        "unit 99999999: line 1",
        "../unit 1: line 1",
        f"unit {'9' * 30}: line 1",
    ],
)
def test_what_is_no_position_of_this_tenant_is_refused(place: Place, position: str) -> None:
    with pytest.raises(ClinicmartError):
        place.open(position)


@pytest.mark.parametrize(
    "others", ["line 999", "entry 0", "../../../etc/passwd", "message 1 (segment 1)", "line 1 entry 4", "row 1"]
)
def test_a_position_that_the_file_does_not_have_shows_nothing_of_it(place: Place, others: str) -> None:
    positions = [row["source_position"] for row in place.rows("patient") if row["source_system"] == "ehr"]
    (unit,) = {position.split(":")[0] for position in positions if ": line" in position}
    opened = place.open(f"{unit}: {others}")
    assert opened.state == UNKNOWN
    assert opened.segments == ()
    assert opened.resource is None


def test_another_tenant_s_unit_is_as_if_it_were_not_there(place: Place) -> None:
    for row in place.rows("claim", "mesa"):
        assert place.open(row["source_position"], "mesa").state == OPENED
        with pytest.raises(ClinicmartError, match="no unit"):
            place.open(row["source_position"], "harbor")


def test_a_transaction_of_another_number_is_not_shown(place: Place) -> None:
    (claim,) = place.rows("claim")
    assert place.open(claim["source_position"].replace("ST 0001", "ST 0002")).state == UNKNOWN
    assert place.open(claim["source_position"].replace("ISA 1", "ISA 2")).state == UNKNOWN


def test_a_file_that_is_gone_or_changed_is_not_opened(place: Place) -> None:
    (claim,) = place.rows("claim")
    file = place.config.file.parent / "harbor" / "837" / "march.837.gz"
    whole = file.read_bytes()
    with gzip.open(file, "wt") as handle:
        handle.write(CLAIMS.replace("150.00", "151.00") + "~")
    changed = place.open(claim["source_position"])
    assert (changed.state, changed.segments) == (CHANGED, ())
    file.unlink()
    assert place.open(claim["source_position"]).state == GONE
    # What was landed is there all the same.
    assert str(place.rows("claim")[0]["billed_amount"]) == "150.0000"
    file.write_bytes(whole)
    assert place.open(claim["source_position"]).state == OPENED


def test_a_name_in_the_ledger_that_leads_elsewhere_opens_nothing(place: Place) -> None:
    outside = place.config.file.parent / "outside.txt"
    outside.write_text("a secret of another house")
    (claim,) = place.rows("claim")
    unit = int(claim["source_position"].split(":")[0].removeprefix("unit "))
    for name in ("../../outside.txt", str(outside), "march.837.gz"):
        with place.ledger.write() as connection:
            connection.execute(sa.update(tables.unit).where(tables.unit.c.unit_id == unit).values(name=name))
        opened = place.open(claim["source_position"])
        assert opened.state == (OPENED if name == "march.837.gz" else GONE)
        assert "outside" not in opened.mark


def test_a_feed_that_is_no_longer_configured_says_so(place: Place) -> None:
    (claim,) = place.rows("claim")
    file = place.config.file.with_name("other.yaml")
    file.write_text(place.config.file.read_text().replace("name: claims", "name: other"), encoding="utf-8")
    config = load_config(file)
    opened = open_position(place.home, Keys.of(place.home), place.ledger, config, "harbor", claim["source_position"])
    assert opened.state == UNKNOWN
    assert "no longer in the configuration" in opened.explanation


def test_a_row_of_a_table_has_nothing_but_what_was_landed(place: Place) -> None:
    values = {"tenant_id": "harbor", "feed": "adt", "name": "charge", "run_id": "run-1", "outcome": "landed"}
    with place.ledger.write() as connection:
        unit = connection.execute(
            sa.insert(tables.unit).values(**values, read_at=now()).returning(tables.unit.c.unit_id)
        )
        unit_id = unit.scalar_one()
    opened = place.open(f"unit {unit_id}: row 3")
    assert (opened.state, opened.mark) == (TABLE, "charge")


def test_landing_is_read_with_the_tenant_s_own_key(place: Place) -> None:
    (file,) = [
        row["file"]
        for row in place.ledger.rows(
            sa.select(tables.batch.c.file).where(tables.batch.c.tenant_id == "harbor", tables.batch.c.entity == "claim")
        )
    ]
    with duck.session(place.home) as connection:
        duck.add_parquet_key(connection, Keys.of(place.home).derive("landing", "mesa"))
        with pytest.raises(Exception, match=r"(?i)key|decrypt|authentication|tag"):
            connection.execute(
                f"select * from read_parquet({duck.quoted(str(place.home.path / file))}, "
                f"encryption_config = {{footer_key: '{duck.PARQUET_KEY}'}})"
            )
