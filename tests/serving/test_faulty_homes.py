"""Every command on a home that the machine under it has spoilt: one sentence and an exit code, never a traceback.

The commands come from the command line's own tree, so that a new one is asked too.
"""

import ctypes
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import duckdb
import pytest
import uvicorn

import dagster_project.postgres_target
import dagster_project.run
import dagster_project.together
from clinicmart.commands import demo
from clinicmart.main import cli
from foundation import formats
from foundation.errors import ClinicmartError
from foundation.home import FORMAT_FILE, Home
from ingest.ledger import Ledger
from ingest.receive.mllp import listener
from serving.open_files import close_all
from serving.versions.store import current_version, files_of
from tests.serving.conftest import Place
from tests.support import Ran, clinicmart_here

PERSON = ("--tenant", "harbor", "--as", "admin@harbor")
MONTH = "2026-02"
DAYS = ("--from", "2026-01-01", "--to", "2026-12-31")
# Command to its arguments; None for those that work on no home.
COMMANDS: dict[str, tuple[str, ...] | None] = {
    "demo": ("--no-serve",),
    "upgrade": (),
    "control-database check": (),
    "control-database move": ("--config", "CONFIG"),
    "run": ("--config", "CONFIG"),
    "listen": ("--config", "CONFIG"),
    "sources check": None,
    "sources checkpoint": (),
    "sources jwks": None,
    "sample": None,
    "status": (),
    "quarantine acknowledge": ("9b04754d74", "--reason", "tried", "--tenant", "harbor"),
    "quarantine list": (),
    "quarantine release": ("1",),
    "quarantine show": ("1",),
    "metrics list": PERSON,
    "metrics query": ("visits", *PERSON),
    "metrics show": ("visits", *PERSON),
    "drill": ("visits", *PERSON),
    "annotations add": ("closed", "--from", "2026-01-01", *PERSON),
    "annotations change": ("0a1b2c3d", "closed", "--from", "2026-01-01", *PERSON),
    "annotations list": PERSON,
    "annotations remove": ("0a1b2c3d", *PERSON),
    "targets list": PERSON,
    "targets set": ("visits", "12", "--from", "2026-01-01", *PERSON),
    "saved-reports": PERSON,
    "forecasts list": PERSON,
    "forecasts make": PERSON,
    "forecasts score": PERSON,
    "forecasts verify": PERSON,
    "close list": PERSON,
    "close month": (MONTH, *PERSON),
    "close reopen": (MONTH, "--reason", "tried", *PERSON),
    "close restatements": (MONTH, *PERSON),
    "close show": (MONTH, *PERSON),
    "lineage": ("visits", *PERSON),
    "source": ("fct_visits", "v0", *PERSON),
    "extract": ("--out", "OUT", *PERSON),
    "serve": ("--port", "18765"),
    "dagster": (),
    "tenants add": ("delta", "--name", "Delta", "--admin", "ada@delta"),
    "tenants list": (),
    "tenants metering": ("--from", "2026-01"),
    "tenants sign-in": ("--tenant", "harbor"),
    "tenants oidc set": (
        *("--tenant", "harbor", "--issuer", "https://id.example", "--client-id", "clinicmart"),
        *("--secret-env", "NOT_SET"),
    ),
    "tenants oidc show": ("--tenant", "harbor"),
    "tenants oidc remove": ("--tenant", "harbor"),
    "tenants embedding add": (
        "--tenant",
        "harbor",
        "--name",
        "tried",
        "--origin",
        "https://portal.example.org",
        "--page",
        "overview",
    ),
    "tenants embedding show": ("--tenant", "harbor"),
    "tenants embedding revoke": ("0123456789ab", "--tenant", "harbor"),
    "tenants scim show": ("--tenant", "harbor"),
    "tenants scim create-token": ("--tenant", "harbor", "--name", "tried"),
    "tenants scim revoke-token": ("0123456789ab", "--tenant", "harbor"),
    "tenants scim give": ("Analysts", "--tenant", "harbor", "--role", "analyst"),
    "tenants scim take": ("Analysts", "--tenant", "harbor"),
    "report": (*PERSON, "--page", "revenue_cycle", "--out", "WORKBOOK"),
    "content export": (*PERSON, "--out", "CONTENT"),
    "content import": ("CONTENT", *PERSON),
    "deliver": (),
    "subscriptions add": ("ceo@harbor", "--tenant", "harbor", "--page", "revenue_cycle"),
    "subscriptions list": ("--tenant", "harbor"),
    "subscriptions again": ("1", "--tenant", "harbor"),
    "subscriptions end": ("1", "--tenant", "harbor"),
    "subscriptions rule": ("--tenant", "harbor", "--domain", "harbor.example"),
    "alerts add": ("visits", *PERSON, "--kind", "threshold", "--value", "12"),
    "alerts list": ("--tenant", "harbor"),
    "alerts check": (),
    "alerts snooze": ("1", "--tenant", "harbor", "--until", "2026-12-31"),
    "alerts acknowledge": ("1", "--tenant", "harbor"),
    "alerts budget": ("3", *PERSON),
    "alerts again": ("1", "--tenant", "harbor"),
    "alerts end": ("1", "--tenant", "harbor"),
    "tokens create": ("ceo@harbor", "--tenant", "harbor", "--name", "tried"),
    "tokens list": ("--tenant", "harbor"),
    "tokens revoke": ("0123456789ab", "--tenant", "harbor"),
    # It answers on standard input; `tests/dashboards/test_agents.py` asks its tools.
    "mcp": None,
    "identity look-up": (*PERSON, "--reason", "tried", "--patient", "t1"),
    "users link": ("ceo@harbor", "--tenant", "harbor"),
    "users reset-second-factor": ("ceo@harbor", "--tenant", "harbor"),
    "users add": ("new@harbor", "--tenant", "harbor", "--role", "executive"),
    "users change": ("ceo@harbor", "--tenant", "harbor", "--lock"),
    "users list": ("--tenant", "harbor"),
    "users reset": ("ceo@harbor", "--tenant", "harbor"),
    "modules list": ("--tenant", "harbor"),
    "modules set": ("no_show", "--tenant", "harbor", "--off"),
    "audit list": ("--tenant", "harbor"),
    "audit verify": (),
    # It makes another home, which takes minutes; `tests/test_access_proof.py` runs it.
    "audit prove": None,
    "audit verify-report": None,
    "audit patient": ("t1", "--tenant", "harbor", *DAYS),
    "audit person": ("ceo@harbor", "--tenant", "harbor", *DAYS),
    "audit breach": ("--tenant", "harbor", *DAYS),
    "keys serving": (),
    "keys ingest": (),
    "keys list": (),
    "keys rotate": (),
    "tenants remove": ("harbor", "--confirm", "harbor", "--reason", "tried", "--certificate", "OUT"),
    "tenants remove-asked": (),
    "bi-login create": ("--tenant", "harbor"),
    "bi-login list": (),
    "bi-login revoke": ("somebody", "--tenant", "harbor"),
    "backup": ("--to", "BACKUPS"),
    "replay": ("--out", "REPLAYED", "--as-of", "2026-10-31"),
    "restore": None,
    "doctor": (),
    "dbt": ("ls",),
    "compare-engines": ("--postgres", "postgresql://nobody@127.0.0.1:1/none"),
}
# Commands that write nothing into a home but what they read and for whom: the audit, and files that are made on first use.
READS = (
    "status",
    "quarantine list",
    "metrics list",
    "metrics query",
    "metrics show",
    "drill",
    "annotations list",
    "saved-reports",
    "forecasts list",
    "forecasts score",
    "forecasts verify",
    "alerts list",
    "subscriptions list",
    "tokens list",
    "tenants embedding show",
    "tenants scim show",
    "close list",
    "lineage",
    "tenants list",
    "tenants metering",
    "users list",
    "modules list",
    "audit list",
    "audit verify",
    "bi-login list",
)


