"""Rows behind a figure are searched, sorted and taken away under the gate of a drill; nothing in a file becomes a formula."""

import csv
import io
import zipfile
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import AccessError, ConfigurationError
from serving.model import Listing
from serving.people.store import AccessStore
from serving.rows import export
from serving.rows.export import plain_text, rows_file

STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def exported(reader, name, file_format, **more):
    file = reader.export_rows(name, file_format=file_format, **more)
    match file_format:
        case "csv":
            return file, pl.read_csv(file.content, infer_schema=False)
        case "parquet":
            return file, pl.read_parquet(io.BytesIO(file.content))
    return file, None


@pytest.mark.parametrize("user", ["admin@harbor", "analyst@mesa", "two@harbor"])
@pytest.mark.parametrize("file_format", export.FORMATS)
def test_a_file_holds_all_rows_of_the_figure_and_is_one_act_of_the_audit(place, reader, user, file_format):
    seen = reader(user)
    name = next(item.name for item in seen.metrics() if item.can_drill)
    whole = seen.drill(name, limit=10_000)
    file, frame = exported(seen, name, file_format)
    assert file.rows == whole.total_rows == whole.frame.height
    if frame is not None:
        assert frame.columns == whole.frame.columns
        assert frame.height == whole.total_rows
    rows = AccessStore.open(place.home).audit_rows(user.partition("@")[2], action="export")
    detail = rows[0].detail
    assert (rows[0].result, detail["metric"], detail["format"], detail["rows"]) == (
        "done",
        name,
        file_format,
        file.rows,
    )


def test_a_tenant_with_the_same_ids_takes_its_own_rows_alone(reader):
    found = {}
    for user in ("admin@harbor", "analyst@mesa"):
        seen = reader(user)
        shared = [item.name for item in seen.metrics() if item.can_drill and item.unit == "count"]
        found[user] = (shared, seen)
    name = sorted(set(found["admin@harbor"][0]) & set(found["analyst@mesa"][0]))[0]
    for _, seen in found.values():
        frame = exported(seen, name, "parquet")[1]
        assert frame.height == seen.drill(name, limit=10_000).total_rows
        assert "tenant_id" not in frame.columns


def test_a_strange_format_or_column_is_refused_and_audited(place, reader):
    seen = reader("admin@harbor")
    name = next(item.name for item in seen.metrics() if item.can_drill)
    with pytest.raises(ConfigurationError, match="not one of csv, xlsx, parquet"):
        seen.export_rows(name, file_format="exe")
    with pytest.raises(ConfigurationError, match="no column"):
        seen.export_rows(name, file_format="csv", columns=["patient_name"])
    rows = AccessStore.open(place.home).audit_rows("harbor", action="export")
    assert [row.result for row in rows[:2]] == ["refused", "refused"]


def test_an_executive_takes_no_rows_and_the_refusal_is_audited(place, reader):
    name = next(item.name for item in reader("admin@harbor").metrics() if item.can_drill)
    with pytest.raises(AccessError, match="figures, not rows"):
        reader("ceo@harbor").export_rows(name, file_format="csv")
    row = AccessStore.open(place.home).audit_rows("harbor", action="export")[0]
    assert (row.actor, row.result) == ("ceo@harbor", "refused")


def test_more_rows_than_a_file_holds_are_refused_with_what_to_do(reader, monkeypatch):
    seen = reader("admin@harbor")
    name = next(item.name for item in seen.metrics() if item.can_drill and seen.drill(item.name).total_rows > 3)
    monkeypatch.setattr("serving.rows.export.MOST_ROWS", 2)
    with pytest.raises(ConfigurationError, match="narrow the figure, or take an extract"):
        seen.export_rows(name, file_format="csv")


def test_a_search_finds_what_is_shown_whatever_its_case_and_leaves_the_figure_as_it_is(reader):
    seen = reader("admin@harbor")
    searched = 0
    for item in seen.metrics():
        if not item.can_drill:
            continue
        whole = seen.drill(item.name, limit=10_000)
        texts = [
            name for name, kind in whole.frame.schema.items() if kind == pl.String and whole.frame[name].n_unique() > 1
        ]
        if not texts or not whole.total_rows:
            continue
        word = whole.frame[texts[0]].drop_nulls()[0]
        found = seen.drill(item.name, limit=10_000, listing=Listing(search=word.upper()))
        assert 0 < found.listed_rows == found.frame.height
        assert (found.total_rows, found.total_value) == (whole.total_rows, whole.total_value)
        text = pl.concat_str(
            [pl.col(name).cast(pl.String) for name in whole.frame.columns], separator=" ", ignore_nulls=True
        )
        held = whole.frame.filter(text.str.to_lowercase().str.contains(word.lower(), literal=True))
        assert found.listed_rows == held.height, item.name
        searched += 1
    assert searched > 3


