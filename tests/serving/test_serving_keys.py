"""A process that holds the serving key reads what is published, and opens nothing else of the home."""

import base64
import json
import os
import shutil

import duckdb
import pytest

from foundation import duck
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.keys import (
    SERVING_TENANT_PURPOSES,
    SERVING_VARIABLE,
    VARIABLE,
    Keys,
    ServingKeys,
    serving_keys,
)
from serving.model import MetricQuery
from serving.open_files import close_all
from serving.people.principal import PLATFORM
from serving.people.store import AccessStore
from serving.reader import open_reader
from serving.scope_files.unheld import remove_unheld
from serving.versions.closes import closes, figures_file, key_of
from tests.serving.conftest import PEOPLE
from tests.support import clinicmart

OTHERS = ("vault", "landing", "token", "inbox", "warehouse", "messages", "payments", "serving", "check")


def as_server(monkeypatch: pytest.MonkeyPatch, home: Home) -> ServingKeys:
    """This process as one that serves: the serving key in its environment, no master key, and no file of it."""
    monkeypatch.setenv(SERVING_VARIABLE, base64.b64encode(Keys.of(home).serving_key).decode())
    monkeypatch.delenv(VARIABLE, raising=False)
    home.master_key.unlink()
    keys = Keys.of(home)
    assert isinstance(keys, ServingKeys)
    return keys


@pytest.fixture
def served(place):  # type: ignore[no-untyped-def]
    Keys.of(place.home).grant_serving(place.home, place.home.published_tenants())
    yield place
    close_all()


def test_every_role_reads_the_same_with_the_serving_key(served, monkeypatch):
    def answers() -> dict[str, object]:
        question = MetricQuery(metrics=["billed_amount"], by=["level_2"])
        people = [(tenant, f"{name}@{tenant}") for name, *_ in PEOPLE for tenant in ("harbor", "mesa")]
        readers = {user: open_reader(served.home, served.access.principal(tenant, user)) for tenant, user in people}
        return {
            user: reader.query(question).rows()
            for user, reader in readers.items()
            if "billed_amount" in {metric.name for metric in reader.metrics()}
        }

    with_master = answers()
    close_all()
    for path in served.home.path.glob("published/*/*/by_scope/*"):
        path.unlink()
    as_server(monkeypatch, served.home)
    # What the unit of the pages hides from them (docs/deployment).
    for name in ("vault", "landing", "inbox", "quarantine", "index", "warehouse"):
        shutil.rmtree(served.home.path / name, ignore_errors=True)
    assert answers() == with_master
    assert len({str(rows) for rows in with_master.values()}) > 4
    assert served.access.verify_audit().is_intact


def test_a_closed_month_is_read_with_the_serving_key(closed, monkeypatch):
    home = closed.home
    Keys.of(home).grant_serving(home, home.published_tenants())
    as_server(monkeypatch, home)
    (close,) = closes(home, "harbor")
    with duck.session(home) as connection:
        duck.attach(connection, figures_file(home, close), alias="figures", key=key_of(home, "harbor"), read_only=True)


@pytest.mark.parametrize("purpose", OTHERS)
def test_the_serving_key_opens_nothing_else(served, monkeypatch, purpose):
    right = Keys.of(served.home).derive(purpose, "harbor")
    keys = as_server(monkeypatch, served.home)
    with pytest.raises(ConfigurationError, match=SERVING_VARIABLE):
        keys.derive(purpose, "harbor")
    # Nor does anything that the process holds, or can derive from it in the same way.
    secrets = {*keys.ring.values(), base64.b64decode(os.environ[SERVING_VARIABLE])}
    derived = {Keys(secret).derive(purpose, "harbor") for secret in secrets}
    assert right not in secrets | derived


def test_the_serving_key_does_not_open_the_warehouse_and_the_master_key_does(served, monkeypatch):
    path, right = served.home.warehouse, Keys.of(served.home).derive_hex("warehouse")
    keys = as_server(monkeypatch, served.home)
    with duck.session(served.home) as connection:
        for number, key in enumerate(keys.ring.values()):
            with pytest.raises(duckdb.Error):
                duck.attach(connection, path, alias=f"w{number}", key=key.hex(), read_only=True)
        duck.attach(connection, path, alias="warehouse", key=right, read_only=True)


