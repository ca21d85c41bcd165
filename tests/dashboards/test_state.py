"""The URL is a page's memory, and user input."""

from datetime import date

import pytest

from dashboards import view as states

AS_OF = date(2026, 11, 14)


def test_a_view_goes_to_the_url_and_back():
    params = {
        "period": "last_month",
        "compare": "year",
        "place": "behavioral",
        "provider": "bayview-1",
        "payer": "medicaid",
        "told": "today",
        "basis": "paid",
        "rows": "no_shows",
        "page": "3",
    }
    assert states.parse(params, AS_OF).params() == params


def test_the_default_view_has_a_bare_url():
    assert states.parse({}, AS_OF).params() == {}


def test_pages_share_period_place_and_payer_but_not_open_rows():
    view = states.parse(
        {"place": "north", "payer": "self_pay", "rows": "no_shows", "page": "2", "basis": "paid"}, AS_OF
    )
    assert view.params(shared_only=True) == {"place": "north", "payer": "self_pay"}


@pytest.mark.parametrize(
    "params",
    [
        {"compare": "nothing"},
        {"place": "a\nb"},
        {"place": "x" * 300},
        {"payer": "Medicaid'; --"},
        {"rows": "../../etc"},
        {"page": "-1"},
        {"page": "\u0663"},
        {"page": "99999999999999"},
    ],
)
def test_values_that_mean_nothing_are_left_out(params):
    assert states.parse(params, AS_OF).params() == {}


def test_going_to_another_place_starts_the_rows_from_the_first_page():
    view = states.parse({"rows": "no_shows", "page": "7"}, AS_OF)
    assert states.moved_by(view, states.encode({"place": "north"})).page == 1
    assert states.moved_by(view, states.encode({"page": 8})).page == 8


def test_an_action_from_the_browser_cannot_set_what_is_not_a_view():
    view = states.parse({}, AS_OF)
    assert states.moved_by(view, "tenant_id=mesa&page=no&payer=%27&__class__=x") == view.moved(payer=None)


def test_clearing_a_place_is_a_move():
    view = states.parse({"place": "north", "provider": "north-1"}, AS_OF)
    moved = states.moved_by(view, states.encode({"place": None, "provider": None}))
    assert (moved.place, moved.provider) == (None, None)