def leaves(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    """The names of all commands below a group."""
    if not isinstance(group, click.Group):
        yield " ".join(path)
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from leaves(command, (*path, name))


def test_every_command_is_asked() -> None:
    assert set(leaves(cli)) == set(COMMANDS)


@contextmanager
def modes_hold() -> Iterator[None]:
    """Root can read and write any file; while this holds, file modes count for it too."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    # linux/capability.h: version 3 of the interface, this thread; effective capabilities come first.
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    before = sets[0]
    # CAP_DAC_OVERRIDE (1) and CAP_DAC_READ_SEARCH (2).
    sets[0] = before & ~0b110
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = before
        assert libc.capset(header, sets) == 0


@pytest.fixture
def home(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A published home as a run leaves it. What would run for long, or serve for ever, ends where it would begin."""
    config = tmp_path / "clinicmart.yaml"
    config.write_text(
        "tenants:\n  harbor: {name: Harbor, time_zone: America/New_York, feeds: ["
        "{name: remits, kind: x12, path: 835}, {name: adt, kind: hl7v2, listen: {port: 2575}}]}\n"
    )
    (tmp_path / "835").mkdir()
    Ledger(place.home).close()
    place.home.note_format()
    (place.home.path / "config.json").write_text(f'{{"file": "{config}", "target": "duckdb"}}')

    def reached(*_: Any, **__: Any) -> Any:
        raise ClinicmartError("reached")

    monkeypatch.setattr(dagster_project.run, "reading_definitions", reached)
    monkeypatch.setattr(dagster_project.postgres_target, "quiet_server", reached)
    monkeypatch.setattr(uvicorn.Server, "run", reached)
    monkeypatch.setattr(dagster_project.together, "run_together", reached)
    monkeypatch.setattr(listener, "listen", reached)
    monkeypatch.setattr(demo, "ThreadPoolExecutor", reached)
    monkeypatch.chdir(tmp_path)
    return place.home


def ask(home: Home, name: str) -> Ran:
    """Asks a command in this process."""
    arguments = COMMANDS[name]
    assert arguments is not None
    folder = home.path.parent
    named = {
        "CONFIG": str(folder / "clinicmart.yaml"),
        "OUT": str(folder / f"extract-{name}.duckdb"),
        "WORKBOOK": str(folder / f"report-{name}.xlsx"),
        "CONTENT": str(folder / "content"),
    }
    named |= {"BACKUPS": str(folder / "backups"), "REPLAYED": str(folder / "replayed")}
    close_all()
    return clinicmart_here(*name.split(), *(named.get(item, item) for item in arguments), "--home", home.path)


def served(home: Home, name: str) -> Path:
    version = current_version(home, "harbor")
    assert version is not None
    return files_of(home, "harbor", version.version).folder / name


def replace(path: Path, content: bytes) -> None:
    for suffix in ("", "-wal", "-shm", ".wal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(content)


def read_only(home: Home) -> None:
    for path in sorted(home.path.rglob("*"), reverse=True):
        if not path.is_symlink():
            path.chmod(0o500 if path.is_dir() else 0o400)
    home.path.chmod(0o500)


def unreadable(*names: str) -> Callable[[Home], None]:
    def spoil(home: Home) -> None:
        for name in names:
            for path in home.path.glob(name):
                path.chmod(0)

    return spoil


def no_database(*names: str) -> Callable[[Home], None]:
    def spoil(home: Home) -> None:
        for path in [path for name in names for path in home.path.glob(name)]:
            replace(path, b"these are not the bytes of a database, " * 400)

    return spoil


def of_another_duckdb(home: Home) -> None:
    """Databases without encryption, and of a storage version that does not exist yet."""
    for number, path in enumerate([home.warehouse, *home.path.glob("published/*/*/*.duckdb")]):
        path.unlink(missing_ok=True)
        duckdb.connect(str(path)).close()
        if number % 2:
            content = bytearray(path.read_bytes())
            content[12:20] = (9999).to_bytes(8, "little")
            path.write_bytes(content)


def later_release(home: Home) -> None:
    (home.path / FORMAT_FILE).write_text(f"{formats.HOME + 1}\n")


def earlier_release(home: Home) -> None:
    (home.path / FORMAT_FILE).unlink()


def later_ledger(home: Home) -> None:
    with sqlite3.connect(home.ledger) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()


def later_version(home: Home) -> None:
    for path in (*home.path.glob("published/*/current.json"), *home.path.glob("published/*/*/registry.json")):
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"format": 9999}))


