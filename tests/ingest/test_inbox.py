"""The inbox: what is written comes back, is unreadable on disk, and is refused when it was touched."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.config import Feed
from foundation.home import Home
from foundation.keys import Keys
from ingest.inbox.inbox import BLOCK_BYTES, BrokenSeal, Inbox
from ingest.sources.files import find_files, read_blocks
from tests.refusals import refused_file

FEED = Feed(tenant_id="harbor", name="ehr", kind="fhir")


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    home = Home.at(tmp_path / "home")
    return Inbox.of(home, Keys.of(home), FEED)


def write(inbox: Inbox, name: str, *parts: bytes) -> Path:
    with inbox.write(name) as writer:
        for part in parts:
            writer.write(part)
    return writer.path


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(
        st.sampled_from([0, 1, 17, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 2 * BLOCK_BYTES]), max_size=4
    )
)
def test_what_is_written_comes_back(inbox: Inbox, sizes: list[int]) -> None:
    parts = [bytes([number + 65]) * size for number, size in enumerate(sizes)]
    path = write(inbox, "a/Patient.ndjson", *parts)
    assert b"".join(inbox.read(path)) == b"".join(parts)


def test_nothing_on_disk_can_be_read_without_the_key(inbox: Inbox) -> None:
    path = write(inbox, "Patient.ndjson", b"Marguerite Dubois " * 1000)
    assert b"Marguerite" not in path.read_bytes()


def test_a_writer_that_fails_leaves_nothing(inbox: Inbox) -> None:
    def breaks_off() -> None:
        with inbox.write("Patient.ndjson") as writer:
            writer.write(b"half")
            raise RuntimeError("the line broke")

    with pytest.raises(RuntimeError):
        breaks_off()
    assert list(inbox.folder.rglob("*")) == []


@pytest.mark.parametrize("harm", ["cut", "cut at a block", "byte", "empty", "swap", "name", "append"])
def test_a_touched_file_is_refused_by_name_and_place(inbox: Inbox, harm: str) -> None:
    path = write(inbox, "Patient.ndjson", b"x" * (2 * BLOCK_BYTES + 5))
    other = write(inbox, "Other.ndjson", b"y" * (2 * BLOCK_BYTES + 5))
    data = path.read_bytes()
    block = 4 + BLOCK_BYTES + 16
    head = len(data) - 2 * block - (4 + 5 + 16)
    changed = {
        "cut": data[:-3],
        "cut at a block": data[: head + block],
        "byte": data[:-9] + bytes([data[-9] ^ 1]) + data[-8:],
        "empty": b"",
        "swap": data[:head]
        + data[head + block : head + 2 * block]
        + data[head : head + block]
        + data[head + 2 * block :],
        "name": other.read_bytes(),
        "append": data + data[-25:],
    }[harm]
    path.write_bytes(changed)
    with pytest.raises(BrokenSeal):
        list(inbox.read(path))
    unit = next(unit for unit in find_files(FEED, (".ndjson",), inbox) if unit.name == "Patient.ndjson")
    with refused_file("file_damaged_in_inbox"):
        list(read_blocks(unit))


def test_tenants_do_not_open_each_others_files(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    keys = Keys.of(home)
    ours = Inbox.of(home, keys, FEED)
    other = Inbox.of(home, keys, Feed(tenant_id="lakeside", name="ehr", kind="fhir"))
    path = write(ours, "Patient.ndjson", b"of harbor")
    moved = other.folder / path.name
    moved.write_bytes(path.read_bytes())
    with pytest.raises(BrokenSeal):
        list(other.read(moved))


def test_a_delivery_is_seen_once_it_is_finished(inbox: Inbox) -> None:
    inbox.begin("20261121-export")
    write(inbox, "20261121-export/Patient.ndjson", b"{}\n")
    write(inbox, "20261121-export/deleted/Bundle.ndjson", b"{}\n")
    write(inbox, "20261120-export/Patient.ndjson", b"{}\n")
    assert [unit.name for unit in find_files(FEED, (".ndjson",), inbox)] == ["20261120-export/Patient.ndjson"]
    inbox.finish("20261121-export")
    names = [unit.name for unit in find_files(FEED, (".ndjson",), inbox)]
    assert names[1:] == ["20261121-export/Patient.ndjson", "20261121-export/deleted/Bundle.ndjson"]


def test_what_another_process_left_half_written_goes_when_its_delivery_is_opened_again(inbox: Inbox) -> None:
    inbox.begin("d")
    whole = write(inbox, "d/Patient.ndjson", b"{}\n")
    left = whole.with_name(".Encounter.ndjson.sealed.4711")
    left.write_bytes(b"half")
    inbox.begin("d")
    assert whole.exists()
    assert not left.exists()


def test_a_discarded_delivery_leaves_nothing(inbox: Inbox) -> None:
    inbox.begin("d")
    write(inbox, "d/deleted/Bundle.ndjson", b"{}\n")
    inbox.discard("d")
    inbox.discard("d")
    assert list(inbox.folder.rglob("*")) == []


def test_a_file_bears_the_time_of_its_content(inbox: Inbox) -> None:
    moment = datetime(2026, 11, 20, 10, 0, 0, 250_000, tzinfo=UTC)
    with inbox.write("Patient.ndjson", modified_at=moment) as writer:
        writer.write(b"{}\n")
    (unit,) = find_files(FEED, (".ndjson",), inbox)
    assert unit.modified_at == moment
