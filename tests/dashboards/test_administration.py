"""The page Administration over a real access database."""

import re

import pytest
import streamlit

from dashboards.pages.administration.activity import detail_of
from serving.model import NothingPublished
from serving.people import audit_log
from serving.people.caller import Caller
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


def test_an_administrator_says_what_groups_give_and_makes_tokens_for_the_provider(page, markup_of, served, monkeypatch):
    # Streamlit's runner of tests has no address of a browser.
    monkeypatch.setattr(audit_log, "caller", Caller)
    store = served.access
    store.put_group("harbor", None, name="Analysts of Okta", external_id=None, members=[], actor="test")
    test = page("administration")
    test.segmented_control(key="cm_admin_view").set_value("Sign-in").run()
    assert not test.exception
    test.selectbox(key="cm_admin_accounts_group").set_value("Analysts of Okta")
    test.selectbox(key="cm_admin_accounts_role").set_value(Role.ANALYST)
    button(test, "Save", "cm_admin_accounts_form").click().run()
    assert not test.exception
    assert "Analysts of Okta" in markup_of(test)
    (right,) = [item for item in store.group_rights("harbor") if item.group_name == "Analysts of Okta"]
    assert (right.role, right.unit_ids) == (Role.ANALYST, ())
    button(test, "Give nothing", "cm_admin_accounts_form").click().run()
    assert "Analysts of Okta" not in {item.group_name for item in store.group_rights("harbor")}
    test.text_input(key="cm_admin_accounts_token").set_value("Okta of the page")
    button(test, "Make a token", "cm_admin_accounts_token_form").click().run()
    secret = test.code[0].value
    token = store.scim_tokens.of_secret(secret)
    assert (token.name, token.tenant_id, token.created_by) == ("Okta of the page", "harbor", "admin@harbor")
    row = store.audit_rows("harbor", action="group rights removed", limit=1)[0]
    assert (row.actor, row.detail) == ("admin@harbor", {"group": "Analysts of Okta"})


def test_an_administrator_registers_and_ends_a_site_that_shows_figures(page, markup_of, served, monkeypatch):
    monkeypatch.setattr(audit_log, "caller", Caller)
    monkeypatch.setattr(type(streamlit.context), "url", property(lambda _: "https://harbor.example/administration"))
    sites = served.access.embedding_sites
    test = page("administration")
    test.segmented_control(key="cm_admin_view").set_value("Sites").run()
    assert not test.exception
    assert "No site shows your figures" in markup_of(test)
    test.text_input(key="cm_admin_sites_name").set_value("Board <portal>")
    test.text_input(key="cm_admin_sites_origin").set_value("http://portal.example.org")
    test.multiselect(key="cm_admin_sites_pages").set_value(["overview"])
    test.multiselect(key="cm_admin_sites_units").set_value(["behavioral"])
    button(test, "Register the site", "cm_admin_sites_new").click().run()
    assert "is not the origin of a site with TLS" in markup_of(test)
    assert sites.of_tenant("harbor") == ()
    test.text_input(key="cm_admin_sites_origin").set_value("https://portal.example.org")
    button(test, "Register the site", "cm_admin_sites_new").click().run()
    assert not test.exception
    site = sites.of_secret(test.code[0].value)
    assert (site.name, site.pages, site.unit_ids) == ("Board <portal>", ("overview",), ("behavioral",))
    assert site.created_by == "admin@harbor"
    html = markup_of(test)
    assert "Board &lt;portal&gt;" in html
    assert "https://harbor.example/embed/tickets" in str([each.value for each in test.caption])
    # The secret stands on no later page.
    later = page("administration")
    later.segmented_control(key="cm_admin_view").set_value("Sites").run()
    assert not later.code
    button(later, "End it", "cm_admin_sites_end").click().run()
    assert "shows nothing any more" in markup_of(later)
    assert "Ended" in markup_of(later)
    assert sites.of_id("harbor", site.token_id) is None
    row = served.access.audit_rows("harbor", action="token revoked", limit=1)[0]
    assert (row.actor, row.detail["origin"]) == ("admin@harbor", "https://portal.example.org")


def test_before_anything_is_published_an_administrator_invites_people_and_others_do_not(
    page, markup_of, served, clinician, monkeypatch
):
    monkeypatch.setattr(audit_log, "caller", Caller)
    monkeypatch.setattr(type(streamlit.context), "url", property(lambda _: "https://harbor.example/"))

    def nothing(_principal):
        raise NothingPublished("nothing is published yet")

    monkeypatch.setattr("dashboards.main.data.source_of", nothing)
    test = page("")
    assert not test.exception
    html = markup_of(test)
    assert "No data yet" in html
    assert clinician in html
    email = clinician.replace("clinician", "early")
    test.text_input(key="cm_first_name").set_value("Early <Bird>")
    test.text_input(key="cm_first_email").set_value(email)
    test.selectbox(key="cm_first_role").set_value(Role.EXECUTIVE)
    button(test, "Invite", "cm_first_person").click().run()
    assert test.code[0].value.startswith("https://harbor.example/password?reset=")
    assert "Early &lt;Bird&gt;" in markup_of(test)
    assert served.access.principal("harbor", email).role is Role.EXECUTIVE
    row = served.access.audit_rows("harbor", action="user added", limit=1)[0]
    assert row.actor == "admin@harbor"
    # Another person sees neither.
    token = served.access.create_session(served.access.principal("harbor", clinician))
    html = markup_of(page("", cookie=token))
    assert "No data yet" in html
    assert "admin@harbor" not in html


def button(test, label, form):
    """A button of a form."""
    return next(each for each in test.button if each.label == label and each.form_id == form)


def test_the_page_is_absent_for_others_and_its_address_says_why(page, markup_of, served, clinician):
    token = served.access.create_session(served.access.principal("harbor", clinician))
    html = markup_of(page("administration", cookie=token))
    assert "Administration is not available to you" in html
    assert "admin@harbor" not in html


def test_details_are_read_without_braces():
    detail = {"user": "a@b", "units": ["CL01", "CL02"], "is_active": False, "values": {"x": 1}, "none": None}
    assert detail_of(detail) == "user: a@b; units: CL01, CL02; is active: no; values: x 1"
