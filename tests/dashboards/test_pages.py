"""The pages, run as Streamlit runs them over a reader without a warehouse."""

import re
from dataclasses import replace
from datetime import date

import pytest
import streamlit as st

from dashboards import breakdowns, chance, charts, figures, shell
from dashboards import view as states
from foundation.errors import AccessError
from serving.model import LastRun, NothingPublished
from serving.people.principal import Role
from serving.people.rights import ROLES

KEYS = ["", "revenue_cycle", "throughput", "no_show", "payer_mix", "data_health"]


def tile_value(html, metric):
    found = re.search(rf'data-metric="{metric}".*?<p class="cm-value"[^>]*><b>(.*?)</b><span>(.*?)</span>', html, re.S)
    assert found, f"no tile for {metric}"
    return found[1], found[2]


@pytest.mark.parametrize("key", KEYS)
def test_every_page_draws_a_finding(page, markup_of, key):
    test = page(key)
    html = markup_of(test)
    assert not test.exception
    assert "cm-failed" not in html
    assert "could not be drawn" not in html
    assert len(re.search(r"<h1>(.+?)</h1>", html)[1]) > 10


@pytest.mark.parametrize("key", [key for key in KEYS if key != "data_health"])
@pytest.mark.parametrize(
    "params",
    [
        {"place": "bayview"},
        {"place": "bayview", "provider": "bayview-1"},
        {"payer": "medicaid", "compare": "year"},
        {"period": "year_to_date"},
        {"period": "2024-01-01_2024-02-01"},
        {"period": "2030-01-01_2030-02-01"},
    ],
    ids=lambda params: "&".join(f"{k}={v}" for k, v in params.items()),
)
def test_every_page_stands_any_view(page, markup_of, key, params):
    test = page(key, **params)
    assert not test.exception
    assert "could not be drawn" not in markup_of(test)


@pytest.mark.parametrize("smallest", [40, 100_000])
@pytest.mark.parametrize("key", [key for key in KEYS if key != "data_health"])
def test_a_page_never_takes_a_hidden_figure_for_nothing(page, markup_of, reader, key, smallest):
    reader.smallest_cell = smallest
    test = page(key)
    html = markup_of(test)
    assert not test.exception
    assert f"Figures about fewer than {smallest} people, and figures that would reveal them, are not shown" in html
    for claim in (" alone: ", "everywhere", " in every hour", "No denials", "Nothing to compare", "or more of them"):
        assert claim not in html


def test_a_tile_shows_the_readers_figure(page, markup_of, source):
    view = states.parse({"place": "bayview"}, source.as_of)
    wanted = figures.load(source, view, ["no_show_rate"], trend=False)["no_show_rate"].value
    assert tile_value(markup_of(page("no_show", place="bayview")), "no_show_rate") == (f"{wanted * 100:.1f}", "%")


@pytest.mark.parametrize(
    ("seen", "label"),
    [
        ({"unit_ids": ("bayview",)}, "Bayview Clinic (your unit)"),
        ({"unit_ids": ("bayview", "elm")}, "Elm Street Clinic and Bayview Clinic (your units)"),
        (
            {"unit_ids": ("bayview", "elm", "dock", "imaging")},
            "4 of your units: Elm Street Clinic, Dock Road Clinic, Bayview Clinic and 1 more",
        ),
        ({"provider_id": "bayview-1"}, "Dr. Reyes (your own patients)"),
    ],
    ids=["one unit", "two units", "four units", "provider"],
)
def test_who_sees_a_part_reads_its_name_on_the_page_and_in_the_title(page, markup_of, reader, monkeypatch, seen, label):
    for name, value in seen.items():
        setattr(reader, name, value)
    seen_ids = seen.get("unit_ids", ())
    reader.scope_hash = f"{'-'.join(seen_ids) or 'own'}".ljust(64, "0")
    titles = []
    monkeypatch.setattr(st, "set_page_config", lambda page_title, **_: titles.append(page_title))
    reader.lineage = lambda metric: None
    for key in ("", "no_show", "payer_mix", "data_health", "lineage"):
        html = markup_of(page(key, **({"metric": "no_show_rate"} if key == "lineage" else {})))
        head = re.search(r'<div class="cm-context">(.+?)</nav>', html, re.S)[1]
        assert f">{label}</" in head
        assert titles[-1].endswith(f" · {label} · Harbor Health")


