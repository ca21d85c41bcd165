"""Backups: nothing is readable without a key, nothing altered passes, a backup that is killed harms no other, only news are sent."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from foundation import run_lock
from foundation.backup import place as place_module
from foundation.backup import sealing
from foundation.backup.frozen import frozen
from foundation.backup.new_key import new_key
from foundation.backup.place import Place
from foundation.backup.restore import restore
from foundation.backup.save import save
from foundation.backup.sealing import KEY_FILE
from foundation.backup.storage import Storage
from foundation.errors import ClinicmartError, ConfigurationError, DamagedFileError
from foundation.home import Home
from foundation.keys import Keys

SECRET = b"Okafor, Adaeze"
RECOVERY = "a recovery key of the test"
SHARE = st.floats(0, 1, exclude_max=True)
# Each example is a home and some backups of it.
FEW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=12)


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files have more than one part; a guess of a recovery key is cheap; nothing waits for the disk."""
    monkeypatch.setattr(place_module, "PART_BYTES", 256)
    monkeypatch.setitem(sealing._SCRYPT, "n", 2**4)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def note(home: Home, text: str) -> None:
    """A row of the ledger."""
    with closing(sqlite3.connect(home.ledger, isolation_level=None)) as ledger:
        ledger.execute("pragma journal_mode = wal")
        ledger.execute("create table if not exists unit (name text)")
        ledger.execute("insert into unit values (?)", [text])


def a_home(folder: Path) -> Home:
    """A home with a file of each kind that is kept, and of kinds that are not."""
    home = Home.at(folder)
    Keys.of(home)
    home.note_format()
    for name in (
        "landing/harbor/charge/b1.parquet",
        "landing/mesa/charge/b2.parquet",
        "vault/harbor.duckdb",
        "published/harbor/v1/base.duckdb",
        "closes/harbor/closes.json",
        "inbox/harbor/fhir/.unfinished",
        "warehouse/warehouse.duckdb",
        "published/harbor/v1/scopes/s.duckdb",
        "closes/harbor/.lock",
        "landing/harbor/charge/tmp_b3.parquet",
    ):
        write(home.path / name, name.encode() * 5 + SECRET)
    note(home, "one")
    return home


def place_of(home: Home, folder: Path | str) -> tuple[Place, str]:
    place, recovery_key = Place.for_home(str(folder), Keys.of(home).derive("backup"))
    assert recovery_key is not None
    return place, recovery_key


