"""A feed file that is named after a patient: no file of the home holds the name, while operators still see it."""

import re
from pathlib import Path

import pytest

from tests.ingest.test_landing import remittance
from tests.support import Ran, clinicmart, clinicmart_here

pytestmark = pytest.mark.slow
FAMILY, GIVEN = "Okonkwo", "Adaeze"
# A visit whose class no word list explains, in a valid message.
ADT = (
    "MSH|^~\\&|ADT|NORTH|CM|CM|20260105090000||ADT^A04|M1|P|2.5\rEVN|A04|20260105090000\r"
    "PID|1||P1^^^NORTH^MR||DOE^PAT||19800101|F\rPV1|1|STRANGE|U1^^^NORTH|||||||||||||||||V1\r"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Feeds whose files and folders bear a patient's name."""
    folder = tmp_path_factory.mktemp("names")
    for kind in ("835", f"hl7/{FAMILY}"):
        (folder / kind).mkdir(parents=True)
    payment = remittance(1, [("C1", "100.00", "80.00"), ("C2", "50.00", "50.00")])
    (folder / "835" / f"{FAMILY}_{GIVEN}.835").write_text(payment, "utf-8")
    (folder / "835" / f"{FAMILY}_{GIVEN}_broken.835").write_text("ISA*this is no interchange", "utf-8")
    (folder / "hl7" / FAMILY / f"{GIVEN}.hl7").write_text(ADT, "utf-8", newline="")
    (folder / "hl7" / FAMILY / f"{GIVEN}_broken.hl7").write_text("MSH|not much of a message\r", "utf-8", newline="")
    feeds = [("remits", "x12", "835"), ("adt", "hl7v2", "hl7")]
    (folder / "clinicmart.yaml").write_text(
        "tenants:\n  north:\n    name: North\n    time_zone: America/New_York\n    as_of: 2026-06-30\n    feeds:\n"
        + "".join(f"      - {{name: {name}, kind: {kind}, path: {folder / path}}}\n" for name, kind, path in feeds),
        "utf-8",
    )
    return folder


@pytest.fixture(scope="module")
def ran(folder: Path) -> Ran:
    return clinicmart("run", "--config", folder / "clinicmart.yaml", "--home", folder / "home")


def test_no_file_of_the_home_holds_the_name(folder: Path, ran: Ran) -> None:
    # The broken payment file is refused, the broken message is held, and the rest is published.
    assert ran.code == 1, ran.out + ran.err
    asked = (
        "metrics",
        "query",
        "payer_paid_amount",
        "--tenant",
        "north",
        "--as",
        "admin@north",
        "--home",
        folder / "home",
    )
    assert clinicmart_here(*asked).code == 0
    spellings = [name.encode(code) for name in (FAMILY, GIVEN) for code in ("utf-8", "utf-16-le")]
    spellings += [name.upper().encode() for name in (FAMILY, GIVEN)]
    files = [path for path in (folder / "home").rglob("*") if path.is_file()]
    holding = [str(path) for path in files if any(name in path.read_bytes() for name in spellings)]
    assert len(files) > 100
    assert holding == []
    assert [str(path) for path in files if FAMILY in str(path) or GIVEN in str(path)] == []
    # Control: the search finds what lies open.
    assert any(
        FAMILY.encode() in path.read_bytes() for path in [folder / "home" / "control"] if path.write_bytes(spellings[0])
    )
    (folder / "home" / "control").unlink()


def test_a_run_prints_a_mark_and_an_operator_sees_the_name(folder: Path, ran: Ran) -> None:
    assert FAMILY not in ran.out + ran.err
    assert len(set(re.findall(r"file [0-9a-f]{10}\.835", ran.out + ran.err))) == 1
    shown = clinicmart_here("status", "--home", folder / "home")
    assert f"{FAMILY}_{GIVEN}_broken.835" in shown.out


def test_a_file_that_was_landed_is_known_again_by_its_name(folder: Path, ran: Ran) -> None:
    again = clinicmart("run", "--config", folder / "clinicmart.yaml", "--home", folder / "home")
    assert "Nothing new" in again.out
