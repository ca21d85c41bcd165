"""The page Extract: makes the file with the person's rights, shows its key once, and says which tools open it."""

import pytest

from dashboards import data
from foundation.errors import ConfigurationError
from serving.model import Anonymity, ExtractReport

REPORT = ExtractReport(
    path="",
    version="20261115T060500-r1",
    tables={"fct_visits": 1200, "dim_dates": 300},
    key="k" * 64,
    anonymity=Anonymity(rule="limited", quasi_identifiers=("birth_year", "sex"), people=40, k=2, alone=0),
)


@pytest.fixture(autouse=True)
def _extracts(reader):
    reader.may_extract = True


@pytest.fixture
def made(monkeypatch):
    """What the page asked for; it gets REPORT, without a key for a ZIP."""
    asked = []

    def extract_bytes(home, principal, *, file_format, as_of):
        asked.append((principal.email, file_format, as_of))
        key = REPORT.key if file_format == "duckdb" else ""
        return b"file", ExtractReport(**{**vars(REPORT), "key": key})

    monkeypatch.setattr(data, "extract_bytes", extract_bytes)
    return asked


def test_the_page_says_what_opens_each_format_and_makes_nothing_by_itself(page, markup_of, made):
    test = page("extract")
    html = markup_of(test)
    assert "Take your rows to your own tools" in html
    assert "dictionary" in html
    assert test.radio[0].options == ["DuckDB file, encrypted", "ZIP of Parquet files, not encrypted"]
    assert made == []


def test_the_file_is_made_with_a_key_that_is_shown_once(page, markup_of, made):
    test = page("extract")
    test = test.button[0].click().run()
    assert made == [("admin@harbor", "duckdb", None)]
    assert "2 tables, 1,500 rows" in markup_of(test)
    assert REPORT.key in test.code[0].value
    assert "birth year, sex with at least 2; 0 share them with nobody" in " ".join(item.value for item in test.caption)


def test_a_page_of_the_past_makes_the_extract_of_then(page, made, reader, monkeypatch):
    test = page("extract")
    monkeypatch.setattr(data, "open_reader", lambda home, principal, as_of=None: reader)
    test.query_params["as_of"] = "2026-11-10"
    test.run().button[0].click().run()
    assert made == [("admin@harbor", "duckdb", "2026-11-10")]


def test_a_zip_has_no_key(page, markup_of, made):
    test = page("extract")
    test.radio[0].set_value("parquet")
    test = test.button[0].click().run()
    assert made == [("admin@harbor", "parquet", None)]
    assert "Your extract is ready" in markup_of(test)
    assert not test.code


def test_an_extract_that_cannot_be_made_says_why(page, markup_of, monkeypatch):
    def fails(*_, **__):
        raise ConfigurationError("the extract is too large for a page")

    monkeypatch.setattr(data, "extract_bytes", fails)
    test = page("extract")
    assert "The extract is too large for a page" in markup_of(test.button[0].click().run())


def test_a_person_without_extracts_has_no_such_page(page, markup_of, reader):
    reader.may_extract = False
    assert "Extract is not available" in markup_of(page("extract"))