def test_who_sees_all_reads_the_tenants_name_alone(page, markup_of, monkeypatch):
    titles = []
    monkeypatch.setattr(st, "set_page_config", lambda page_title, **_: titles.append(page_title))
    html = markup_of(page("no_show"))
    assert "cm-part" not in html
    assert titles[-1] == "No-show · Harbor Health"


def test_a_period_before_the_first_data_says_so_and_leads_to_the_first(page, markup_of):
    for key in ("", "revenue_cycle", "throughput", "no_show"):
        html = markup_of(page(key, period="2019-01-01_2019-03-31"))
        assert "<h1>No data before Jan 2025</h1>" in html
        assert 'href="?period=2025-01-01_2025-03-31"' in html
        assert "cm-tile" not in html
        assert "by more than chance" not in html


def test_nothing_is_said_of_chance_where_nothing_was_tested(page, markup_of, reader):
    reader.visits = reader.visits.filter(reader.visits["appointment_id"].str.slice(-2) == "07")
    reader.scope_hash = "few".ljust(64, "0")
    html = markup_of(page(""))
    assert "has enough cases and months to tell what is usual" in html
    assert "has left its usual range" not in html


def test_bars_say_what_they_were_counted_from_and_few_cases_are_faint_and_last(page, monkeypatch):
    drawn = []
    real = charts.ranked_bars
    monkeypatch.setattr(
        charts, "ranked_bars", lambda look, ranks, **more: drawn.append((look, ranks)) or real(look, ranks, **more)
    )
    page("no_show", section="causes", period="2026-10-01_2026-10-06")
    look, visit_types = drawn[-1]
    cases = [int(re.match(r"[0-9,]+ of ([0-9,]+)", rank.note)[1]) for rank in visit_types]
    faint = [rank.colour == look.parts[-1] for rank in visit_types]
    assert faint == [count < chance.LEAST_VOLUME for count in cases]
    assert faint == sorted(faint)
    assert any(faint)


def test_the_last_months_denials_are_no_news(page, markup_of):
    html = markup_of(page("", period="last_month"))
    assert "enial rate" not in re.search(r"<h1>(.+?)</h1>", html)[1]
    assert "claims are answered" in html


def test_children_add_up_to_their_place_on_every_level(source):
    for place in (None, "behavioral", "bayview"):
        view = states.parse({"place": place} if place else {}, source.as_of)
        level = breakdowns.below(source, view, ["no_shows"])
        whole = figures.load(source, view, ["no_shows"], trend=False)["no_shows"].value
        assert sum(member.now["no_shows"] or 0 for member in level.members) == whole
        assert all(member.moves for member in level.members)
    assert level.dimension == "provider"


def test_the_past_is_told_in_two_ways_only_where_it_was_organised_otherwise(page, markup_of, reader):
    assert "cm_told" not in {box.key for box in page("no_show", told="today").selectbox}
    reader.reorganised = True
    reader.scope_hash = "1" * 64
    as_it_was = page("no_show", figure="no_shows")
    assert as_it_was.selectbox(key="cm_told").value is False
    assert "with today&#39;s units and payer classes" not in markup_of(as_it_was)
    assert set(reader.told) == {False}
    reader.told.clear()
    today = page("no_show", figure="no_shows", told="today")
    assert today.selectbox(key="cm_told").value is True
    assert "with today&#39;s units and payer classes" in markup_of(today)
    assert set(reader.told) == {True}


def test_the_path_of_the_place_leads_back_up(page, markup_of):
    html = markup_of(page("no_show", place="bayview", provider="bayview-1"))
    crumbs = re.search(r'<nav class="cm-crumbs".*?</nav>', html, re.S)[0]
    assert re.findall(r'data-do="([^"]+)"', crumbs) == [
        "view:place=&amp;provider=",
        "view:place=behavioral&amp;provider=",
        "view:place=bayview&amp;provider=",
    ]
    assert '<li aria-current="page">Dr. ' in crumbs


