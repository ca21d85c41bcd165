"""A tenant leaves: its keys are destroyed, nothing that is left opens a copy of its files, and the others keep what they have."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from clinicmart.proof.report import verified
from clinicmart.tenant_removal import any_opens, keys_left, remove_tenant
from foundation.backup import sealing
from foundation.backup.place import Place
from foundation.backup.save import save
from foundation.errors import AccessError, ConfigurationError
from foundation.home import Home
from foundation.kept_files import ConfigurationRecord
from foundation.keys import Keys
from foundation.removed_tenants import RemovedTenants
from ingest.ledger import Ledger
from serving.model import MetricQuery
from serving.open_files import close_all
from serving.people import database
from serving.people.principal import PLATFORM
from serving.people.store import AccessStore
from serving.reader import open_reader
from tests.serving.conftest import PEOPLE
from tests.serving.tenant_files import files_of_tenant, landed, rows
from tests.support import clinicmart, clinicmart_here, run_killed_at

QUESTION = MetricQuery(metrics=["billed_amount"], by=["level_2"])
RECOVERY_KEY = "a recovery key of the test"
WORDS = ("--reason", "contract ended", "--confirm", "harbor")


@pytest.fixture(autouse=True)
def cheap_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sealing._SCRYPT, "n", 2**4)


@pytest.fixture
def leaving(closed):  # type: ignore[no-untyped-def]
    """A home in which both tenants have landed files, a ledger, and harbor a closed month."""
    Ledger(closed.home).close()
    for tenant in ("harbor", "mesa"):
        landed(closed.home, tenant, 2)
        suite = closed.home.folder("checkpoints") / "gx" / "expectations" / f"{tenant}.remits.charge.json"
        suite.parent.mkdir(parents=True, exist_ok=True)
        suite.write_text("{}", encoding="utf-8")
    yield closed
    close_all()


def answers(home: Home, tenant: str) -> list[tuple[object, ...]]:
    close_all()
    # The database may be another file under the same name.
    database._engine.cache_clear()
    return open_reader(home, AccessStore.open(home).principal(tenant, f"admin@{tenant}")).query(QUESTION).rows()


def kept_copies(home: Home, tenant: str, folder: Path) -> list[Path]:
    """Copies of every file of a tenant outside the home."""
    copies = []
    for number, path in enumerate(files_of_tenant(home, tenant)):
        copy = folder / f"{number}{path.suffix}"
        folder.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
        copies.append(copy)
    return copies


def test_nothing_that_is_left_opens_a_copy_of_the_tenants_files_and_the_others_keep_theirs(leaving, tmp_path):  # type: ignore[no-untyped-def]
    home = leaving.home
    mesa, mesa_files = answers(home, "mesa"), {path: path.read_bytes() for path in files_of_tenant(home, "mesa")}
    copies, everything = kept_copies(home, "harbor", tmp_path / "copies"), Keys.of(home)
    right = [
        key
        for purpose in ("landing", "vault", "published", "closes")
        for key in everything.derive_all(purpose, "harbor")
    ]
    assert all(any_opens(home, path, right) for path in copies)
    close_all()
    removed = remove_tenant(home, "harbor", reason="contract ended", actor="operator: ann")
    assert removed.is_proven
    assert len(removed.removal.destroyed_keys) == 2
    assert removed.removal.tried["files"] >= 2 + 1 + 1 + 1 + 2 + 1  # type: ignore[operator]
    assert {"landing", "quarantine", "index", "vault", "published", "closes"} == set(removed.files)
    assert removed.rows["access.user"] == len(PEOPLE)
    # Every key that is left, tried by the test itself on the copies.
    left = list(keys_left(Keys.of(home), "harbor"))
    assert set(left).isdisjoint(right)
    assert not any(any_opens(home, path, left) for path in copies)
    assert any(any_opens(home, path, left) for path in mesa_files)
    # Nothing of it is in the home; the audit log keeps its rows and is whole.
    assert files_of_tenant(home, "harbor") == [home.vault("harbor")]
    assert not home.vault("harbor").exists()
    assert dict(leaving.access.tenants()).keys() == {"mesa"}
    assert leaving.access.verify_audit().is_intact
    assert removed.kept_audit_rows > 0
    with pytest.raises(AccessError):
        leaving.access.principal("harbor", "admin@harbor")
    # The other tenant: the same figures, the same bytes.
    assert answers(home, "mesa") == mesa
    assert {path: path.read_bytes() for path in mesa_files} == mesa_files
    assert rows(home, "mesa", [path for path in mesa_files if path.suffix == ".parquet"])
    # Its id is not used again.
    with pytest.raises(ConfigurationError, match="the tenant harbor was removed on"):
        Keys.of(home).derive("landing", "harbor")
    with pytest.raises(ConfigurationError, match="was removed"):
        Keys.of(home).add_tenants(["mesa", "harbor"])


def test_the_certificate_is_signed_and_says_what_was_destroyed(leaving, tmp_path):  # type: ignore[no-untyped-def]
    home = leaving.home
    for folder, tenants in (("october", ["harbor", "mesa"]), ("of mesa", ["mesa"])):
        leaving.access.audit(PLATFORM, "ann", "replay", detail={"to": f"/replays/{folder}", "tenants": tenants})
    ran = clinicmart(
        "tenants", "remove", "harbor", *WORDS, "--certificate", tmp_path / "c", "--home", home.path, "--json"
    )
    assert ran.code == 0, ran.err
    said = json.loads(ran.out)
    assert (said["is_proven"], said["tenant_id"]) == (True, "harbor")
    (note,) = [note for note in said["notes"] if "clinicmart replay" in note]
    assert "/replays/october." in note
    assert "of mesa" not in note
    path = Path(said["certificate"])
    report = verified(path)
    assert (report["kind"], report["reason"], report["tried"]["opened"]) == (
        "removal of a tenant",
        "contract ended",
        [],
    )
    assert report["destroyed_keys"] == said["destroyed_keys"]
    checked = clinicmart("audit", "verify-report", path)
    assert (checked.code, "none opened any" in checked.out) == (0, True)
    path.write_text(path.read_text().replace("contract ended", "contract broken"))
    assert clinicmart("audit", "verify-report", path).code == 2
    actions = [row.action for row in AccessStore.open(home).audit_rows(PLATFORM)]
    assert {"tenant removal begun", "tenant removed"} <= set(actions)


def test_backups_lose_the_tenant_and_what_an_untouched_backup_still_opens_is_known(leaving, tmp_path):  # type: ignore[no-untyped-def]
    home, place = leaving.home, tmp_path / "place"
    mesa = answers(home, "mesa")
    opened, _ = Place.for_home(str(place), Keys.of(home).derive("backup"), RECOVERY_KEY)
    save(home, opened)
    shutil.copytree(place, tmp_path / "untouched")
    removed = remove_tenant(home, "harbor", reason="left", actor="a", places=[str(place)])
    assert list(removed.backups.values()) == [1]
    again = Place.existing(str(place), recovery_key=RECOVERY_KEY)
    backup = again.backup()
    assert (backup.tenants, backup.removed_tenants) == (("mesa",), ("harbor",))
    assert not [file.path for file in backup.files if "harbor" in file.path]
    assert again.check(backup) == len(backup.files)
    named = {part for file in backup.files for part, _ in file.parts}
    assert {path.name for path in (place / "data").rglob("*") if path.is_file()} == named
    environment = {"CLINICMART_RECOVERY_KEY": RECOVERY_KEY}
    restored = clinicmart("restore", "--from", place, "--to", tmp_path / "restored", env=environment)
    assert restored.code == 0, restored.err
    home_again = Home.at(tmp_path / "restored")
    assert answers(home_again, "mesa") == mesa
    assert dict(AccessStore.open(home_again).tenants()).keys() == {"mesa"}
    with pytest.raises(ConfigurationError, match="was removed"):
        Keys.of(home_again).derive("published", "harbor")
    # A backup that nobody named holds the tenant with its keys, as docs/keys.md says.
    assert (
        clinicmart("restore", "--from", tmp_path / "untouched", "--to", tmp_path / "whole", env=environment).code == 0
    )
    assert answers(Home.at(tmp_path / "whole"), "harbor")


# Kills itself at the n-th step that changes the home.
KILLED = """
import os, shutil, signal, sys
from foundation.home import Home
from clinicmart import tenant_removal
reached, at = 0, int(sys.argv[2])
def pointed(function):
    def work(*arguments, **named):
        global reached
        for is_before in (True, False):
            reached += 1
            if reached == at: os.kill(os.getpid(), signal.SIGKILL)
            if is_before: result = function(*arguments, **named)
        return result
    return work
