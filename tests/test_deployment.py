"""The units, the proxy's configuration and the container file in docs/deployment are what this release understands."""

import configparser
import copy
import re
import shlex
from pathlib import Path

import click
import pytest

from clinicmart.main import cli
from foundation.keys import SERVING_VARIABLE

ROOT = Path(__file__).parents[1]
DEPLOYMENT = ROOT / "docs" / "deployment"
SERVICES = sorted(DEPLOYMENT.glob("*.service"))


class _Unit(configparser.RawConfigParser):
    """A systemd unit; a key that stands twice has its values one after the other."""

    def __init__(self, file: Path) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",), dict_type=dict)
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read_string(file.read_text("utf-8"))
        self.text = file.read_text("utf-8")

    def values(self, key: str) -> list[str]:
        return [word for line in re.findall(rf"^{key}=(.*)$", self.text, re.M) for word in line.split()]


def test_there_are_units_for_everything_that_keeps_running() -> None:
    assert {file.stem for file in SERVICES} == {
        "clinicmart-serve",
        "clinicmart-listen",
        "clinicmart-dagster",
        "clinicmart-run",
        "clinicmart-backup",
    }


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.stem)
def test_the_command_of_a_unit_exists_with_its_options(file: Path) -> None:
    program, name, *arguments = shlex.split(_Unit(file)["Service"]["ExecStart"])
    assert program == "/opt/clinicmart/bin/clinicmart"
    command = copy.deepcopy(cli.get_command(click.Context(cli), name))
    assert command is not None
    # Paths of the server do not exist here: their options are parsed as text.
    for parameter in command.params:
        if isinstance(parameter.type, click.Path):
            parameter.type = click.STRING
    context = command.make_context(name, arguments)
    assert str(context.params["home"]) == "/var/lib/clinicmart"


@pytest.mark.parametrize("file", SERVICES, ids=lambda file: file.stem)
def test_units_run_as_their_own_user_and_write_into_the_home_alone(file: Path) -> None:
    service = _Unit(file)["Service"]
    assert (service["User"], service["UMask"]) == ("clinicmart", "0077")
    assert (service["ProtectSystem"], service["NoNewPrivileges"]) == ("strict", "true")
    assert service["ReadWritePaths"] == "/var/lib/clinicmart"


def test_the_pages_hold_the_serving_key_and_cannot_reach_what_it_does_not_open() -> None:
    unit = _Unit(DEPLOYMENT / "clinicmart-serve.service")
    hidden = {path.removeprefix("-/var/lib/clinicmart/") for path in unit.values("InaccessiblePaths")}
    assert hidden == {
        "keys/master.key",
        "keys/master.key.next",
        "keys/master.key.earlier",
        "keys/ingest",
        "vault",
        "landing",
        "inbox",
        "quarantine",
        "index",
        "warehouse",
    }
    assert unit.values("EnvironmentFile") == ["/etc/clinicmart/serve.env"]
    assert SERVING_VARIABLE in unit.text


def test_the_proxy_passes_on_what_the_pages_need() -> None:
    text = (DEPLOYMENT / "nginx.conf").read_text("utf-8")
    for header in ("Host $host", "X-Forwarded-For $remote_addr", "X-Forwarded-Proto $scheme", "Upgrade $http_upgrade"):
        assert f"proxy_set_header {header};" in text
    port = re.search(r"proxy_pass http://127.0.0.1:(\d+);", text)
    assert port is not None
    assert f"--port {port[1]} " in (DEPLOYMENT / "clinicmart-serve.service").read_text("utf-8")


def test_the_image_holds_every_package_and_no_tests() -> None:
    lines = (DEPLOYMENT / "Containerfile").read_text("utf-8").splitlines()
    copied = {word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]}
    assert all((ROOT / name).exists() for name in copied)
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}
    assert packages | {"dbt", "requirements.txt", "pyproject.toml"} <= copied
    assert "tests" not in copied