def test_open_rows_are_paged_and_equal_the_figure(page, markup_of, source):
    first = markup_of(page("no_show", place="bayview", figure="no_shows"))
    total = tile_value(first, "no_shows")[0]
    assert f"{total} rows; no-shows {total}" in first
    assert "Page 1 of" in first
    rows = first.split('cm-rows-note">')[1]
    assert rows.count("<tr>") == 1 + 25
    second = markup_of(page("no_show", place="bayview", figure="no_shows", page="2"))
    assert "Page 2 of" in second
    assert re.findall(r"A\d{6}", rows)[0] not in second.split('cm-rows-note">')[1]


def test_rows_of_a_rate_are_its_numerator_and_name_both_parts(page, markup_of, source):
    period = {"start": date(2026, 7, 1), "end": date(2026, 9, 30)}
    parts = source.query(["no_shows", "expected_appointments"], **period).row(0, named=True)
    address = {"period": "2026-07-01_2026-09-30", "figure": "no_show_rate"}
    numerator = markup_of(page("no_show", **address)).split('cm-rows-note">')[1]
    sentence = (
        f"{parts['no_shows']:,} no-show rate, out of {parts['expected_appointments']:,} appointments that were expected"
    )
    assert sentence in numerator
    assert f"Page 1 of {-(-parts['no_shows'] // 25):,}" in numerator
    assert f"Show all {parts['expected_appointments']:,}" in numerator
    every = markup_of(page("no_show", which="all", **address)).split('cm-rows-note">')[1]
    assert sentence in every
    assert f"Page 1 of {-(-parts['expected_appointments'] // 25):,}" in every
    assert "Show only the" in every


def test_rows_that_a_role_may_not_see_are_refused_with_the_role_as_reason(page, markup_of, reader):
    reader.can_see_rows = False
    html = markup_of(page("no_show", figure="no_shows"))
    assert "Your role (organization admin) shows figures and not the rows behind them." in html
    assert "all payers" not in html.split('cm-rows-note">')[1]


def test_a_page_that_is_not_granted_says_why(page, markup_of, reader):
    reader.modules = ("no_show",)
    html = markup_of(page("throughput"))
    assert "Throughput is not available yet" in html
    assert "cm-tile" not in html
    reader.sees_health = False
    assert "Data health" in markup_of(page("data_health"))


def test_every_chart_has_its_values_as_a_table(page, markup_of):
    for key in ("overview", "revenue_cycle", "no_show", "throughput", "payer_mix"):
        test = page("" if key == "overview" else key)
        charts = [element for element in test.main if element.type == "echarts_chart"]
        html = markup_of(test)
        # The waterfall of the overview is markup and has its table too.
        assert html.count("<summary>Show as table</summary>") == len(charts) + html.count('class="cm-waterfall"') > 0
        assert all("<table" in part for part in html.split("<summary>Show as table</summary>")[1:])


def test_times_are_told_in_the_tenants_zone(page, markup_of):
    html = markup_of(page("no_show"))
    assert "published 15 Nov 2026, 01:05 EST" in html
    assert "UTC" not in html


def test_a_figure_without_rows_says_so(page, markup_of):
    html = markup_of(page("no_show", figure="late_cancel_rate")).split('cm-rows-note">')[1]
    assert "It has no rows to show." in html


def test_a_module_that_is_not_granted_is_absent(page, markup_of, reader):
    reader.modules = ("no_show",)
    test = page("")
    labels = [element.proto.label for element in test.main if element.type == "page_link"]
    bar = ["Overview", "This week", "No-show", "Data health"]
    assert labels == [*bar, "Reports", "Report builder", "Alerts", "Annotations", "Administration", "Get it by mail"]
    html = markup_of(test)
    assert "Denial rate" not in html
    assert "No-show rate" in html


def test_the_state_of_feeds_is_absent_for_a_role_that_does_not_have_it(page, monkeypatch):
    rule = ROLES[Role.ORGANIZATION_ADMIN]
    without = replace(rule, pages=tuple(key for key in rule.pages if key != "data_health"))
    monkeypatch.setattr(shell, "ROLES", {**ROLES, Role.ORGANIZATION_ADMIN: without})
    labels = [element.proto.label for element in page("").main if element.type == "page_link"]
    assert "Data health" not in labels


def test_a_period_that_is_not_over_says_so_and_blames_nobody(page, markup_of):
    html = markup_of(page("no_show", period="2026-10-01_2026-12-31"))
    assert "Incomplete: data reach 14 Nov 2026" in html
    assert "No-shows so far" in html
    assert "cm-tile cm-bad" not in html


