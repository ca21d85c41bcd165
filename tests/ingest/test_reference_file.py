"""Reference files: what a profile says of a CSV table, and what becomes of its rows at the gate and in the ledger."""

from pathlib import Path

import polars as pl
import pytest

from data_contracts import contract
from foundation import duck
from foundation.config import load_config
from foundation.errors import ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from ingest.interface import Chunk, Unit, UnreadableUnit
from ingest.landing.land_feed import FeedReport, land_feed
from ingest.ledger import Ledger
from ingest.load.raw_tables import load_warehouse
from ingest.profiles import load_profile
from ingest.sources import source_for
from tests.support import clinicmart_here

# A publisher's layout: a title, headings that repeat, texts that are licensed, one file a year.
PUBLISHED = """\
"A title, of several
lines",,,,
CODE;MOD;WORDS;RVU;RVU
Z1001;;licensed words;1,5;9.99
Z1001;26;licensed words;0.75;9.99
"""
PROFILE = """\
kind: reference_file
entity: work_rvu_rate
delimiter: ";"
header_line: 3
columns: {procedure_code: code, modifier: MOD, work_rvus: 4}
constants: {effective_from: 2026-01-01}
"""
OWN = "procedure_code,modifier,effective_from,effective_to,work_rvus\n"


class Site:
    """A home with one feed of reference files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "rvu").mkdir()
        self.config_file = folder / "clinicmart.yaml"
        self.home = Home.at(folder / "home")
        self.runs = 0

    def profile(self, text: str) -> None:
        (self.folder / "ours.yaml").write_text(text, encoding="utf-8")

    def config(self, profile: str = "work_rvu_rates"):
        self.config_file.write_text(
            "tenants:\n  harbor:\n    name: Harbor\n    time_zone: America/New_York\n    feeds:\n"
            f"      - {{name: rvu, kind: reference_file, profile: {profile}, path: rvu}}\n",
            encoding="utf-8",
        )
        return load_config(self.config_file)

    def put(self, name: str, content: str | bytes) -> None:
        data = content if isinstance(content, bytes) else content.encode()
        (self.folder / "rvu" / name).write_bytes(data)

    def units(self, profile: str = "work_rvu_rates") -> list[Unit]:
        (feed,) = self.config(profile).tenant("harbor").feeds
        return source_for("reference_file").discover(feed)

    def read(self, profile: str = "work_rvu_rates") -> Chunk:
        (unit,) = self.units(profile)
        (chunk,) = source_for("reference_file").read(unit)
        return chunk

    def run(self) -> FeedReport:
        self.runs += 1
        config = self.config()
        keys, ledger, run_id = Keys.of(self.home), Ledger(self.home), f"run-{self.runs}"
        ledger.start_run(run_id, str(self.config_file))
        report = land_feed(self.home, keys, ledger, config.tenant("harbor").feeds[0], run_id)
        load_warehouse(self.home, keys, ledger, config)
        return report

    def rates(self) -> list[tuple]:
        with duck.session(self.home) as connection:
            key = Keys.of(self.home).derive_hex("warehouse")
            duck.attach(connection, self.home.warehouse, alias="warehouse", key=key, read_only=True)
            return connection.execute(
                "select procedure_code, modifier, effective_from::varchar, effective_to::varchar, work_rvus::varchar "
                "from warehouse.raw.work_rvu_rate order by all"
            ).fetchall()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_the_shipped_profile_reads_columns_named_as_the_contract(site: Site) -> None:
    site.put("2026.csv", "\ufeff" + OWN + "Z1001,,2026-01-01,2026-12-31,1.5\r\n\n Z1001 ,26,2026-01-01,,0.75\n")
    chunk = site.read()
    rows = chunk.rows["work_rvu_rate"]
    assert (chunk.records_read, chunk.records_used, chunk.refusals) == (2, 2, [])
    assert rows["source_record_id"].to_list() == ["Z1001//2026-01-01", "Z1001/26/2026-01-01"]
    assert rows["source_position"].to_list() == ["line 2", "line 4"]
    assert rows["work_rvus"].dtype == contract("work_rvu_rate").by_name["work_rvus"].polars_type
    assert rows["modifier"].to_list() == ["", "26"]
    assert rows["effective_to"].cast(pl.String).to_list() == ["2026-12-31", None]


def test_a_profile_reads_the_layout_of_a_publisher(site: Site) -> None:
    site.profile(PROFILE)
    site.put("rvu.csv", PUBLISHED)
    chunk = site.read("ours.yaml")
    rows = chunk.rows["work_rvu_rate"]
    # A comma is no decimal point: the gate will hold this row back, and the other stays.
    assert rows["work_rvus"].to_list() == ["1,5", "0.75"]
    assert rows["effective_from"].cast(pl.String).to_list() == ["2026-01-01"] * 2
    assert rows["source_position"].to_list() == ["line 4", "line 5"]
    assert chunk.dropped_fields == {"work_rvu_rate.WORDS": 2, "work_rvu_rate.RVU": 2}


def test_dates_are_read_as_the_profile_says(site: Site) -> None:
    site.profile(
        PROFILE.replace("constants: {effective_from: 2026-01-01}", 'date_format: "%m/%d/%Y"').replace(
            "work_rvus: 4", "work_rvus: 4, effective_from: WORDS"
        )
    )
    site.put("rvu.csv", PUBLISHED.replace("licensed words", "07/01/2026", 1))
    rows = site.read("ours.yaml").rows["work_rvu_rate"]
    assert rows["effective_from"].to_list() == ["2026-07-01", "licensed words"]


def test_rows_that_do_not_fit_are_refused_by_their_line_and_counted(site: Site) -> None:
    site.put("rvu.csv", OWN + "Z1001,,2026-01-01,,1\nZ1002,1\nZ1001,,2026-01-01,,2\nZ1003,,2026-01-01,,3\n")
    chunk = site.read()
    assert [(item.position, item.reason) for item in chunk.refusals] == [
        ("line 3", "field_count"),
        ("line 4", "key_given_twice"),
    ]
    assert (chunk.records_read, chunk.records_used) == (4, 2)
    assert chunk.rows["work_rvu_rate"]["work_rvus"].to_list() == [1, 3]


@pytest.mark.parametrize(
    ("content", "position", "problem"),
    [
        (b"", "line 1", "has no column 'procedure_code'"),
        (b"procedure_code;work_rvus\n", "line 1", "has no column 'procedure_code'"),
        (OWN.replace("effective_to", "modifier").encode(), "line 1", "more than one column 'modifier'"),
        (OWN.encode() + b'"Z1\n', "line 2", "is not valid CSV"),
        (OWN.encode() + b"Z\xff1,,2026-01-01,,1\n", "line 1", "is not utf-8 text"),
    ],
)
def test_a_file_that_is_not_what_its_profile_says_is_refused_whole(
    site: Site, content: bytes, position: str, problem: str
) -> None:
    site.put("rvu.csv", content)
    with pytest.raises(UnreadableUnit) as caught:
        site.read()
    assert caught.value.position == position
    assert problem in caught.value.problem


def test_the_encoding_of_the_profile_counts(site: Site) -> None:
    site.profile(PROFILE.replace("header_line: 3", "header_line: 3\nencoding: cp1252"))
    site.put("rvu.csv", PUBLISHED.replace("licensed", "caf\u00e9").encode("cp1252"))
    assert site.read("ours.yaml").records_used == 2


@pytest.mark.parametrize(
    ("change", "line", "expected_text"),
    [
        (("entity: work_rvu_rate", "entity: patient"), 2, "'patient' is not one of"),
        (("entity: work_rvu_rate", "entity: appointment"), 2, "'appointment' is not one of"),
        (("work_rvus: 4", "work_rvu: 4"), 5, "columns.work_rvu: work_rvu_rate has no such column"),
        (("constants: {effective_from: 2026-01-01}", ""), 1, "columns.effective_from: is missing"),
        (("effective_from", "procedure_code"), 6, "constants.procedure_code: is also in columns"),
        (('delimiter: ";"', 'delimiter: ";;"'), 3, "delimiter: is one character"),
        (("header_line: 3", "header_line: 0"), 4, "header_line: '0' is not a line number"),
        (("header_line: 3", "encoding: ebcdic"), 4, "encoding: 'ebcdic' is not one of"),
    ],
)
def test_a_wrong_profile_is_told_by_file_line_and_key(
    site: Site, change: tuple[str, str], line: int, expected_text: str
) -> None:
    site.profile(PROFILE.replace(*change))
    with pytest.raises(ConfigurationError) as caught:
        load_profile(str(site.folder / "ours.yaml"), "reference_file")
    assert expected_text in str(caught.value)
    assert f"ours.yaml:{line}:" in str(caught.value)


def test_a_reference_file_needs_a_profile(site: Site) -> None:
    site.config_file.write_text(
        "tenants:\n  harbor:\n    name: Harbor\n    time_zone: UTC\n    feeds:\n"
        "      - {name: rvu, kind: reference_file, path: rvu}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigurationError, match="a reference file needs one"):
        load_config(site.config_file)


def test_rows_go_through_gate_and_ledger_and_a_later_file_replaces_them(site: Site) -> None:
    site.put("rvu.csv", OWN + "Z1001,,2026-01-01,,1\nZ1002,,2026-01-01,,-2\nZ1003,,2026-01-01,,3\n")
    first = site.run()
    assert (first.records_read, first.rows_landed, first.rows_quarantined) == (3, 2, 1)
    assert site.run().units_unchanged == 1
    site.put("rvu.csv", OWN + "Z1001,,2026-01-01,2026-06-30,1\nZ1001,,2026-07-01,,1.25\n")
    assert site.run().rows_landed == 2
    assert site.rates() == [
        ("Z1001", "", "2026-01-01", "2026-06-30", "1.0000"),
        ("Z1001", "", "2026-07-01", None, "1.2500"),
        ("Z1003", "", "2026-01-01", None, "3.0000"),
    ]


def test_sources_check_names_the_profile_line_of_a_column_that_breaks_its_contract(site: Site) -> None:
    site.profile(PROFILE)
    site.put("rvu.csv", PUBLISHED)
    site.config("ours.yaml")
    ran = clinicmart_here("sources", "check", "--config", site.config_file)
    assert "work_rvu_rate.work_rvus" in ran.out + ran.err
    assert "ours.yaml:5" in ran.out + ran.err