def contents(folder: Path) -> dict[str, bytes]:
    """Path to bytes of every file but SQLite's and the keys; of the ledger its rows."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".sqlite" not in path.name
    }
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        return found | {"rows": repr(ledger.execute("select name from unit").fetchall()).encode()}


KEPT = {
    "format",
    "keys/master.key",
    "keys/ingest/home.key",
    "keys/serving/home.key",
    "rows",
    "landing/harbor/charge/b1.parquet",
    "landing/mesa/charge/b2.parquet",
    "vault/harbor.duckdb",
    "published/harbor/v1/base.duckdb",
    "closes/harbor/closes.json",
    "inbox/harbor/fhir/.unfinished",
}


def test_a_home_comes_back_as_it_was_without_what_can_be_made_again(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    place, recovery_key = place_of(home, tmp_path / "backups")
    sent = save(home, place)
    assert sent.backup.tenants == ("harbor", "mesa")
    there = Place.existing(str(tmp_path / "backups"), recovery_key=recovery_key)
    done = restore(there, tmp_path / "restored")
    before, after = contents(home.path), contents(done.home.path)
    assert set(after) == KEPT
    assert after == {name: before[name] for name in KEPT}
    assert Keys.of(done.home).master == Keys.of(home).master
    assert {path.stat().st_mode & 0o077 for path in done.home.path.rglob("*") if path.is_file()} == {0}
    assert done.home.path.stat().st_mode & 0o077 == 0
    assert list((home.path / "tmp").iterdir()) == []


def test_nothing_in_the_place_can_be_read_without_a_key(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    place, recovery_key = place_of(home, tmp_path / "backups")
    save(home, place)
    master = Keys.of(home).master
    for path in (tmp_path / "backups").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(
                secret in content for secret in (SECRET, master, master.hex().encode(), recovery_key.encode())
            )
            assert "harbor" not in path.name
    for wrong in ("", "x" * 40, recovery_key.lower()):
        with pytest.raises(ConfigurationError, match="the recovery key is wrong"):
            Place.existing(str(tmp_path / "backups"), recovery_key=wrong)


def test_the_place_of_another_home_is_refused(tmp_path: Path) -> None:
    home, other = a_home(tmp_path / "home"), a_home(tmp_path / "other")
    place, _ = place_of(home, tmp_path / "backups")
    save(home, place)
    with pytest.raises(ConfigurationError, match="holds backups of another home"):
        Place.for_home(str(tmp_path / "backups"), Keys.of(other).derive("backup"))
    with pytest.raises(ConfigurationError, match=r"is in the home"):
        save(home, place_of(home, home.path / "backups")[0])


def test_a_new_recovery_key_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    place, old = place_of(home, tmp_path / "backups")
    save(home, place)
    new = place.new_recovery_key(Keys.of(home).derive("backup"))
    assert Place.existing(str(tmp_path / "backups"), recovery_key=new).names() == place.names()
    with pytest.raises(ConfigurationError, match="the recovery key is wrong"):
        Place.existing(str(tmp_path / "backups"), recovery_key=old)
    with pytest.raises(ConfigurationError, match="at least 20 characters"):
        place.new_recovery_key(Keys.of(home).derive("backup"), "too short")


def test_only_news_are_sent_and_pruning_leaves_what_kept_backups_need(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    place, _ = place_of(home, tmp_path / "backups")
    first = save(home, place)
    assert save(home, place).parts == 0
    write(home.path / "landing/mesa/charge/b9.parquet", bytes(range(250)) * 4)
    (home.path / "landing/harbor/charge/b1.parquet").unlink()
    assert save(home, place).parts == 4
    # Names end with the second in which a backup was made: only their numbers are certain.
    assert [name[:6] for name in place.prune(1)] == ["000001", "000002"]
    (last,) = place.names()
    assert last.startswith("000003-")
    assert place.check(place.backup()) == len(place.backup().files)
    named = {part for file in place.backup().files for part, _ in file.parts}
    assert {Path(name).name for name in place.storage.sizes("data")} == named
    with pytest.raises(ConfigurationError, match=f"has no backup {first.backup.name}; backups: {last}"):
        place.backup(first.backup.name)


def test_a_new_key_seals_every_part_again_and_the_earlier_keys_open_nothing(tmp_path: Path) -> None:
    home, folder = a_home(tmp_path / "home"), tmp_path / "backups"
    place, recovery_key = place_of(home, folder)
    first = save(home, place).backup
    write(home.path / "landing/mesa/charge/b9.parquet", b"more")
    save(home, place)
    shutil.copytree(folder, tmp_path / "before")
    home_key, earlier = Keys.of(home).derive("backup"), place.seals
    before = {path.name for path in (folder / "data").rglob("*") if path.is_file()}
    chosen, written = new_key(Place.existing(str(folder), home_key=home_key), home_key)
    assert (written >= len(before), chosen != recovery_key) == (True, True)
    assert before.isdisjoint(path.name for path in (folder / "data").rglob("*") if path.is_file())
    again = Place.existing(str(folder), recovery_key=chosen)
    assert again.seals.earlier == ()
    assert [again.check(again.backup(name)) for name in again.names()] == [len(first.files), len(first.files) + 1]
    with pytest.raises(ConfigurationError, match="the recovery key is wrong"):
        Place.existing(str(folder), recovery_key=recovery_key)
    for path in (folder / "data").rglob("*"):
        assert path.is_dir() or earlier.open(path.name, path.read_bytes()) is None
    # What was there before is a backup like any other, with its own keys.
    assert Place.existing(str(tmp_path / "before"), recovery_key=recovery_key).names() == again.names()
    assert save(home, again).parts == 0


def test_a_new_recovery_key_is_shown_before_a_damaged_part_can_stop_the_change(tmp_path: Path) -> None:
    home, folder = a_home(tmp_path / "home"), tmp_path / "backups"
    place, recovery_key = place_of(home, folder)
    save(home, place)
    part = max((path for path in (folder / "data").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    part.write_bytes(part.read_bytes()[:-1])
    home_key, shown = Keys.of(home).derive("backup"), list[str]()
    with pytest.raises(DamagedFileError):
        new_key(Place.existing(str(folder), home_key=home_key), home_key, shown=shown.append)
    assert Place.existing(str(folder), recovery_key=shown[0]).names()
    with pytest.raises(ConfigurationError, match="the recovery key is wrong"):
        Place.existing(str(folder), recovery_key=recovery_key)


def test_a_killed_change_of_the_key_leaves_every_backup_readable_and_is_finished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, folder = a_home(tmp_path / "home"), tmp_path / "backups"
    place, _ = place_of(home, folder)
    count = len(save(home, place).backup.files)
    home_key, earlier_names = Keys.of(home).derive("backup"), {path.name for path in (folder / "data").rglob("*")}
    real = Storage.write
    for last in (1, 2, 3):
        writes = iter(range(last))

        def stopping(storage: Storage, name: str, content: bytes, writes: Iterator[int] = writes) -> None:
            if next(writes, None) is None:
                raise KeyboardInterrupt
            real(storage, name, content)

        with monkeypatch.context() as patch:
            patch.setattr(Storage, "write", stopping)
            with pytest.raises(KeyboardInterrupt):
                new_key(Place.existing(str(folder), home_key=home_key), home_key, RECOVERY)
        killed = Place.existing(str(folder), recovery_key=RECOVERY)
        assert killed.check(killed.backup()) == count, last
        # A backup that is made in between uses the new key.
        assert save(home, Place.existing(str(folder), home_key=home_key)).backup.files
    new_key(Place.existing(str(folder), home_key=home_key), home_key, RECOVERY)
    ended = Place.existing(str(folder), recovery_key=RECOVERY)
    assert ended.seals.earlier == ()
    assert {ended.check(ended.backup(name)) for name in ended.names()} == {count}
    assert earlier_names.isdisjoint(path.name for path in (folder / "data").rglob("*") if path.is_file())


@given(data=st.data())
@FEW
def test_one_altered_byte_is_refused_by_name(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("altered")
    home = a_home(folder / "home")
    place, recovery_key = place_of(home, folder / "backups")
    save(home, place)
    files = sorted(path for path in (folder / "backups").rglob("*") if path.is_file() and path.name != KEY_FILE)
    # Shares, because names and sizes of sealed files differ from run to run.
    file = files[int(data.draw(SHARE) * len(files))]
    content = bytearray(file.read_bytes())
    content[int(data.draw(SHARE) * len(content))] ^= data.draw(st.integers(1, 255))
    file.write_bytes(content)
    with pytest.raises(DamagedFileError, match=f"{file.name} is damaged"):
        restore(Place.existing(str(folder / "backups"), recovery_key=recovery_key), folder / "restored")
    assert sorted(path.name for path in folder.iterdir()) == ["backups", "home"]


@given(writes=st.lists(st.integers(0, 30), min_size=1, max_size=2))
@FEW
def test_backups_that_are_killed_harm_no_other_and_the_next_one_goes_on(
    tmp_path_factory: pytest.TempPathFactory, writes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("killed")
    home = a_home(folder / "home")
    place, recovery_key = place_of(home, folder / "backups")
    save(home, place)
    whole = contents(home.path)
    for number, allowed in enumerate(writes):
        write(home.path / f"landing/harbor/charge/n{number}.parquet", bytes(range(number, 200)) * 5)
        note(home, f"run {number}")
        with pytest.MonkeyPatch.context() as patch:
            write_file, room = Storage.write, threading.Semaphore(allowed)

            def killed(storage: Storage, name: str, content: bytes) -> None:
                if not room.acquire(blocking=False):  # noqa: B023
                    raise KeyboardInterrupt
                write_file(storage, name, content)  # noqa: B023

            patch.setattr(Storage, "write", killed)
            with suppress(KeyboardInterrupt):
                save(home, place)
        for name in place.names():
            place.check(place.backup(name))
    there = Place.existing(str(folder / "backups"), recovery_key=recovery_key)
    first = restore(there, folder / "first", at=there.names()[0])
    assert contents(first.home.path) == {name: whole[name] for name in KEPT}
    save(home, place)
    last = restore(there, folder / "last")
    now = contents(home.path)
    assert contents(last.home.path) == {name: now[name] for name in contents(last.home.path)}
    assert f"landing/harbor/charge/n{len(writes) - 1}.parquet" in contents(last.home.path)


def test_a_first_backup_that_was_killed_shows_a_recovery_key_again(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    _, lost = place_of(home, tmp_path / "backups")
    place, recovery_key = place_of(home, tmp_path / "backups")
    save(home, place)
    assert recovery_key != lost
    assert Place.existing(str(tmp_path / "backups"), recovery_key=recovery_key).names() == place.names()


def test_a_file_that_lost_bytes_in_the_home_keeps_its_whole_copy(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    place, recovery_key = place_of(home, tmp_path / "backups")
    save(home, place)
    landed = home.path / "landing/harbor/charge/b1.parquet"
    whole, status = landed.read_bytes(), landed.stat()
    landed.write_bytes(whole[:-1] + b"?")
    os.utime(landed, ns=(status.st_atime_ns, status.st_mtime_ns))
    save(home, place)
    done = restore(Place.existing(str(tmp_path / "backups"), recovery_key=recovery_key), tmp_path / "restored")
    assert (done.home.path / "landing/harbor/charge/b1.parquet").read_bytes() == whole


def test_a_backup_waits_for_a_feed_that_lands_and_others_wait_for_it(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    order: list[str] = []

    def land() -> None:
        with run_lock.landing(home):
            begun.set()
            order.append("landing")
            go_on.wait()
            order.append("landed")

    begun, go_on = threading.Event(), threading.Event()
    lands = threading.Thread(target=land)
    lands.start()
    begun.wait()
    threading.Timer(0.2, go_on.set).start()
    with frozen(home) as folder:
        order.append("taken")
        assert (folder / "ledger.sqlite").exists()
        # Landing goes on while parts are sent.
        with run_lock.landing(home):
            order.append("landing again")
    lands.join()
    assert order == ["landing", "landed", "taken", "landing again"]
    with (
        run_lock.backup(home),
        pytest.raises(ClinicmartError, match="another backup of this home is under way"),
        run_lock.backup(home),
    ):
        pass


def test_one_tenant_is_restored_without_the_others(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    place, _ = place_of(home, tmp_path / "backups")
    save(home, place)
    done = restore(place, tmp_path / "one", tenant="mesa")
    paths = [Path(name) for name in contents(done.home.path)]
    assert {path.parts[1] for path in paths if len(path.parts) > 2 and path.parts[0] != "keys"} == {"mesa"}
    assert {path.name for path in paths if path.parts[0] == "keys"} == {"master.key", "home.key"}
    with pytest.raises(ConfigurationError, match=r"has no tenant 'mesaa'; it has: harbor, mesa"):
        restore(place, tmp_path / "two", tenant="mesaa")


def test_a_restore_needs_an_empty_place_and_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = a_home(tmp_path / "home")
    place, _ = place_of(home, tmp_path / "backups")
    save(home, place)
    with pytest.raises(ConfigurationError, match="home is not empty; restore into a new folder"):
        restore(place, home.path)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10))
    with pytest.raises(ClinicmartError, match="0 MB are free on its disk and the backup needs"):
        restore(place, tmp_path / "restored")
    monkeypatch.undo()
    (tmp_path / "empty").mkdir()
    assert restore(place, tmp_path / "empty").files == len(place.backup().files)


def test_a_place_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    home = a_home(tmp_path / "home")
    with pytest.raises(ConfigurationError, match="holds no backups of Clinicmart"):
        Place.existing(str(tmp_path / "nothing"), recovery_key="x" * 20)
    for url in ("nonsense://user:secret@host/x", "gs://bucket/x"):
        with pytest.raises(ConfigurationError) as error:
            place_of(home, url)
        assert "secret" not in str(error.value)
    write(tmp_path / "file", b"")
    with pytest.raises(ClinicmartError, match="file"):
        place_of(home, tmp_path / "file" / "below")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty bucket of an S3-compatible server on this machine."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    Storage("s3://clinicmart")._files.mkdir("clinicmart")
    yield "s3://clinicmart/home"
    server.stop()


def test_a_bucket_serves_as_well_as_a_folder(tmp_path: Path, bucket: str) -> None:
    home = a_home(tmp_path / "home")
    place, recovery_key = place_of(home, bucket)
    assert place.storage.folder is None
    first = save(home, place)
    assert first.parts > 10
    note(home, "two")
    assert 0 < save(home, place).parts < first.parts
    assert place.prune(1) == (first.backup.name,)
    done = restore(Place.existing(bucket, recovery_key=recovery_key), tmp_path / "restored")
    now = contents(home.path)
    assert contents(done.home.path) == {name: now[name] for name in KEPT}
    part = next(iter(place.storage.sizes("data")))
    sealed = place.storage.read(part)
    assert sealed is not None
    place.storage.write(part, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(DamagedFileError, match=f"{Path(part).name} is damaged"):
        restore(place, tmp_path / "again")
    place.storage.remove(part)
    with pytest.raises(DamagedFileError, match=f"{Path(part).name} is missing"):
        place.check(place.backup())
    with pytest.raises(ClinicmartError, match=r"the folder or bucket is missing|NoSuchBucket"):
        place_of(home, "s3://no-such-bucket/x")