def test_a_place_that_one_may_not_see_is_not_confirmed(page, markup_of):
    html = markup_of(page("no_show", place="elsewhere"))
    assert "not among those you may see" in html
    assert "elsewhere" not in html


def test_data_health_balances_and_names_what_was_refused(page, markup_of):
    html = markup_of(page("data_health"))
    assert "read = landed + quarantined" in html
    assert "file 51571bd6c9.835" in html
    assert "Ask the clearinghouse to send the file again. (CM-X12-041)" in html
    assert "the claim does not balance" in html
    assert "1 feed could not be read whole" in html


def test_data_health_shows_what_matches_nothing_what_was_odd_and_where_feeds_disagree(page, markup_of):
    html = markup_of(page("data_health"))
    assert "Encounter.subject names no Patient; 1 more of this kind" in html
    assert "Encounter.location" not in html
    assert "was accepted" not in html
    assert "Provider (provider id)" in html
    assert "240" in html
    assert "1.3\u00a0%" in html
    assert "The claim is not known" in html
    assert "$2,210.50" in html
    assert "Names a record that has not come" in html
    assert "Something new" in html
    assert "Encounter: status" in html


def test_data_health_shows_words_that_no_profile_knows_and_what_their_rows_have_instead(page, markup_of):
    html = markup_of(page("data_health"))
    assert "Unknown words" in html
    for text in ("SCH-25", "BUMPED", "CLP02", "the word, or quarantined"):
        assert text in html, text


def test_a_stopped_feed_is_the_first_thing_on_data_health(page, markup_of, reader):
    reader.stopped = True
    html = markup_of(page("data_health"))
    assert re.search(r"<h1>(.+?)</h1>", html)[1] == "Feed remits stopped on 6 Nov 2026; payments since then are missing"
    assert html.index("cm-alerts") < html.index("cm-tiles")
    assert "no rows have arrived for 6 Nov 2026 or any later day" in html
    assert "3 of 4" in html
    assert html.index("<b>remits</b>") < html.index("<b>adt</b>")
    assert html.count('class="missing"') == 6
    assert "Fri 6 Nov 2026: 0 of about 160 rows, missing" in html


def test_pages_that_rest_on_a_stopped_feed_say_so_and_the_others_do_not(page, markup_of, reader):
    line = "Feed remits stopped: payments from 6 Nov 2026 on are missing in these figures."
    reader.stopped = True
    for key in KEYS:
        html = markup_of(page(key, period="2026-10-01_2026-11-14"))
        assert (line in html) == (key in ("", "revenue_cycle", "payer_mix")), key
    assert 'data-do="page:data_health?"' in markup_of(page("revenue_cycle"))


def test_without_an_alert_no_page_speaks_of_feeds(page, markup_of):
    for key in KEYS:
        html = markup_of(page(key))
        assert "cm-incomplete" not in html, key
        assert "cm-alerts" not in html, key


def test_a_refused_payment_file_is_named_on_the_pages_whose_money_lacks_it(page, markup_of, reader):
    line = "1 file of feed remits was refused: the payments and denials that only it holds are missing."
    reader.refused = True
    for key in ("", "revenue_cycle"):
        assert line in markup_of(page(key))
    assert "refused" not in markup_of(page("no_show"))


def test_who_may_not_see_data_health_learns_of_a_stopped_feed_without_a_link(page, markup_of, reader):
    reader.stopped, reader.sees_health = True, False
    html = markup_of(page("revenue_cycle"))
    assert "Feed remits stopped" in html
    assert "page:data_health" not in html


def test_a_finding_stands_on_data_health_in_words_with_its_rows(page, markup_of, reader):
    reader.doubted = True
    html = markup_of(page("data_health"))
    headline = (
        "Two feeds bill the same services: feed adt against feed claims, 12 rows, $2,400.00, 5 Aug 2026 to 2 Nov 2026"
    )
    assert headline in html
    assert "No number links them, so the services may be counted twice. Ask the sender for the visit number." in html
    assert "(CM-PLAUS-001)" in html
    assert "unit 7: message 2" in html
    assert "1 doubt" in html


