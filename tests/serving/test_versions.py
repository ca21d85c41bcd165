"""Versions that outlive a clock that goes back, lost bytes, and releases that knew less."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

import serving.reader as reader_module
from foundation.errors import ClinicmartError, DamagedFileError
from serving.model import MetricQuery
from serving.open_files import close_all
from serving.publish import publish as publishing
from serving.reader import open_reader
from serving.versions import integrity, retention
from serving.versions.closes import closes
from serving.versions.store import current_version, files_of, outcome, version_of_json, version_to_json
from tests.serving.small_warehouse import change

ADD_VISIT = """
insert into warehouse.marts.fct_visits
select * replace ('new' as visit_id) from warehouse.marts.fct_visits where tenant_id = 'harbor' and visit_id = 'v0'
"""


def clock_set_back(monkeypatch, by):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - by

    for module in (publishing, retention):
        monkeypatch.setattr(module, "datetime", Clock)


def visits(reader):
    return reader("admin@harbor").query(MetricQuery(metrics=["visits"]))["visits"][0]


def test_a_clock_set_back_removes_nothing_that_a_close_pins(closed, person, monkeypatch, caplog):
    pinned = closes(closed.home, "harbor")[0].version
    before = current_version(closed.home, "harbor")
    clock_set_back(monkeypatch, timedelta(days=3))
    for number in range(4):
        change(closed.home, ADD_VISIT.replace("'new'", f"'new{number}'"))
        closed.publish(f"run-{number}")
    served = current_version(closed.home, "harbor")
    assert served.published_at < before.published_at
    assert served.number == before.number + 4
    assert [version.number for version in retention.kept_versions(closed.home, "harbor")][-1] == served.number
    assert open_reader(closed.home, person("admin@harbor"), as_of="close:2026-02").version.version == pinned
    assert "clock of this machine went back" in caplog.text


def test_versions_are_ordered_by_number_and_the_ones_before_there_were_numbers_by_name(place):
    served = current_version(place.home, "harbor")
    old = json.loads(version_to_json(served))
    del old["number"], old["digests"]
    old["from a later release"] = {"unknown": 1}
    known = version_of_json(json.dumps(old).encode())
    assert (known.number, known.digests) == (0, {})
    assert known.order < served.order
    assert integrity.is_undamaged(place.home, known)


def flip(path, at=0.7):
    """Changes one byte, as a disk that forgets does; the time of the file stays."""
    content = bytearray(path.read_bytes())
    content[int(len(content) * at)] ^= 0xFF
    path.write_bytes(content)


def test_a_flipped_byte_is_noticed_by_the_next_run_which_publishes_anew_and_shares_nothing_with_it(place, reader):
    bad = current_version(place.home, "harbor")
    flip(files_of(place.home, "harbor", bad.version).base)
    change(place.home, "update warehouse.health.feed_status set last_read_at = timestamp '2026-04-02 05:00:00'")
    assert "harbor" in place.publish().published
    served = current_version(place.home, "harbor")
    assert served.number == bad.number + 1
    assert integrity.is_undamaged(place.home, served)
    assert visits(reader) == 270


def test_a_run_with_nothing_new_publishes_a_damaged_version_anew(place):
    bad = current_version(place.home, "harbor")
    flip(files_of(place.home, "harbor", bad.version).health)
    assert place.publish().published == ("harbor",)


def test_a_damaged_file_is_a_sentence_and_the_version_before_is_served(place, reader, person):
    assert visits(reader) == 270
    change(place.home, ADD_VISIT)
    place.publish()
    assert visits(reader) == 271
    close_all()
    bad = current_version(place.home, "harbor")
    base = files_of(place.home, "harbor", bad.version).base
    content = base.read_bytes()
    base.write_bytes(content[:4096] + bytes(len(content) - 4096))
    answers = []
    for _ in range(2):
        try:
            answers.append(visits(reader))
        except DamagedFileError as error:
            answers.append(str(error))
        close_all()
    assert answers[-1] == 270
    assert all(answer == 270 or "lost bytes" in str(answer) for answer in answers)
    assert open_reader(place.home, person("admin@harbor")).version.number == bad.number - 1


def test_where_nothing_else_is_kept_damage_is_a_sentence(place, reader):
    served = current_version(place.home, "harbor")
    base = files_of(place.home, "harbor", served.version).base
    content = base.read_bytes()
    base.write_bytes(content[:4096] + bytes(len(content) - 4096))
    close_all()
    with pytest.raises(ClinicmartError, match="lost bytes"):
        visits(reader)


def test_a_sound_file_is_read_again_once_a_day(place, monkeypatch):
    served = current_version(place.home, "harbor")
    read = []
    monkeypatch.setattr(integrity, "digest_of", lambda path: read.append(path.name) or served.digests[path.name])
    now = datetime.now(UTC)
    for hours in (0, 1, 23, 25, 26):
        assert integrity.is_undamaged(place.home, served, now=now + timedelta(hours=hours))
    assert sorted(read) in (
        ["base.duckdb", "base.duckdb", "health.duckdb", "health.duckdb"],
        ["base.duckdb", "health.duckdb"],
    )
    integrity.note_damage(place.home, served)
    assert not integrity.is_undamaged(place.home, served)


@pytest.mark.parametrize("user", ["east@harbor", "biller@harbor"])
def test_who_sees_a_part_is_told_how_feeds_stand_and_no_rows_and_money_of_the_whole(reader, user):
    whole, part = reader("admin@harbor").health(), reader(user).health()
    assert whole.batches.height
    assert part.feeds["feed"].to_list() == whole.feeds["feed"].to_list()
    frames = {name: frame for name, frame in vars(part).items() if isinstance(frame, pl.DataFrame) and frame.height}
    assert not [name for name, frame in frames.items() if any(column.endswith("_amount") for column in frame.columns)]
    assert not [column for column in part.feeds.columns if column.startswith(("rows_", "records_"))]
    assert {"remittance_matches", "reconciliation", "batches"}.isdisjoint(frames)
    money = pl.DataFrame({"feed": ["remits"], "found_amount": [Decimal(1)]})
    cut = replace(whole, remittance_matches=money, reconciliation=money, plausibility_rows=money).of_a_part()
    assert [cut.remittance_matches.height, cut.reconciliation.height, cut.plausibility_rows.height] == [0, 0, 0]


@pytest.mark.parametrize("user", ["admin", "ceo", "east", "biller", "analyst"])
def test_unknown_words_of_senders_are_for_roles_that_see_patients_identity(reader, monkeypatch, user):
    """A word in the wrong field may be a name: a family name in a status column of a PM database."""
    whole = reader("admin@harbor").health()
    words = pl.DataFrame({"feed": ["pm"], "field": ["status"], "word": ["Canary"], "rows": [3]})
    monkeypatch.setattr(reader_module, "published_health", lambda *_: replace(whole, unknown_words=words))
    (row,) = reader(f"{user}@harbor").health().unknown_words.to_dicts()
    assert row == {"feed": "pm", "field": "status", "rows": 3, "word": "Canary" if user == "admin" else None}


def test_a_torn_pointer_to_the_served_version_and_a_torn_outcome_are_made_good(place, reader):
    served = current_version(place.home, "harbor")
    folder = place.home.published("harbor")
    for name in ("current.json", "last_run.json"):
        whole = (folder / name).read_bytes()
        for end in (0, 1, len(whole) // 2):
            (folder / name).write_bytes(whole[:end])
            assert current_version(place.home, "harbor") == served
            assert outcome(place.home, "harbor") is None or name == "current.json"
    assert visits(reader) == 270


@pytest.mark.parametrize("spoil", [lambda c: bytes(4096) + c[4096:], lambda c: c[:12288] + bytes(len(c) - 12288)])
def test_the_file_of_a_scope_that_lost_bytes_is_made_again_and_the_version_stays(place, person, spoil):
    served = current_version(place.home, "harbor")
    query = MetricQuery(metrics=["visits"])
    before = open_reader(place.home, person("east@harbor")).query(query)["visits"][0]
    close_all()
    (scope,) = files_of(place.home, "harbor", served.version).scopes.glob("*.duckdb")
    scope.write_bytes(spoil(scope.read_bytes()))
    answers = []
    for _ in range(2):
        try:
            answers.append(open_reader(place.home, person("east@harbor")).query(query)["visits"][0])
        except DamagedFileError:
            answers.append(None)
    assert answers[0] in (None, before)
    assert answers[1] == before
    assert integrity.last_sound_version(place.home, "harbor") == served