for name in ("remove_people", "_fingerprints", "_destroy_keys", "_try_every_key", "_remove_files", "remove_from_ledger"):
    setattr(tenant_removal, name, pointed(getattr(tenant_removal, name)))
os.replace, shutil.rmtree = pointed(os.replace), pointed(shutil.rmtree)
tenant_removal.remove_tenant(Home.at(sys.argv[1]), "harbor", reason="left", actor="a")
print(reached)
"""


@pytest.mark.slow
def test_a_killed_removal_is_finished_by_the_next_one(leaving, tmp_path):  # type: ignore[no-untyped-def]
    home = leaving.home
    mesa = answers(home, "mesa")
    close_all()
    whole = tmp_path / "whole"
    shutil.copytree(home.path, whole, symlinks=True)
    undisturbed = run_killed_at(KILLED, home, 0)
    assert undisturbed.returncode == 0, undisturbed.stderr
    points = int(undisturbed.stdout)
    of_undisturbed = list(RemovedTenants.of(home).tenants["harbor"].destroyed_keys)
    assert len(of_undisturbed) == 2
    for at in sorted({1, 3, points // 3, points // 2, 2 * points // 3, points}):
        shutil.rmtree(home.path)
        shutil.copytree(whole, home.path, symlinks=True)
        assert run_killed_at(KILLED, home, at).returncode == -signal.SIGKILL, at
        close_all()
        assert answers(home, "mesa") == mesa, at
        again = clinicmart(
            "tenants", "remove", "harbor", *WORDS, "--certificate", tmp_path / str(at), "--home", home.path
        )
        assert again.code == 0, again.err
        report = verified(tmp_path / str(at) / "removal-harbor.json")
        assert (report["is_proven"], report["destroyed_keys"]) == (True, of_undisturbed), at
        assert list(home.path.rglob("*harbor*")) == [], at
        assert answers(home, "mesa") == mesa, at
        assert AccessStore.open(home).verify_audit().is_intact, at


def test_a_removal_that_is_not_meant_is_refused_and_changes_nothing(leaving, tmp_path):  # type: ignore[no-untyped-def]
    home, before = leaving.home, answers(leaving.home, "harbor")
    end = ("--certificate", tmp_path / "c", "--home", home.path)
    cases = {
        ("harbor", "--reason", "r", "--confirm", "mesa"): "--confirm must be the tenant's id, harbor",
        ("habor", "--reason", "r", "--confirm", "habor"): "there is no tenant 'habor'; tenants: harbor, mesa",
        ("harbor", "--reason", "r", "--confirm", "harbor", "--backups", str(tmp_path / "none")): "holds no backups",
    }
    for words, sentence in cases.items():
        ran = clinicmart_here("tenants", "remove", *words, *end)
        assert (ran.code, sentence in ran.err, "Traceback" in ran.err) == (2, True, False), ran.err
    file = tmp_path / "clinicmart.yaml"
    (tmp_path / "claims").mkdir()
    file.write_text(
        "tenants: {harbor: {name: Harbor, time_zone: America/New_York, feeds: [{name: c, kind: x12, path: claims}]}}"
    )
    ConfigurationRecord(file=str(file)).write(home.path / "config.json")
    ran = clinicmart_here("tenants", "remove", "harbor", *WORDS, *end)
    assert ran.code == 2
    assert "still names the tenant harbor" in ran.err
    assert answers(home, "harbor") == before
    assert not (tmp_path / "c").exists()
