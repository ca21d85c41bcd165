"""A process that holds the serving key reads what is published, and opens nothing else of the home."""

import base64
import json
import os
import shutil

import duckdb
import pytest

from foundation import duck, key_files
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.key_masters import GRANTS, INGEST, SERVING, LocalMaster, expand
from foundation.keys import (
    INGEST_VARIABLE,
    SERVING_HOME_PURPOSES,
    SERVING_TENANT_PURPOSES,
    SERVING_VARIABLE,
    VARIABLE,
    Keys,
    serving_keys,
)
from serving.model import MetricQuery
from serving.open_files import close_all
from serving.people.principal import PLATFORM
from serving.people.store import AccessStore
from serving.reader import open_reader
from serving.scope_files.unheld import remove_unheld
from serving.versions.closes import closes, figures_file, keys_of
from tests.serving.conftest import PEOPLE
from tests.support import clinicmart

OTHERS = ("vault", "landing", "token", "inbox", "messages", "payments")


def as_server(monkeypatch: pytest.MonkeyPatch, home: Home) -> Keys:
    """This process as one that serves: the serving key in its environment, no master key, and no file of it."""
    monkeypatch.setenv(SERVING_VARIABLE, base64.b64encode(Keys.of(home).serving_key).decode())
    monkeypatch.delenv(VARIABLE, raising=False)
    home.master_key.unlink()
    keys = Keys.of(home)
    assert (tuple(keys.masters), keys.master) == ((SERVING,), b"")
    return keys


@pytest.fixture
def served(place):  # type: ignore[no-untyped-def]
    Keys.of(place.home).add_tenants(place.home.published_tenants())
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
    Keys.of(home).add_tenants(home.published_tenants())
    as_server(monkeypatch, home)
    (close,) = closes(home, "harbor")
    with duck.session(home) as connection:
        duck.attach(connection, figures_file(home, close), alias="figures", key=keys_of(home, "harbor"), read_only=True)


def grant_only(monkeypatch: pytest.MonkeyPatch, home: Home, grant: str) -> Keys:
    """This process with the key of one grant alone; the master key is not in the home."""
    key = Keys.of(home).grant_key(grant)
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv({SERVING: SERVING_VARIABLE, INGEST: INGEST_VARIABLE}[grant], base64.b64encode(key).decode())
    home.master_key.rename(home.path / "elsewhere")
    return Keys.of(home)


PURPOSES = {
    SERVING: [(purpose, "harbor") for purpose in SERVING_TENANT_PURPOSES]
    + [(item, "") for item in SERVING_HOME_PURPOSES],
    INGEST: [(purpose, "harbor") for purpose in OTHERS] + [("warehouse", ""), ("backup", ""), ("proof", "")],
}


@pytest.mark.parametrize(("held", "other"), [(SERVING, INGEST), (INGEST, SERVING)])
def test_one_grant_opens_its_own_keys_and_nothing_of_the_other(served, monkeypatch, held, other):
    right = {item: Keys.of(served.home).derive(*item) for item in PURPOSES[other]}
    own = {item: Keys.of(served.home).derive(*item) for item in PURPOSES[held]}
    keys = grant_only(monkeypatch, served.home, held)
    assert {item: keys.derive(*item) for item in own} == own
    for item in PURPOSES[other]:
        with pytest.raises(ConfigurationError, match={SERVING: SERVING_VARIABLE, INGEST: INGEST_VARIABLE}[held]):
            keys.derive(*item)
    # Nor does anything that the process holds open the other's files, or derive to one of its keys.
    mine = keys.masters[held]
    assert isinstance(mine, LocalMaster)
    secrets = {mine.secret, *own.values()}
    for secret in secrets | {expand(secret, f"{grant}/") for secret in secrets for grant in GRANTS}:
        for path in key_files.paths(served.home, other):
            with pytest.raises(ConfigurationError):
                key_files.read(path, LocalMaster(secret))
    derived = {expand(secret, "/".join(item)) for secret in secrets for item in right}
    assert (secrets | derived).isdisjoint(right.values())


def test_the_serving_key_does_not_open_the_warehouse_and_the_master_key_does(served, monkeypatch):
    path, right = served.home.warehouse, Keys.of(served.home).derive_hex("warehouse")
    keys = as_server(monkeypatch, served.home)
    held = [keys.derive(*item) for item in PURPOSES[SERVING]]
    with duck.session(served.home) as connection:
        for number, key in enumerate(held):
            with pytest.raises(duckdb.Error):
                duck.attach(connection, path, alias=f"w{number}", key=key.hex(), read_only=True)
        duck.attach(connection, path, alias="warehouse", key=right, read_only=True)


