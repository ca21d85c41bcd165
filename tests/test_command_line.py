"""The commands with wrong input, as a user types them: one line that says what is wrong, and the right exit code."""

import re
from pathlib import Path

import pytest

from clinicmart.main import COMMANDS
from tests.support import ROOT, clinicmart


def test_every_command_has_help_and_the_page_shows_it() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for name in COMMANDS:
        assert f"## clinicmart {name}\n" in page


def test_help_is_quick_to_import() -> None:
    # Listing commands must not load what they need: dagster alone takes seconds.
    import subprocess
    import sys

    script = "import clinicmart.main as m, sys; m.commands_are = list(m.COMMANDS); [m.cli.get_command(None, c) for c in m.COMMANDS]; "
    script += (
        "print([n for n in ('dagster', 'streamlit', 'great_expectations', 'polars', 'metricflow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--config", "absent.yaml"), "absent.yaml: No such file"),
        (("run",), "Missing option '--config'"),
        (("frobnicate",), "No such command 'frobnicate'"),
        (("status", "--home", "nowhere"), "nowhere is not there"),
        (("metrics", "query", "claims", "--home", "nowhere", "--tenant", "a", "--as", "b"), "nowhere is not there"),
        (("sample", "--out", "x", "--appointments", "-4"), "-4 is not in the range"),
    ],
)
def test_wrong_options_exit_with_2_and_say_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = clinicmart(*arguments, cwd=tmp_path)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_wrong_configuration_exits_with_2_and_names_key_and_line(tmp_path: Path) -> None:
    file = tmp_path / "clinicmart.yaml"
    file.write_text("tenants:\n  harbor:\n    name: Harbor\n    timezone: America/New_York\n", encoding="utf-8")
    for command in (("run", "--home", tmp_path / "home"), ("sources", "check")):
        ran = clinicmart(*command, "--config", file)
        assert ran.code == 2
        assert f"{file}:4: tenants.harbor.timezone: unknown key" in ran.err
        assert "Traceback" not in ran.err


def test_sources_check_reads_a_little_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "835").mkdir()
    (tmp_path / "835" / "broken.835").write_text("not X12", encoding="utf-8")
    (tmp_path / "hl7").mkdir()
    message = (
        "MSH|^~\\&|ADT|HARBOR|MART|HARBOR|20260312090000||ADT^A04|M1|P|2.5\r"
        "EVN|A04|20260312090000\rPID|1||MRN1^^^H^MR||DOE^JANE||19700101|F\rPV1|1|O|CLINIC1||||||||||||||||V1|||||||||||||||||||||||||20260312090000\r"
    )
    (tmp_path / "hl7" / "a.hl7").write_text(message, encoding="utf-8")
    file = tmp_path / "clinicmart.yaml"
    file.write_text(
        "tenants:\n  harbor:\n    name: Harbor\n    time_zone: America/New_York\n    feeds:\n"
        "      - {name: remits, kind: x12, path: 835}\n      - {name: adt, kind: hl7v2, path: hl7}\n"
        "      - {name: ehr, kind: fhir, profile: r4, path: absent}\n",
        encoding="utf-8",
    )
    before = sorted(tmp_path.rglob("*"))
    ran = clinicmart("sources", "check", "--config", file)
    assert ran.code == 1
    assert "harbor/remits: broken.835" in ran.err
    assert "harbor/ehr" in ran.err
    assert "absent" in ran.err
    assert re.search(r"harbor\s+adt\s+hl7v2\s+1\s+1", ran.out)
    assert "DOE" not in ran.out + ran.err
    assert sorted(tmp_path.rglob("*")) == before
