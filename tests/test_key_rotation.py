"""A new master key, or keys of a KMS, in place of the earlier one: both open the home until the rotation is finished."""

import base64
import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from botocore.session import get_session
from moto.server import ThreadedMotoServer

from clinicmart.key_rotation import finish, key_list, rotate
from foundation import key_files
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.key_masters import AWS_KMS, GRANTS, INGEST, SERVING, Provider, local_masters
from foundation.keys import GRANT_VARIABLE, SERVING_VARIABLE, VARIABLE, Keys, serving_keys
from serving.people.store import AccessStore
from tests.support import clinicmart_here, run_killed_at

TENANTS = ("harbor", "mesa")
ASKED = [(purpose, tenant) for purpose in ("landing", "vault", "published", "token", "scopes") for tenant in TENANTS]
ASKED += [("warehouse", ""), ("session", "")]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in (VARIABLE, SERVING_VARIABLE, GRANT_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    home = Home.at(tmp_path / "home")
    Keys.of(home).add_tenants(TENANTS)
    AccessStore.open(home)
    return home


def all_of(keys: Keys) -> dict[tuple[str, str], bytes]:
    return {item: keys.derive(*item) for item in ASKED}


def test_no_key_of_a_tenant_follows_from_the_master_key(home: Home) -> None:
    """With every other file of the home, and the master key, nothing opens what a destroyed file held."""
    keys = Keys.of(home)
    lost = {item: key for item, key in all_of(keys).items() if item[1] == "mesa"}
    for grant in GRANTS:
        key_files.destroy(key_files.path_of(home, grant, "mesa"))
    kept = set(all_of(keys).values())
    assert kept.isdisjoint(lost.values())
    for purpose in ("landing", "vault", "published", "token", "scopes"):
        assert keys.derive(purpose, "mesa") != lost[(purpose, "mesa")]


def test_both_keys_open_the_home_until_the_rotation_is_finished(home: Home) -> None:
    before, earlier = all_of(Keys.of(home)), home.master_key.read_bytes()
    running = Keys.of(home)
    done = rotate(home)
    assert (done.files, done.new_key) == (6, "")
    assert home.master_key.read_bytes() != earlier
    assert all_of(Keys.of(home)) == all_of(Keys(home, local_masters(earlier))) == all_of(running) == before
    # A process that holds the earlier key gives a new tenant its keys meanwhile.
    running.add_tenants(["juniper"])
    of_juniper = running.derive("landing", "juniper")
    ended = finish(home)
    assert (ended.files, len(ended.closed)) == (8, 2)
    assert all_of(Keys.of(home)) == before
    assert Keys.of(home).derive("landing", "juniper") == of_juniper
    with pytest.raises(ConfigurationError):
        all_of(Keys(home, local_masters(earlier)))
    assert [path.name for path in home.keys.glob("master*")] == ["master.key"]
    assert finish(home).files == 0


def test_a_master_key_of_the_environment_is_printed_once_and_the_earlier_one_ends(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = all_of(Keys.of(home))
    earlier = base64.b64encode(home.master_key.read_bytes()).decode()
    home.master_key.unlink()
    monkeypatch.setenv(VARIABLE, earlier)
    said = json.loads(clinicmart_here("keys", "rotate", "--home", home.path, "--json").out)
    assert said["files"] == 6
    assert all_of(Keys.of(home)) == before
    monkeypatch.setenv(VARIABLE, said["new_key"])
    assert clinicmart_here("keys", "rotate", "--finish", "--home", home.path).code == 0
    assert all_of(Keys.of(home)) == before
    monkeypatch.setenv(VARIABLE, earlier)
    ran = clinicmart_here("keys", "list", "--home", home.path)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert f"{VARIABLE} holds another key" in ran.err
    assert not home.master_key.exists()


def test_a_process_that_still_holds_the_earlier_key_does_not_take_the_new_one_away(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    earlier = base64.b64encode(home.master_key.read_bytes()).decode()
    rotate(home)
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, earlier)
        with pytest.raises(ConfigurationError, match="holds the earlier key"):
            finish(home)
    assert all(len(item["masters"]) == 2 for item in key_list(home))  # type: ignore[arg-type]
    assert finish(home).files == 6


def test_finishing_with_the_earlier_key_of_a_file_that_the_new_one_does_not_open_changes_nothing(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated = rotate(home)
    new = home.master_key.read_bytes()
    stray = key_files.path_of(home, INGEST, "mesa")
    key_files.keep_master(stray, local_masters((home.keys / "master.key.earlier").read_bytes())[INGEST])
    (home.keys / "master.key.earlier").unlink()
    with pytest.raises(ConfigurationError, match=r"mesa\.key does not open"):
        finish(home)
    assert {len(item["masters"]) for item in key_list_of(home, new)} == {2}  # type: ignore[arg-type]
    assert rotated.files == 6


def key_list_of(home: Home, master: bytes) -> list[dict[str, object]]:
    """Masters of every file that a master key opens."""
    return [
        {"masters": key_files.masters_of(path)}
        for grant in GRANTS
        for path in key_files.paths(home, grant)
        if local_masters(master)[grant].name in key_files.masters_of(path)
    ]


# Kills itself at the n-th file that is replaced or made.
KILLED = """
import os, signal, sys
from foundation.home import Home
from clinicmart import key_rotation
reached, at = 0, int(sys.argv[2])
def pointed(function):
    def work(*arguments, **named):
        global reached
        for before in (True, False):
            reached += 1
            if reached == at: os.kill(os.getpid(), signal.SIGKILL)
            if before: result = function(*arguments, **named)
        return result
    return work
os.replace, os.link = pointed(os.replace), pointed(os.link)
home = Home.at(sys.argv[1])
key_rotation.rotate(home); key_rotation.finish(home)
print(reached)
"""


@pytest.mark.slow
def test_a_killed_rotation_leaves_the_home_open_and_is_finished_by_the_next_one(home: Home) -> None:
    before = all_of(Keys.of(home))
    points = int(run_killed_at(KILLED, home, 0).stdout)
    assert points > 20
    for at in range(1, points + 1, 3):
        earlier = home.master_key.read_bytes()
        assert run_killed_at(KILLED, home, at).returncode == -signal.SIGKILL, at
        assert all_of(Keys.of(home)) == before, at
        # Refused where the new key was already in its place: then only the end is missing.
        with suppress(ConfigurationError):
            rotate(home)
        finish(home)
        assert all_of(Keys.of(home)) == before, at
        assert home.master_key.read_bytes() != earlier
        assert {len(key_files.masters_of(path)) for grant in GRANTS for path in key_files.paths(home, grant)} == {1}


def test_a_second_rotation_waits_for_the_end_of_the_first(home: Home) -> None:
    rotate(home)
    second = home.master_key.read_bytes()
    with pytest.raises(ConfigurationError, match="run clinicmart keys rotate --finish first"):
        rotate(home)
    assert home.master_key.read_bytes() == second
    finish(home)
    rotate(home)
    assert home.master_key.read_bytes() != second


@pytest.fixture(scope="module")
def kms() -> Iterator[str]:
    """The address of a KMS, and credentials for it in the environment."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b"), ("DEFAULT_REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        yield f"http://{host}:{port}"
    server.stop()


def provider_of(address: str) -> Provider:
    client = get_session().create_client("kms", region_name="us-east-1", endpoint_url=address)
    ingest, serving = (client.create_key()["KeyMetadata"]["Arn"] for _ in range(2))
    return Provider(provider=AWS_KMS, ingest=ingest, serving=serving, region="us-east-1", endpoint=address)


def test_keys_of_a_kms_replace_the_master_key_and_each_opens_its_grant_alone(
    home: Home, kms: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, master, provider = all_of(Keys.of(home)), home.master_key.read_bytes(), provider_of(kms)
    rotate(home, provider)
    assert all_of(Keys.of(home)) == all_of(Keys(home, local_masters(master))) == before
    finish(home)
    assert all_of(Keys.of(home)) == before
    assert not home.master_key.exists()
    with pytest.raises(ConfigurationError):
        all_of(Keys(home, local_masters(master)))
    assert {name for item in key_list(home) for name in item["masters"]} == {  # type: ignore[attr-defined]
        f"aws-kms:{provider.ingest}",
        f"aws-kms:{provider.serving}",
    }
    # One grant: the other key is not asked, and does not open the files where it is asked.
    with serving_keys(home):
        assert os.environ[GRANT_VARIABLE] == SERVING
        assert Keys.of(home).derive("published", "mesa") == before[("published", "mesa")]
        with pytest.raises(ConfigurationError, match="which is not for landing data"):
            Keys.of(home).derive("landing", "mesa")
    swapped = Provider(**{**dict(provider), "ingest": provider.serving, "serving": provider.ingest})
    for grant in GRANTS:
        with pytest.raises(ConfigurationError):
            key_files.read(key_files.path_of(home, grant, "mesa"), swapped.masters()[grant])
    # A new tenant, and the way back to a master key of this machine.
    Keys.of(home).add_tenants(["juniper"])
    of_juniper = Keys.of(home).derive("landing", "juniper")
    rotate(home)
    finish(home)
    assert (all_of(Keys.of(home)), Keys.of(home).derive("landing", "juniper")) == (before, of_juniper)
    assert home.master_key.exists()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert all_of(Keys.of(home)) == before


def test_a_kms_that_does_not_answer_is_one_sentence(home: Home, kms: str) -> None:
    provider = provider_of(kms)
    rotate(home, provider)
    provider.model_copy(update={"endpoint": "http://127.0.0.1:9"}).note(home)
    ran = clinicmart_here("keys", "list", "--home", home.path)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert f"AWS KMS: decrypt with the key {provider.ingest} failed" in ran.err


def test_wrong_options_are_refused(home: Home) -> None:
    for options in (("--aws-kms-ingest", "a"), ("--aws-kms-ingest", "a", "--aws-kms-serving", "a")):
        ran = clinicmart_here("keys", "rotate", "--home", home.path, *options)
        assert (ran.code, "two different KMS keys" in ran.err) == (2, True)
