"""A feed file that is named after a patient: no file of the home holds the name, while operators still see it."""

import re
import sqlite3
from pathlib import Path

import pytest

from tests.ingest.test_landing import remittance
from tests.runs.site import Configuration, Site, feed, tenant
from tests.support import clinicmart_here

pytestmark = pytest.mark.slow
FAMILY, GIVEN = "Okonkwo", "Adaeze"
# A visit whose class no word list explains, in a valid message.
ADT = (
    "MSH|^~\\&|ADT|NORTH|CM|CM|20260105090000||ADT^A04|M1|P|2.5\rEVN|A04|20260105090000\r"
    "PID|1||P1^^^NORTH^MR||DOE^PAT||19800101|F\rPV1|1|STRANGE|U1^^^NORTH|||||||||||||||||V1\r"
)


TENANT = "north-names"


def deliver(folder: Path) -> Configuration:
    """Feeds whose files and folders bear a patient's name. The broken payment file is refused, the broken message is held."""
    place = folder / TENANT
    for kind in ("835", f"hl7/{FAMILY}"):
        (place / kind).mkdir(parents=True)
    payment = remittance(1, [("C1", "100.00", "80.00"), ("C2", "50.00", "50.00")])
    (place / "835" / f"{FAMILY}_{GIVEN}.835").write_text(payment, "utf-8")
    (place / "835" / f"{FAMILY}_{GIVEN}_broken.835").write_text("ISA*this is no interchange", "utf-8")
    (place / "hl7" / FAMILY / f"{GIVEN}.hl7").write_text(ADT, "utf-8", newline="")
    (place / "hl7" / FAMILY / f"{GIVEN}_broken.hl7").write_text("MSH|not much of a message\r", "utf-8", newline="")
    feeds = [feed("remits", "x12", f"{TENANT}/835"), feed("adt", "hl7v2", f"{TENANT}/hl7")]
    return {TENANT: tenant(feeds, as_of="2026-06-30")}


def content(path: Path) -> bytes:
    """The bytes of a file; none of a temporary file that a reader in another process has removed meanwhile."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def test_no_file_of_the_home_holds_the_name(first: Site) -> None:
    assert first.figures(TENANT, "payer_paid_amount") == {"payer_paid_amount": 130}
    spellings = [name.encode(code) for name in (FAMILY, GIVEN) for code in ("utf-8", "utf-16-le")]
    spellings += [name.upper().encode() for name in (FAMILY, GIVEN)]

    def holds_a_name(content: bytes) -> bool:
        return any(name in content for name in spellings)

    files = [path for path in first.home.rglob("*") if path.is_file()]
    assert len(files) > 100
    assert [str(path) for path in files if holds_a_name(content(path))] == []
    assert [str(path) for path in files if FAMILY in str(path) or GIVEN in str(path)] == []
    # Control: the search finds what lies open.
    assert holds_a_name(b"\0" + spellings[1] + b"\0")


def test_a_run_prints_a_mark_and_an_operator_sees_the_name(first: Site) -> None:
    printed = first.printed.out + first.printed.err
    assert first.printed.code == 1
    assert FAMILY not in printed
    assert len(set(re.findall(rf"{TENANT}/remits: file [0-9a-f]{{10}}\.835", printed))) == 1
    shown = clinicmart_here("status", "--home", first.home)
    assert f"{FAMILY}_{GIVEN}_broken.835" in shown.out


def test_a_file_that_was_landed_is_known_again_by_its_name(first: Site, second: Site) -> None:
    landed = []
    for site in (first, second):
        with sqlite3.connect(site.home / "ledger.sqlite") as ledger:
            query = "select entity, rows_landed from batch where tenant_id = ? order by 1, 2"
            landed.append(ledger.execute(query, (TENANT,)).fetchall())
        ledger.close()
    assert landed[0] == landed[1] != []
