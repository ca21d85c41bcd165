"""The commands with wrong input, as a user types them: one line that says what is wrong, and the right exit code."""

import json
import re
from pathlib import Path

import click
import pytest

from clinicmart.commands.metrics import drill
from clinicmart.main import COMMANDS
from serving.rows.drill import LIMIT
from tests.support import ROOT, clinicmart, clinicmart_here


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


def test_drill_takes_as_many_rows_as_can_be_asked_for() -> None:
    limit = next(option for option in drill.params if option.name == "limit")
    assert isinstance(limit.type, click.IntRange)
    assert limit.type.max == LIMIT


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "--config", "absent.yaml"), "absent.yaml: No such file"),
        (("run",), "Missing option '--config'"),
        (("frobnicate",), "No such command 'frobnicate'"),
        (("status", "--home", "nowhere"), "nowhere is not there"),
        (("metrics", "query", "claims", "--home", "nowhere", "--tenant", "a", "--as", "b"), "nowhere is not there"),
        (("sample", "--out", "x", "--appointments", "-4"), "-4 is not in the range"),
        (("dbt", "ls", "--home", "nowhere"), "nowhere is not there"),
        (("dbt", "ls", "--home", "."), "no home of Clinicmart"),
    ],
)
def test_wrong_options_exit_with_2_and_say_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = clinicmart_here(*arguments)
    assert ran.code == 2
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_wrong_configuration_exits_with_2_and_names_key_and_line(tmp_path: Path) -> None:
    file = tmp_path / "clinicmart.yaml"
    file.write_text("tenants:\n  harbor:\n    name: Harbor\n    timezone: America/New_York\n", encoding="utf-8")
    for command in (("run", "--home", tmp_path / "home"), ("sources", "check")):
        ran = clinicmart_here(*command, "--config", file)
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
    ran = clinicmart_here("sources", "check", "--config", file)
    assert ran.code == 1
    assert "harbor/remits: broken.835" in ran.err
    assert "harbor/ehr" in ran.err
    assert "absent" in ran.err
    assert re.search(r"harbor\s+adt\s+hl7v2\s+1\s+1", ran.out)
    assert "DOE" not in ran.out + ran.err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.fixture
def asked(demo_home: Path):
    """Asks the demo for a figure as a user; gives the finished command."""

    def ask(user: str, *arguments: str, tenant: str = "juniper"):
        return clinicmart_here(*arguments, "--home", demo_home, "--tenant", tenant, "--as", user)

    return ask


@pytest.mark.slow
def test_rights_given_on_the_command_line_hold_at_once(demo_home: Path, asked) -> None:
    # What another process changes must hold in this one, whose readers are open.
    place = ("--home", demo_home, "--tenant", "juniper")
    added = clinicmart_here("users", "add", "manager@juniper", "--role", "program_manager", "--unit", "CL03", *place)
    assert added.code == 0, added.err
    assert "one-time password" in added.out
    whole = asked("admin@juniper", "metrics", "query", "appointments", "--format", "csv").out.splitlines()[-1]
    part = asked("manager@juniper", "metrics", "query", "appointments", "--format", "csv").out.splitlines()[-1]
    seen = asked("admin@juniper", "metrics", "query", "appointments", "--where", "service_unit=CL03", "--format", "csv")
    assert part == seen.out.splitlines()[-1]
    assert int(part) < int(whole)
    assert clinicmart("users", "change", "manager@juniper", "--unit", "CL04", *place).code == 0
    moved = asked("manager@juniper", "metrics", "query", "appointments", "--format", "csv").out.splitlines()[-1]
    assert moved != part
    again = clinicmart_here("users", "reset", "manager@juniper", *place)
    assert again.code == 0
    assert again.out.split()[-1] != added.out.split()[-1]
    assert clinicmart_here("users", "reset", "nobody@juniper", *place).code == 1
    assert clinicmart("users", "change", "manager@juniper", "--lock", *place).code == 0
    refused = asked("manager@juniper", "metrics", "query", "appointments")
    assert refused.code == 1
    listed = json.loads(clinicmart_here("users", "list", *place, "--json").out)
    status = {person["email"]: person["status"] for person in listed}
    assert status["manager@juniper"] == "locked" != status["admin@juniper"]
    assert "Traceback" not in refused.err
    twice = clinicmart_here("users", "add", "manager@juniper", "--role", "program_manager", "--unit", "CL03", *place)
    assert twice.code == 2


@pytest.mark.slow
def test_a_module_that_is_switched_off_is_refused(demo_home: Path, asked) -> None:
    place = ("--home", demo_home, "--tenant", "juniper")
    assert clinicmart("modules", "set", "no_show", "--off", *place).code == 0
    try:
        refused = asked("admin@juniper", "metrics", "query", "no_show_rate")
        assert refused.code != 0
        assert "Traceback" not in refused.err
        assert asked("admin@juniper", "metrics", "query", "claims").code == 0
    finally:
        assert clinicmart("modules", "set", "no_show", "--on", *place).code == 0
    assert asked("admin@juniper", "metrics", "query", "no_show_rate").code == 0
    assert clinicmart_here("modules", "set", "surgery", "--on", *place).code == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("metrics", "query", "no_shows_rate"), "no_show_rate"),
        (("metrics", "query", "claims", "--by", "shoe_size"), "shoe_size"),
        (("metrics", "query", "claims", "--where", "payer"), "DIM=VALUE"),
        (("metrics", "query", "claims", "--from", "2026-05-01", "--to", "2026-04-01"), "before it begins"),
        (("metrics", "show", "denial_rat"), "denial_rate"),
        (("drill", "nonsense"), "nonsense"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(asked, arguments: tuple[str, ...], said: str) -> None:
    ran = asked("admin@juniper", *arguments)
    assert ran.code in (1, 2)
    assert said in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.slow
def test_another_tenants_people_and_unknown_people_are_refused(asked) -> None:
    for user, tenant in (("admin@harbor", "juniper"), ("nobody@juniper", "juniper"), ("admin@juniper", "atlantis")):
        ran = asked(user, "metrics", "query", "claims", tenant=tenant)
        assert ran.code == 1
        assert "Traceback" not in ran.err
        assert ran.out == ""
