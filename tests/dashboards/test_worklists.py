"""The page of worklists: rows, what is noted on them, and who has it at all."""

import pytest


@pytest.fixture
def working(reader):
    reader.worklists.names = ("denials",)
    return reader


def test_only_those_who_work_on_lists_have_the_page(page, markup_of, reader):
    labels = [element.proto.label for element in page("").main if element.type == "page_link"]
    assert "Worklists" not in labels
    assert "Worklists is not available" in markup_of(page("worklists"))


def test_open_rows_are_listed_with_their_money(page, markup_of, working):
    html = markup_of(page("worklists"))
    work = working.worklists.work("denials", None, working.data_as_of)
    assert f"{work.open_rows:,} denied claims open" in html
    body = html.split("<tbody>")[1]
    assert body.count("<tr>") == 25
    assert f"${work.rows['amount'][0]:,.2f}" in body
    assert "Page 1 of" in html


def test_what_is_saved_is_on_the_row_at_once(page, markup_of, working):
    test = page("worklists")
    row_id = working.worklists.work("denials", None, working.data_as_of).rows["row_id"][0]
    test.selectbox(key="cm_work_row").set_value(row_id)
    boxes = {box.label: box for box in test.selectbox}
    boxes["State"].set_value("waiting")
    boxes["Owner"].set_value("billing@harbor")
    test.text_input[0].set_value("asked <b>payer</b>")
    html = markup_of(test.button[0].click().run())
    assert f"Saved: {row_id} is waiting." in html
    assert "billing@harbor" in html
    assert "asked &lt;b&gt;payer&lt;/b&gt;" in html
    (entry,) = working.worklists.kept
    assert (entry.row_id, entry.state, entry.owner) == (row_id, "waiting", "billing@harbor")


def test_done_without_an_outcome_is_refused_in_a_sentence(page, markup_of, working):
    test = page("worklists")
    boxes = {box.label: box for box in test.selectbox}
    boxes["State"].set_value("done")
    html = markup_of(test.button[0].click().run())
    assert "Not saved: a row that is done needs an outcome." in html
    assert working.worklists.kept == []


def test_the_list_is_that_of_the_place_in_the_address(page, markup_of, working):
    html = markup_of(page("worklists", place="bayview"))
    work = working.worklists.work("denials", "bayview", working.data_as_of)
    assert f"{work.open_rows:,} denied claims open" in html
    assert '<li aria-current="page">Bayview Clinic</li>' in html
