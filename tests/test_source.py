"""`clinicmart source` on the demo: a row leads to its message, under the rights of who asks, and no mask lets a name through."""

import json
import re
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from clinicmart.main import cli
from foundation.config import load_config
from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from ingest.ledger import Ledger
from ingest.load.landed_rows import landed_rows
from ingest.trace.source_masks import masked
from ingest.trace.source_text import OPENED, open_position
from serving.people.principal import Role
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader

pytestmark = pytest.mark.slow
REASON = "A payer disputes the payment"
PEOPLE = {
    "source-analyst@harbor": (Role.ANALYST, (), None),
    "source-executive@harbor": (Role.EXECUTIVE, (), None),
    "source-east@harbor": (Role.PROGRAM_MANAGER, ("CL01",), None),
    "source-biller@harbor": (Role.BILLING_STAFF, ("BU1",), None),
    "source-provider@harbor": (Role.PROVIDER, (), "PR027"),
}


@pytest.fixture(scope="module")
def home(demo_home: Path) -> Home:
    """The demo's home with a person of each role."""
    home = Home.at(demo_home)
    store = AccessStore.open(home)
    known = {person.email for person in store.users("harbor")}
    for user, (role, units, provider) in PEOPLE.items():
        if user not in known:
            store.add_user("harbor", user, display_name=user, role=role, unit_ids=units, provider_id=provider)
    return home


def reader_of(home: Home, user: str) -> Reader:
    tenant = user.partition("@")[2]
    return open_reader(home, AccessStore.open(home).principal(tenant, user))


def asked(home: Home, *arguments: str, user: str = "admin@harbor", tenant: str = "harbor") -> dict[str, Any]:
    """What the command prints as JSON; an error of ours is raised."""
    given = ["source", *arguments, "--home", str(home.path), "--tenant", tenant, "--as", user, "--json"]
    ran = CliRunner().invoke(cli, given, catch_exceptions=True, standalone_mode=False)
    if ran.exception is not None:
        raise ran.exception
    return json.loads(ran.output)


def paid_claim(home: Home, user: str = "admin@harbor") -> str:
    """A claim of the demo that a remittance answered."""
    rows = reader_of(home, user).drill("denied_claims", limit=1).frame
    return str(rows["claim_id"][0])


def names_of(home: Home, tenant: str) -> set[str]:
    """Every patient's names, numbers and street in the demo's PM database."""
    database = home.path / "sample" / tenant / "pm.sqlite"
    with sqlite3.connect(database) as connection:
        connection.row_factory = sqlite3.Row
        rows = [dict(row) for row in connection.execute("select * from patients")]
    assert rows
    wanted = [
        name
        for name in rows[0]
        if re.search(r"name|mrn|medical|record|phone|address|street|member|email|ssn|birth_date", name)
    ]
    found = {str(row[name]).strip() for row in rows for name in wanted if row[name] is not None}
    assert len(found) > 100, wanted
    return {value for value in found if len(value) > 2}


def messages(home: Home, tenant: str) -> list[tuple[str, str]]:
    """Masked text of a message of every landed row of some entities, up to 400 of each feed and entity."""
    keys, ledger = Keys.of(home), Ledger(home)
    config = load_config(json.loads((home.path / "config.json").read_text("utf-8"))["file"])
    found = []
    for entity in (
        "patient",
        "encounter",
        "appointment",
        "coverage",
        "provider",
        "claim",
        "remittance_claim",
        "claim_status",
    ):
        seen: dict[str, int] = {}
        for row in landed_rows(home, keys, ledger, tenant, entity, "tenant_id", [tenant]):
            seen[row["source_system"]] = number = seen.get(row["source_system"], 0) + 1
            if number > 25:
                continue
            opened = open_position(home, keys, ledger, config, tenant, row["source_position"])
            if opened.state == OPENED:
                shown = masked(opened)
                found.append(
                    (f"{row['source_system']} {entity}", "\n".join(shown.segments) or json.dumps(shown.resource))
                )
    return found


def test_no_masked_message_of_the_demo_holds_a_name_or_number_of_a_patient(home: Home) -> None:
    found = messages(home, "harbor")
    assert {kind.split()[0] for kind, _ in found} >= {"ehr", "adt", "claims", "remits", "acknowledgements"}
    names = names_of(home, "harbor")
    for kind, text in found:
        words = set(re.findall(r"[\w-]+", text))
        assert not words & names, (kind, words & names)
        assert not [name for name in names if " " in name and name in text], kind


def test_a_claim_leads_to_every_feed_that_told_of_it(home: Home) -> None:
    claim = paid_claim(home)
    found = asked(home, "fct_claims", claim)
    feeds = {(record["feed"], record["entity"]) for record in found["records"]}
    assert {("pm", "claim"), ("claims", "claim"), ("remits", "remittance_claim")} <= feeds
    assert all(record["batch"] and record["landed_at"] and record["position"] for record in found["records"])
    assert {record["file"].split()[0] for record in found["records"] if record["feed"] == "remits"} == {"file"}