def test_a_tenant_that_was_published_later_is_served_after_the_run_that_published_it(place, monkeypatch):
    Keys.of(place.home).grant_serving(place.home, ["harbor"])
    master = place.home.master_key.read_bytes()
    keys = as_server(monkeypatch, place.home)
    with pytest.raises(ConfigurationError, match="mesa: the serving ring does not hold this tenant's keys yet"):
        keys.derive("published", "mesa")
    Keys(master).grant_serving(place.home, ["mesa"])
    for purpose in SERVING_TENANT_PURPOSES:
        for tenant in ("harbor", "mesa"):
            assert Keys.of(place.home).derive(purpose, tenant) == Keys(master).derive(purpose, tenant)


def test_a_ring_that_holds_everything_is_not_written_again(served):
    before = served.home.serving_ring.stat()
    Keys.of(served.home).grant_serving(served.home, ["harbor"])
    assert served.home.serving_ring.stat().st_mtime_ns == before.st_mtime_ns
    assert before.st_mode & 0o077 == 0


def test_a_damaged_ring_is_named_to_the_server_and_made_again_by_the_master_key(served, monkeypatch):
    master, ring = served.home.master_key.read_bytes(), served.home.serving_ring
    ring.write_bytes(ring.read_bytes()[:-1])
    as_server_key = base64.b64encode(Keys(master).serving_key).decode()
    monkeypatch.setenv(SERVING_VARIABLE, as_server_key)
    with pytest.raises(ConfigurationError, match=r"does not open .*serving\.ring"):
        Keys.of(served.home)
    Keys(master).grant_serving(served.home, served.home.published_tenants())
    assert Keys.of(served.home).derive("published", "mesa") == Keys(master).derive("published", "mesa")


def test_a_wrong_or_missing_ring_or_key_is_one_sentence(served, monkeypatch):
    monkeypatch.setenv(SERVING_VARIABLE, base64.b64encode(b"x" * 32).decode())
    with pytest.raises(ConfigurationError, match="clinicmart keys serving prints the right one"):
        Keys.of(served.home)
    monkeypatch.setenv(SERVING_VARIABLE, "short")
    with pytest.raises(ConfigurationError, match=f"{SERVING_VARIABLE} must be 32 bytes"):
        Keys.of(served.home)
    served.home.serving_ring.unlink()
    monkeypatch.setenv(SERVING_VARIABLE, base64.b64encode(b"x" * 32).decode())
    with pytest.raises(ConfigurationError, match="run clinicmart run once with the master key"):
        Keys.of(served.home)


def test_a_process_that_serves_holds_no_master_key(served, monkeypatch):
    served.home.serving_ring.unlink()
    monkeypatch.setenv(VARIABLE, base64.b64encode(served.home.master_key.read_bytes()).decode())
    monkeypatch.delenv(SERVING_VARIABLE, raising=False)
    master = os.environ[VARIABLE]
    with serving_keys(served.home):
        assert VARIABLE not in os.environ
        keys = Keys.of(served.home)
        assert isinstance(keys, ServingKeys)
        assert keys.master == b""
        with pytest.raises(ConfigurationError):
            keys.derive("vault", "harbor")
        with pytest.raises(ConfigurationError):
            keys.grant_serving(served.home, ["harbor", "new"])
        with serving_keys(served.home):
            assert isinstance(Keys.of(served.home), ServingKeys)
    assert (os.environ[VARIABLE], SERVING_VARIABLE in os.environ) == (master, False)


def test_the_command_prints_the_key_records_it_and_refuses_a_server(served, monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    home = served.home.path
    said = json.loads(clinicmart("keys", "serving", "--json", "--home", home).out)
    assert said == {
        "variable": SERVING_VARIABLE,
        "key": base64.b64encode(Keys.of(served.home).serving_key).decode(),
    }
    assert [row.action for row in AccessStore.open(served.home).audit_rows(PLATFORM)][:1] == ["serving key printed"]
    served.home.master_key.rename(served.home.path / "elsewhere")
    environment = {said["variable"]: said["key"]}
    assert clinicmart("audit", "verify", "--home", home, env=environment).code == 0
    refused = clinicmart("keys", "serving", "--home", home, env=environment)
    assert (refused.code, "Traceback" in refused.err) == (2, False)
    assert SERVING_VARIABLE in refused.err


def test_scope_files_of_an_earlier_release_are_removed(served):
    (version,) = served.home.path.glob("published/harbor/2*")
    earlier = version / "scopes"
    earlier.mkdir()
    (earlier / "abc.duckdb").write_bytes(b"under another key")
    assert remove_unheld(served.home, "harbor") >= 1
    assert not earlier.exists()