def test_a_finding_marks_every_tile_it_touches_and_no_other(page, markup_of, reader):
    mark = "May be wrong: two feeds bill the same services"

    def tiles(key, **view):
        articles = re.findall(r'data-metric="(\w+)"(.*?)</article>', markup_of(page(key, **view)), re.DOTALL)
        return {name: mark in text for name, text in articles}

    reader.doubted = True
    money = tiles("revenue_cycle")
    marked = {name for name, has_mark in money.items() if has_mark}
    assert marked == {"billed_amount", "net_collection_rate", "open_balance"} & set(money)
    assert set() < marked < set(money)
    assert not any(tiles("no_show").values())
    # Every doubtful row is of a later day than the period.
    assert not any(tiles("revenue_cycle", period="2026-07-01_2026-07-31").values())


def test_without_a_finding_no_tile_has_a_mark(page, markup_of):
    assert "May be wrong" not in markup_of(page("revenue_cycle"))
    assert "Plausibility: the feeds agree with each other" in markup_of(page("data_health"))


def test_a_mark_leads_to_data_health_where_the_person_has_it(page, markup_of, reader):
    reader.doubted = True
    link = 'data-do="page:data_health?">May be wrong'
    assert link in markup_of(page("revenue_cycle"))


def test_a_mark_of_a_person_without_data_health_leads_nowhere(page, markup_of, reader):
    reader.doubted, reader.sees_health = True, False
    html = markup_of(page("revenue_cycle"))
    assert "May be wrong" in html
    assert "page:data_health" not in html


def test_a_run_that_published_nothing_says_why(page, markup_of, reader):
    at = reader.published_at
    reader.last_run = LastRun(run_id="r2", at=at, outcome="stopped", reason="Paid, adjusted and open do not add up.")
    html = markup_of(page("data_health"))
    assert "published nothing" in html
    assert "Paid, adjusted and open do not add up." in html


def test_without_a_session_the_script_shows_nothing(page, markup_of, reader):
    html = markup_of(page("no_show", cookie=None))
    assert "You are signed out" in html
    assert "No-show rate" not in html
    assert reader.asked == 0


def test_an_ended_session_stops_an_open_page(page, markup_of, served):
    test = page("no_show")
    assert "No-show rate" in markup_of(test)
    served.access.set_password("harbor", "admin@harbor", "correct horse battery 9")
    assert "You are signed out" in markup_of(test.run())


def test_a_session_at_another_tenants_address_shows_nothing(page, markup_of, reader):
    html = markup_of(page("no_show", address="mesa.localhost:8501"))
    assert "another organization" in html
    assert reader.asked == 0


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NothingPublished("no"), "No data yet"),
        (AccessError("Your role sees no figures."), "Your role sees no figures."),
    ],
)
def test_what_cannot_be_opened_is_explained(page, markup_of, monkeypatch, error, text):
    def refuse(home, principal):
        raise error

    monkeypatch.setattr("dashboards.main.data.source_of", lambda principal: refuse(None, principal))
    assert text in markup_of(page(""))


def test_a_failure_is_friendly_logged_by_place_and_never_shows_its_text(page, markup_of, reader, monkeypatch, caplog):
    def fail(*_):
        raise ValueError("patient Jane Roe")

    monkeypatch.setattr(reader, "query", fail)
    test = page("no_show")
    html = markup_of(test)
    assert "This page could not be drawn" in html
    assert not test.exception
    assert "Jane Roe" not in html + caplog.text
    assert "ValueError at" in caplog.text


def test_the_picker_writes_the_url(page):
    test = page("no_show")
    test.selectbox(key="cm_compare").select("year").run()
    assert test.query_params["compare"] == "year"
    test.selectbox(key="cm_place").select("bayview").run()
    assert test.query_params["place"] == "bayview"
    assert test.query_params["compare"] == "year"
    test.selectbox(key="cm_period").select("custom").run()
    assert test.query_params["period"] == "2026-07-01_2026-09-30"
    test.date_input(key="cm_dates").set_value((date(2026, 8, 1), date(2026, 8, 31))).run()
    assert test.query_params["period"] == "2026-08-01_2026-08-31"


def test_no_address_holds_more_than_ids_and_names_of_figures(page):
    test = page("no_show", place="bayview", provider="bayview-1", figure="no_shows")
    assert set(test.query_params) == {"place", "provider", "figure"}
