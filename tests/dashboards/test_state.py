"""The URL is a page's memory, and user input."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
        "month": "2026-03",
        "payer_id": ["aetna", "cigna"],
        "carc": "CO-16",
        "hour": "9",
        "as_of": "close:2026-09",
        "basis": "paid",
        "figure": "no_shows",
        "at": "visit_type=new",
        "sort": "-appointment_date",
        "which": "all",
        "page": "3",
    }
    assert states.parse(params, AS_OF).params() == params


def test_the_default_view_has_a_bare_url():
    assert states.parse({}, AS_OF).params() == {}


def test_pages_share_period_place_and_payer_but_not_open_rows():
    view = states.parse(
        {"place": "north", "payer": "self_pay", "weekday": "1", "rows": "no_shows", "page": "2", "basis": "paid"}, AS_OF
    )
    assert view.params(shared_only=True) == {"place": "north", "payer": "self_pay", "weekday": "1"}


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


def test_an_address_of_earlier_releases_that_opened_rows_opens_the_passport():
    assert states.parse({"rows": "no_shows", "page": "2"}, AS_OF).params() == {"figure": "no_shows", "page": "2"}


VALUES = st.text(st.characters(blacklist_categories=("Cc", "Cs")), min_size=1, max_size=12)


@given(
    st.dictionaries(st.sampled_from(sorted(states.FILTERS)), st.lists(VALUES, min_size=1, max_size=3, unique=True)),
    st.none() | st.dates(date(1990, 1, 1), date(2100, 12, 31)),
)
def test_filters_survive_the_address_and_the_text_of_a_mark(filters, month):
    changes = {**filters, "month": f"{month:%Y-%m}" if month else None}
    view = states.moved_by(states.parse({}, AS_OF), states.encode(changes))
    assert {states.URL_NAMES[name]: list(values) for name, values in view.filters} == {
        name: sorted(values) for name, values in filters.items()
    }
    assert view.month == (month.replace(day=1) if month else None)
    assert states.parse(view.params(), AS_OF) == view
    # Taken away again, all is as before.
    assert states.moved_by(view, states.encode(dict.fromkeys(changes))) == states.parse({}, AS_OF)


def test_a_month_narrows_the_period_and_leaves_the_picker_as_it_was():
    view = states.parse({"period": "last_quarter", "month": "2026-02"}, AS_OF)
    assert view.period.name == "February 2026"
    assert view.params() == {"month": "2026-02"}
    assert view.in_month(None).period.name == "Q3 2026"
    assert view.moved(period=view.period).month is None


def test_a_mark_with_absurdly_many_changes_changes_nothing():
    view = states.parse({}, AS_OF)
    assert states.moved_by(view, "&".join(["weekday=1"] * 500)) == view


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