def test_rows_are_sorted_by_any_column_and_pages_still_do_not_overlap(reader):
    seen = reader("admin@harbor")
    name = next(item.name for item in seen.metrics() if item.can_drill and seen.drill(item.name).total_rows > 3)
    whole = seen.drill(name, limit=10_000)
    for column in whole.frame.columns:
        for sign in ("", "-"):
            listing = Listing(order_by=f"{sign}{column}")
            values = seen.drill(name, limit=10_000, listing=listing).frame[column].drop_nulls().to_list()
            assert values == sorted(values, reverse=bool(sign))
            pages = [
                seen.drill(name, limit=2, offset=at, listing=listing).frame for at in range(0, whole.total_rows, 2)
            ]
            assert sorted(map(str, pl.concat(pages).rows())) == sorted(map(str, whole.frame.rows()))
    with pytest.raises(ConfigurationError, match="no column"):
        seen.drill(name, listing=Listing(order_by='x"; drop table'))


def test_ids_of_found_names_count_as_found_and_names_give_the_order(reader):
    seen = reader("admin@harbor")
    name = next(
        item.name for item in seen.metrics() if item.can_drill and "payer_id" in seen.drill(item.name).frame.columns
    )
    whole = seen.drill(name, limit=10_000).frame
    ids = sorted(whole["payer_id"].drop_nulls().unique().to_list())
    listing = Listing(search="no such text", search_ids={"payer_id": ids[:1], "no_such": ["x"]})
    assert set(seen.drill(name, listing=listing).frame["payer_id"]) == set(ids[:1])
    order = list(reversed(ids))
    listed = seen.drill(name, limit=10_000, listing=Listing(order_by="payer_id", order_ids=order)).frame["payer_id"]
    places = [order.index(value) for value in listed.drop_nulls()]
    assert places == sorted(places)


def test_what_was_searched_for_is_not_kept(place, reader):
    seen = reader("admin@harbor")
    name = next(item.name for item in seen.metrics() if item.can_drill)
    seen.drill(name, listing=Listing(search="Jane Roe"))
    row = AccessStore.open(place.home).audit_rows("harbor", action="drill")[0]
    assert row.detail["searched"] is True
    assert "Jane" not in str(row.detail)


@given(st.lists(st.text(max_size=20), min_size=1, max_size=8), st.sampled_from(STARTS))
def test_no_text_of_a_csv_begins_as_a_formula_and_nothing_is_lost(texts, start):
    values = [*texts, f'{start}HYPERLINK("http://x")']
    content = rows_file(pl.DataFrame({"a": values, "n": [-1] * len(values)}), "csv").content.decode()
    read = [row["a"] for row in csv.DictReader(io.StringIO(content, newline=""))]
    assert [value for value in read if value.startswith(STARTS)] == []
    assert read == [plain_text(value) for value in values]
    assert all(shown in (value, f"'{value}") for shown, value in zip(read, values, strict=True))


def test_a_sheet_holds_no_formula_and_no_link_and_numbers_stay_numbers():
    frame = pl.DataFrame(
        {
            "=name": ["=1+1", "@SUM(A1)", "http://x/", "plain"],
            "amount": [-1.5, 2.25, None, 0.0],
            "day": [date(2026, 3, 1)] * 4,
        }
    )
    file = rows_file(frame, "xlsx")
    with zipfile.ZipFile(io.BytesIO(file.content)) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
        strings = book.read("xl/sharedStrings.xml").decode()
        names = book.namelist()
    assert "<f>" not in sheet
    assert "hyperlink" not in sheet.lower() + " ".join(names).lower()
    assert "<v>-1.5</v>" in sheet
    for text in ("'=name", "'=1+1", "'@SUM(A1)"):
        assert f">{text}<" in strings
