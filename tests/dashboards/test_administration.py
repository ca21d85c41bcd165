"""The page Administration over a real access database."""

import re

import pytest

from dashboards.pages.administration.activity import detail_of
from serving.people.principal import Role


@pytest.fixture
def clinician(served):
    """A person of the organization, new for each test."""
    made = len(served.access.users("harbor"))
    email = f"clinician{made}@harbor"
    own = {"password": "correct horse battery 9", "must_change": False}
    served.access.add_user("harbor", email, display_name=f"Cleo {made}", role=Role.EXECUTIVE, **own)
    return email


def test_the_page_lists_everybody_with_what_they_see_and_search_narrows_it(page, markup_of, clinician):
    test = page("administration")
    assert not test.exception
    html = markup_of(test)
    assert clinician in html
    assert "The whole organization" in html
    test.text_input(key="cm_admin_find").set_value(clinician).run()
    rows = re.findall(r'<th scope="row">', markup_of(test))
    assert len(rows) == 1


def test_activity_shows_what_was_done_and_offers_a_file(page, markup_of, clinician):
    test = page("administration")
    test.segmented_control(key="cm_admin_view").set_value("Activity").run()
    assert not test.exception
    html = markup_of(test)
    assert "user added" in html
    assert f"user: {clinician}" in html
    test.selectbox(key="cm_activity_what").set_value("user added").run()
    assert "sign-in" not in markup_of(test)


def test_the_page_is_absent_for_others_and_its_address_says_why(page, markup_of, served, clinician):
    token = served.access.create_session(served.access.principal("harbor", clinician))
    html = markup_of(page("administration", cookie=token))
    assert "Administration is not available to you" in html
    assert "admin@harbor" not in html


def test_details_are_read_without_braces():
    detail = {"user": "a@b", "units": ["CL01", "CL02"], "is_active": False, "values": {"x": 1}, "none": None}
    assert detail_of(detail) == "user: a@b; units: CL01, CL02; is active: no; values: x 1"