def test_an_administrator_with_a_reason_sees_the_message_as_it_is_and_the_reason_is_kept(home: Home) -> None:
    claim = paid_claim(home)
    number = next(r["number"] for r in asked(home, "fct_claims", claim)["records"] if r["entity"] == "remittance_claim")
    plain = asked(home, "fct_claims", claim, "--record", str(number), "--reason", REASON)["opened"]["segments"]
    shown = asked(home, "fct_claims", claim, "--record", str(number))["opened"]["segments"]
    assert plain[0].startswith(f"CLP*{claim}*")
    assert shown[0].startswith("CLP*[masked]*")
    assert any(segment.startswith("NM1*QC*1*") and "[masked]" not in segment for segment in plain)
    rows = AccessStore.open(home).audit_rows("harbor", action="source opened", limit=2)
    assert [row.detail.get("reason") for row in rows] == [None, REASON]
    assert [row.detail["masked"] for row in rows] == [True, False]
    assert claim not in json.dumps([dict(row.detail) for row in rows])


@pytest.mark.parametrize("user", ["source-biller@harbor", "source-east@harbor"])
def test_nobody_else_sees_it_as_it_is_whatever_the_reason(home: Home, user: str) -> None:
    with pytest.raises(AccessError, match="only an organization_admin"):
        asked(home, "fct_claims", "K0000003", "--reason", REASON, user=user)


def test_a_role_without_rows_is_refused_and_the_refusal_is_audited(home: Home) -> None:
    with pytest.raises(AccessError, match="figures, not rows"):
        asked(home, "fct_claims", "K0000003", user="source-executive@harbor")
    (row,) = AccessStore.open(home).audit_rows("harbor", action="source", limit=1)
    assert (row.actor, row.result) == ("source-executive@harbor", "refused")


def test_a_row_of_another_unit_is_as_if_it_were_not_there(home: Home) -> None:
    mine = {
        row["claim_id"]
        for row in reader_of(home, "source-east@harbor").drill("denied_claims", limit=500).frame.to_dicts()
    }
    everybody = reader_of(home, "admin@harbor").drill("denied_claims", limit=500).frame
    others = everybody.filter(everybody["service_unit_id"] != "CL01")
    claim = next(value for value in others["claim_id"] if value not in mine)
    with pytest.raises(AccessError, match="no such row"):
        asked(home, "fct_claims", claim, user="source-east@harbor")
    with pytest.raises(AccessError, match="no such row"):
        asked(home, "fct_claims", "K9999999", user="source-east@harbor")


def test_a_restricted_scope_is_led_to_its_own_rows_alone(home: Home) -> None:
    lines = reader_of(home, "source-biller@harbor").drill("billed_amount", limit=500).frame
    line = next(row["charge_line_id"] for row in lines.to_dicts() if row["claim_id"])
    found = asked(home, "fct_charge_lines", line, user="source-biller@harbor")
    # A claim may hold lines of other units.
    assert not {"claim", "claim_line"} & {record["entity"] for record in found["records"]}
    whole = asked(home, "fct_charge_lines", line)
    assert {"claim", "claim_line", "charge"} <= {record["entity"] for record in whole["records"]}


def test_an_analyst_is_led_to_no_source_since_its_place_identifies_the_patient(home: Home) -> None:
    rows = reader_of(home, "source-analyst@harbor").drill("denied_claims", limit=1).frame
    surrogate = str(rows["claim_id"][0])
    assert re.fullmatch(r"[0-9a-f]{32}", surrogate)
    for key in (surrogate, paid_claim(home)):
        with pytest.raises(AccessError, match="would identify its patient"):
            asked(home, "fct_claims", key, user="source-analyst@harbor")
    row = AccessStore.open(home).audit_rows("harbor", action="source", limit=1)[0]
    assert (row.actor, row.result) == ("source-analyst@harbor", "refused")


def test_tenants_share_ids_and_each_is_led_to_its_own(home: Home) -> None:
    harbor, mesa = (
        asked(home, "fct_claims", "K0000003", user=f"admin@{tenant}", tenant=tenant) for tenant in ("harbor", "mesa")
    )
    assert harbor["records"]
    assert mesa["records"]
    assert not {r["position"] for r in harbor["records"]} & {r["position"] for r in mesa["records"]}
    with pytest.raises(AccessError):
        asked(home, "fct_claims", "K0000003", user="admin@mesa", tenant="harbor")


@pytest.mark.parametrize(
    "row",
    ["../../../etc/passwd", "K0000003' or '1'='1", "", "K0000003\x00", "%", "unit 1: line 1"],
)
def test_a_hostile_row_is_no_row(home: Home, row: str) -> None:
    with pytest.raises((AccessError, ConfigurationError, ClinicmartError)):
        asked(home, "fct_claims", row)


def test_a_table_that_adds_up_rows_says_so(home: Home) -> None:
    with pytest.raises(ConfigurationError, match="not read from one record"):
        asked(home, "fct_payer_mix", "x")
    with pytest.raises(ConfigurationError, match="not read from one record"):
        asked(home, "pragma_database_list", "x")


def test_every_table_with_source_records_leads_to_some(home: Home) -> None:
    from serving.rows.row_sources import RULES

    reader = reader_of(home, "admin@harbor")
    for name, rule in RULES.items():
        table = reader.registry.table(name)
        assert table is not None, name
        assert rule.key in table.column_names, name
        for part in rule.parts:
            assert part.value_of in table.column_names, (name, part)
        frame = reader._metrics.data.frame(f'select "{rule.key}" as key from warehouse.marts."{name}" limit 1')
        if frame.height:
            assert asked(home, name, str(frame["key"][0]))["records"], name