def test_a_tenant_that_was_added_later_is_served_after_the_run_that_added_it(place, monkeypatch):
    whole = Keys.of(place.home)
    keys = as_server(monkeypatch, place.home)
    with pytest.raises(ConfigurationError, match="juniper: the serving keys of this tenant are missing"):
        keys.derive("published", "juniper")
    whole.add_tenants(["juniper"])
    for purpose in SERVING_TENANT_PURPOSES:
        for tenant in ("harbor", "juniper"):
            assert Keys.of(place.home).derive(purpose, tenant) == whole.derive(purpose, tenant)


def test_key_files_are_written_once_for_their_owner_alone(served):
    before = {path: path.stat() for grant in GRANTS for path in key_files.paths(served.home, grant)}
    assert len(before) == 6
    Keys.of(served.home).add_tenants(["harbor", "mesa"])
    assert {path: path.stat().st_mtime_ns for path in before} == {path: s.st_mtime_ns for path, s in before.items()}
    assert {status.st_mode & 0o077 for status in before.values()} == {0}


def test_a_damaged_or_missing_key_file_is_named_and_not_made_again(served):
    path = key_files.path_of(served.home, SERVING, "harbor")
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(ConfigurationError, match=r"harbor\.key is not a key file; restore it from your backup"):
        Keys.of(served.home).derive("published", "harbor")
    path.unlink()
    with pytest.raises(ConfigurationError, match=r"holds data of harbor, but the key file .*harbor\.key is missing"):
        Keys.of(served.home).derive("published", "harbor")
    assert not path.exists()
    # The file of one tenant does not do for another.
    path.write_bytes(key_files.path_of(served.home, SERVING, "mesa").read_bytes())
    with pytest.raises(ConfigurationError, match=r"harbor\.key lost bytes"):
        Keys.of(served.home).derive("published", "harbor")


def test_a_wrong_key_is_one_sentence(served, monkeypatch):
    monkeypatch.setenv(SERVING_VARIABLE, base64.b64encode(b"x" * 32).decode())
    with pytest.raises(ConfigurationError, match="clinicmart keys serving prints the right one"):
        Keys.of(served.home)
    monkeypatch.setenv(SERVING_VARIABLE, "short")
    with pytest.raises(ConfigurationError, match=f"{SERVING_VARIABLE} must be 32 bytes"):
        Keys.of(served.home)


def test_a_process_that_serves_holds_no_master_key(served, monkeypatch):
    monkeypatch.setenv(VARIABLE, base64.b64encode(served.home.master_key.read_bytes()).decode())
    monkeypatch.delenv(SERVING_VARIABLE, raising=False)
    master = os.environ[VARIABLE]
    with serving_keys(served.home):
        assert VARIABLE not in os.environ
        keys = Keys.of(served.home)
        assert (tuple(keys.masters), keys.master) == ((SERVING,), b"")
        with pytest.raises(ConfigurationError):
            keys.derive("vault", "harbor")
        with pytest.raises(ConfigurationError):
            keys.add_tenants(["harbor", "new"])
        with serving_keys(served.home):
            assert tuple(Keys.of(served.home).masters) == (SERVING,)
    assert (os.environ[VARIABLE], SERVING_VARIABLE in os.environ) == (master, False)


@pytest.mark.parametrize(("grant", "variable"), [(SERVING, SERVING_VARIABLE), (INGEST, INGEST_VARIABLE)])
def test_the_command_prints_the_key_records_it_and_refuses_a_server(served, monkeypatch, grant, variable):
    monkeypatch.delenv(VARIABLE, raising=False)
    home = served.home.path
    said = json.loads(clinicmart("keys", grant, "--json", "--home", home).out)
    assert said == {"variable": variable, "key": base64.b64encode(Keys.of(served.home).grant_key(grant)).decode()}
    assert [row.action for row in AccessStore.open(served.home).audit_rows(PLATFORM)][:1] == [f"{grant} key printed"]
    served.home.master_key.rename(served.home.path / "elsewhere")
    environment = {said["variable"]: said["key"]}
    assert clinicmart("audit", "verify", "--home", home, env=environment).code == (0 if grant == SERVING else 2)
    refused = clinicmart("keys", grant, "--home", home, env=environment)
    assert (refused.code, "Traceback" in refused.err) == (2, False)
    assert variable in refused.err


def test_scope_files_of_an_earlier_release_are_removed(served):
    (version,) = served.home.path.glob("published/harbor/2*")
    earlier = version / "scopes"
    earlier.mkdir()
    (earlier / "abc.duckdb").write_bytes(b"under another key")
    assert remove_unheld(served.home, "harbor") >= 1
    assert not earlier.exists()
