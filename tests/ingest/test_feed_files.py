"""What lies in a feed's folder beside good files: nothing is passed over in silence, and no link leads out of the folder."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.config import Feed
from foundation.home import Home
from foundation.keys import Keys
from ingest.accounts.accounts import feed_status, notice_reasons
from ingest.accounts.status import status
from ingest.interface import NOT_READ, UnreadableUnit
from ingest.landing.land_feed import FeedReport, land_feed
from ingest.landing.preview import preview
from ingest.ledger import Ledger
from ingest.sources.files import find_files, read_blocks
from tests.refusals import refused_file

MESSAGE = "MSH|^~\\&|ADT|CLINIC|DW|CLINIC|20260105120000||ADT^A04|{0}|P|2.5\rPID|1||P{0}^^^CLINIC\rPV1|1|O|||||||||||||||||V{0}\r"
RESOURCE = '{"resourceType":"Patient","id":"p1","meta":{"lastUpdated":"2026-01-05T12:00:00Z"}}\n'
INTERCHANGE = (
    f"ISA*00*{'':10}*00*{'':10}*ZZ*{'PAYER':15}*ZZ*{'CLINIC':15}*260105*1200*^*00501*000000001*0*P*:~"
    "GS*FA*PAYER*CLINIC*20260105*1200*1*X*005010X231A1~ST*999*0001~AK1*HC*1~AK9*A*1*1*1~SE*4*0001~GE*1*1~IEA*1*000000001~"
)


def hl7_feed(folder: Path, kind: str = "hl7v2") -> Feed:
    return Feed(tenant_id="harbor", name="in", kind=kind, path=str(folder), time_zone="America/New_York")


def land(tmp_path: Path, feed: Feed, run: str = "run-1") -> tuple[FeedReport, Ledger]:
    home = Home.at(tmp_path / "home")
    keys, ledger = Keys.of(home), Ledger(home)
    return land_feed(home, keys, ledger, feed, run), ledger


def folder_of(tmp_path: Path, **files: str | bytes) -> Path:
    folder = tmp_path / "feed"
    folder.mkdir()
    for name, content in files.items():
        data = content.encode() if isinstance(content, str) else content
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def test_files_with_other_endings_are_counted_and_shown(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a__hl7=MESSAGE.format(1), b__csv="x", c__csv="y", **{"Roe__Jane": "z"})
    report, ledger = land(tmp_path, hl7_feed(folder))
    assert (report.outcome, report.units_landed, report.problems) == ("landed", 1, [])
    (notice,) = [row for row in notice_reasons(ledger).to_dicts() if row["reason"] == "file_not_read"]
    assert notice["rows"] == 3
    assert ".csv (2), other (1)" in notice["detail"]
    assert "Jane" not in str(notice)
    assert feed_status(ledger)["units_read"].to_list() == [1]
    again, _ = land(tmp_path, hl7_feed(folder), "run-2")
    assert again.outcome == "unchanged"
    assert any(reason.startswith("noticed: file_not_read") for reason in preview(hl7_feed(folder)).reasons)


def test_a_folder_with_nothing_but_other_endings_says_which(tmp_path: Path) -> None:
    report, _ = land(tmp_path, hl7_feed(folder_of(tmp_path, b__csv="x")))
    assert report.outcome == "unreadable"
    assert ".csv (1)" in report.problems[0]
    assert "reads" in report.problems[0]


def test_a_link_out_of_the_folder_is_refused_and_the_others_land(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret.hl7").write_text(MESSAGE.format(9))
    folder = folder_of(tmp_path, a__hl7=MESSAGE.format(1))
    (folder / "file.hl7").symlink_to(other / "secret.hl7")
    (folder / "folder").symlink_to(other)
    (folder / "relative.hl7").symlink_to("../other/secret.hl7")
    (folder / "chain.hl7").symlink_to(folder / "file.hl7")
    report, ledger = land(tmp_path, hl7_feed(folder))
    assert (report.units_landed, report.units_refused, report.outcome) == (1, 4, "partly")
    assert all("a link to a place outside the feed's folder" in problem for problem in report.problems)
    assert {row["name"] for row in status(ledger, Keys.of(Home.at(tmp_path / "home")))["refused_files"]} == {
        "file.hl7", "folder", "relative.hl7", "chain.hl7"
    }  # fmt: skip
    looked = preview(hl7_feed(folder))
    assert (looked.records, len(looked.problems)) == (1, 4)


def test_a_pattern_and_a_single_file_follow_no_link_out_either(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "secret.hl7").write_text(MESSAGE.format(9))
    folder = folder_of(tmp_path, a__hl7=MESSAGE.format(1))
    (folder / "link.hl7").symlink_to(other / "secret.hl7")
    (folder / "deep").symlink_to(other)
    for path in (f"{folder}/*.hl7", f"{folder}/**/*.hl7", f"{folder}/link.hl7"):
        units = find_files(Feed(tenant_id="t", name="f", kind="hl7v2", path=path), (".hl7",))
        outside = [unit for unit in units if unit.refusal is None and unit.name != "a.hl7"]
        assert outside == [], path


def test_a_link_inside_the_folder_is_read(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a__hl7=MESSAGE.format(1))
    (folder / "today.hl7").symlink_to("a.hl7")
    units = find_files(hl7_feed(folder), (".hl7",))
    assert [unit.name for unit in units] == ["a.hl7", "today.hl7"]
    assert all(b"".join(read_blocks(unit)) == MESSAGE.format(1).encode() for unit in units)


def test_a_link_that_changes_after_it_was_found_opens_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "secret.hl7").write_text("secret")
    folder = folder_of(tmp_path, a__hl7=MESSAGE.format(1))
    (unit,) = find_files(hl7_feed(folder), (".hl7",))
    (folder / "a.hl7").unlink()
    (folder / "a.hl7").symlink_to(tmp_path / "secret.hl7")
    with pytest.raises(UnreadableUnit):
        b"".join(read_blocks(unit))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a__hl7=MESSAGE.format(1))
    os.mkfifo(folder / "pipe.hl7")
    (folder / "lost.hl7").symlink_to(folder / "gone.hl7")
    report, _ = land(tmp_path, hl7_feed(folder))
    assert (report.units_landed, report.units_refused) == (1, 2)


def test_a_folder_that_cannot_be_opened_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path, a__hl7=MESSAGE.format(1))
    (folder / "closed").mkdir()
    scan = os.scandir

    def closed(path: str | os.PathLike[str]) -> object:
        # The tests run as root, whom no mode keeps out.
        if Path(path).name == shut:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr("os.scandir", closed)
    shut = "closed"
    report, _ = land(tmp_path, hl7_feed(folder))
    assert (report.units_landed, report.units_refused, report.outcome) == (1, 1, "partly")
    assert "the folder cannot be opened: Permission denied" in report.problems[0]
    shut = "feed"
    report, _ = land(tmp_path, hl7_feed(folder), "run-2")
    assert report.outcome == "unreadable"
    assert "Permission denied" in report.problems[0]


CONTENTS = {"hl7v2": MESSAGE.format(1), "fhir": RESOURCE, "x12": INTERCHANGE}
ENDINGS = {"hl7v2": "hl7", "fhir": "ndjson", "x12": "x12"}


def test_a_stray_file_among_good_ones_is_held_record_by_record(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a__ndjson=RESOURCE, log__ndjson='{"event": "export_started"}\n')
    report, _ = land(tmp_path, hl7_feed(folder, "fhir"))
    assert (report.units_landed, report.units_refused, report.records_refused) == (2, 0, 1)
    (folder / "0.ndjson").write_text("not json\n")
    again, _ = land(tmp_path, hl7_feed(folder, "fhir"), "run-2")
    assert (again.units_refused, again.records_refused) == (0, 1)


@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_of_another_kind_is_refused_and_its_own_is_not(tmp_path: Path, kind: str) -> None:
    others = {
        **{f"{name}__{ENDINGS[kind]}": content for name, content in CONTENTS.items() if name != kind},
        f"page__{ENDINGS[kind]}": "<html><body>Sign in</body></html>",
        f"wide__{ENDINGS[kind]}": CONTENTS[kind].encode("utf-16"),
    }
    folder = folder_of(tmp_path, **others, **{f"z_good__{ENDINGS[kind]}": CONTENTS[kind]})
    report, _ = land(tmp_path, hl7_feed(folder, kind))
    assert (report.units_landed, report.units_refused, report.outcome) == (1, 4, "partly")
    assert any("UTF-16" in problem and "UTF-8" in problem for problem in report.problems)


@given(
    st.sampled_from(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"]),
    st.sampled_from(list(CONTENTS.values())),
)
def test_wide_text_is_named_as_such(tmp_path_factory: pytest.TempPathFactory, encoding: str, content: str) -> None:
    folder = tmp_path_factory.mktemp("wide")
    (folder / "a.hl7").write_bytes(content.encode(encoding))
    (unit,) = find_files(hl7_feed(folder), (".hl7",))
    with refused_file("file_is_utf16"):
        b"".join(read_blocks(unit))


def test_an_empty_file_of_resources_is_noticed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, a__ndjson=RESOURCE, b__ndjson="")
    _, ledger = land(tmp_path, hl7_feed(folder, "fhir"))
    assert [row["reason"] for row in notice_reasons(ledger).to_dicts()] == ["file_empty"]


def test_the_newest_record_is_neither_a_files_time_nor_one_to_come(tmp_path: Path) -> None:
    resources = [
        RESOURCE,
        RESOURCE.replace("p1", "p2").replace("2026-01-05", "2097-01-05"),
        '{"resourceType":"Patient","id":"p3"}\n',
    ]
    _, ledger = land(tmp_path, hl7_feed(folder_of(tmp_path, a__ndjson="".join(resources[:2])), "fhir"))
    (tmp_path / "feed" / "b.ndjson").write_text(resources[2])
    _, ledger = land(tmp_path, hl7_feed(tmp_path / "feed", "fhir"), "run-2")
    (newest,) = feed_status(ledger)["newest_record_at"].to_list()
    assert f"{newest:%Y-%m-%d}" == "2026-01-05"


def test_the_unit_of_files_that_are_not_read_holds_no_records(tmp_path: Path) -> None:
    units = find_files(hl7_feed(folder_of(tmp_path, a__hl7=MESSAGE.format(1), b__csv="x")), (".hl7",))
    assert [(unit.name, unit.is_readable) for unit in units] == [("a.hl7", True), (NOT_READ, False)]