def later_people(home: Home) -> None:
    with sqlite3.connect(home.access) as connection:
        connection.execute("update alembic_version set version_num = '9999'")
    connection.close()


def torn(home: Home) -> None:
    """Every file in JSON ends in its middle."""
    for path in home.path.rglob("*.json"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lost(home: Home) -> None:
    for path in home.path.glob("published/*/*"):
        if path.is_dir():
            shutil.rmtree(path)


FAULTS: dict[str, Callable[[Home], None]] = {
    "read-only": read_only,
    "unreadable key": unreadable("keys/master.key"),
    "unreadable databases": unreadable("access.sqlite", "ledger.sqlite", "warehouse/warehouse.duckdb"),
    "unreadable published files": unreadable("published/*/*/*", "published/*/*.json"),
    "unreadable notes": unreadable("*.json", "format", "run.lock", "step.lock"),
    "people are no database": no_database("access.sqlite"),
    "ledger is no database": no_database("ledger.sqlite"),
    "published files are no databases": no_database("published/*/*/*.duckdb", "warehouse/warehouse.duckdb"),
    "files of another DuckDB": of_another_duckdb,
    "home of a later release": later_release,
    "home of an earlier release": earlier_release,
    "people of a later release": later_people,
    "ledger of a later release": later_ledger,
    "version of a later release": later_version,
    "torn": torn,
    "lost versions": lost,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_no_command_ends_in_a_traceback(home: Home, fault: str) -> None:
    FAULTS[fault](home)
    told: dict[str, str] = {}
    with modes_hold():
        for name, arguments in COMMANDS.items():
            if arguments is None:
                continue
            try:
                ran = ask(home, name)
            except BaseException as error:
                told[name] = f"{type(error).__module__}.{type(error).__name__}: {error}"[:300]
                continue
            lines = [line for line in ran.err.splitlines() if line.strip()]
            if ran.code not in (0, 1, 2):
                told[name] = f"exit code {ran.code}"
            elif "Traceback" in ran.out + ran.err:
                told[name] = ran.err[-300:]
            elif ran.code and not lines:
                told[name] = "no word of what is wrong"
    assert told == {}


@pytest.mark.parametrize(
    ("fault", "command", "said"),
    [
        ("read-only", "users reset", "this account may not read or write it"),
        ("unreadable key", "metrics query", "master.key: this account may not read or write it"),
        ("ledger is no database", "status", "ledger.sqlite: it is not a database that Clinicmart wrote"),
        ("people are no database", "users list", "access.sqlite: it is not a database that Clinicmart wrote"),
        ("home of a later release", "metrics query", "was written by a later release of Clinicmart"),
        ("home of a later release", "run", "was written by a later release of Clinicmart"),
        ("people of a later release", "users list", "was written by a later release"),
        ("ledger of a later release", "status", "ledger.sqlite was written by a later release"),
        ("version of a later release", "metrics query", "current.json was written by a later release"),
        ("lost versions", "metrics query", "the next run publishes it again"),
    ],
)
def test_the_sentence_says_what_is_wrong_and_what_to_do(home: Home, fault: str, command: str, said: str) -> None:
    FAULTS[fault](home)
    with modes_hold():
        ran = ask(home, command)
    assert ran.code in (1, 2)
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1


def test_every_command_on_an_earlier_home_names_the_command_that_upgrades_it(home: Home) -> None:
    earlier_release(home)
    before = state(home)
    for name, arguments in COMMANDS.items():
        if arguments is not None and name != "upgrade":
            ran = ask(home, name)
            assert (name, ran.code) == (name, 2)
            assert f"run clinicmart upgrade --home {home.path}" in ran.err
            assert len(ran.err.splitlines()) == 1
    assert state(home) == before
    ran = ask(home, "upgrade")
    assert (ran.code, ran.err) == (0, "")
    assert ask(home, "metrics query").code == 0


def state(home: Home) -> dict[str, bytes]:
    """Every file of a home but those that a read may write: the audit, and what is made on first use."""
    free = (
        "access.sqlite",
        "checked.json",
        "/by_scope/",
        "/tmp/",
        "/extensions/",
        ".lock",
        "-wal",
        "-shm",
        "/compiled/",
    )
    files = {str(path): path for path in home.path.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if not any(part in name for part in free)}


def test_a_read_writes_nothing_and_makes_nothing(home: Home) -> None:
    before, folders = state(home), {path.name for path in home.path.iterdir()}
    for name in READS:
        ran = ask(home, name)
        # This home was published without lineage, which is a sentence.
        assert (name, ran.code) == (name, 2 if name == "lineage" else 0)
    assert state(home) == before
    # SQLite keeps two files beside a database that another process has open.
    kept = {"tmp", "extensions", "access.sqlite-wal", "access.sqlite-shm"}
    assert {path.name for path in home.path.iterdir()} - folders <= kept
    assert not (home.path / "postgres").exists()


def test_a_folder_that_is_no_home_is_left_alone(home: Home, tmp_path: Path) -> None:
    other = Home.at(tmp_path / "documents")
    (other.path / "letter.txt").write_text("Dear")
    for name in READS:
        ran = ask(other, name)
        assert (name, ran.code) == (name, 2)
        assert "is no home of Clinicmart" in ran.err
    assert [path.name for path in other.path.iterdir()] == ["letter.txt"]
