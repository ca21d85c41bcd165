"""Throughput, no-show, payer mix and this week: parts add up, estimates say so, and each section is drawn alone."""

import re
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import scorecard
from dashboards import view as states
from dashboards.breakdowns import Member
from dashboards.drawings.columns import Amount, plain
from dashboards.drawings.rows import Segment, SegmentedBar, Step, funnel, segmented_bars, text_on
from dashboards.drawings.scatter import Axis, Dot, scatter
from dashboards.level import MEMBER, Answers, Level
from dashboards.pages.monday import page as monday
from dashboards.pages.monday import past, week
from dashboards.pages.no_show import lost
from dashboards.pages.payer_mix import effect
from dashboards.pages.throughput import times
from tests.dashboards import fake_metrics, fake_reader

D = Decimal
MONEY = st.decimals(0, 1_000_000, places=2)


def test_a_funnel_says_the_share_of_all_and_of_the_step_before():
    html = str(
        funnel(
            [Step(name="Referred", count=60, action="a"), Step(name="<Seen>", count=30), Step(name="Told", count=15)]
        )
    )
    assert "<Seen>" not in html
    assert "50.0\u00a0% of all; 50.0\u00a0% of the step before" in html
    assert "25.0\u00a0% of all; 50.0\u00a0% of the step before" in html
    assert re.findall(r"width:([0-9.]+)%", html) == ["100.00", "50.00", "25.00"]


def test_bars_of_parts_are_on_one_scale_and_each_part_leads_on():
    bars = [
        SegmentedBar(name="One", segments=[Segment(value=30, action="figure:a?"), Segment(value=10)]),
        SegmentedBar(name="Two", segments=[Segment(value=None), Segment(value=20, action="figure:b?")]),
    ]
    html = str(
        segmented_bars([("Wait", "#111111"), ("Rest", "#222222")], bars, unit="minutes", caption="Times", first="Unit")
    )
    assert re.findall(r"width:([0-9.]+)%;", html) == ["75.00", "25.00", "50.00"]
    assert html.count('data-do="figure:a?"') == 2  # the part, and its cell in the table
    assert "<summary>Show as table</summary>" in html


DOTS = st.lists(st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)), min_size=1, max_size=9)


@given(DOTS)
def test_dots_stay_inside_and_names_do_not_cover_each_other(points):
    dots = [Dot(name=f"P{place}", across=left, up=top, colour="#111111") for place, (left, top) in enumerate(points)]
    html = str(scatter(dots, Axis(name="Share", unit="percent"), Axis(name="Rate", unit="percent"), caption="x"))
    places = re.findall(r'<i style="left:([0-9.]+)%;bottom:([0-9.]+)%', html)
    assert all(0 <= float(left) <= 100 and 0 <= float(top) <= 100.01 for left, top in places)
    names = [
        (float(a), float(b))
        for a, b in re.findall(r'<b style="left:([0-9.]+)%;bottom:([0-9.]+)%" class="cm-name', html)
    ]
    for place, (left, height) in enumerate(names):
        for other_left, other_height in names[:place]:
            assert abs(left - other_left) > 23.9 or abs(height - other_height) > 5.9


def test_columns_by_hour_have_one_scale():
    html = str(plain([Amount(name="08:00", amount=D("0.5"), action="a"), Amount(name="09:00", amount=D(0))], "ratio"))
    assert re.findall(r'height:([0-9.]+)%"', html) == ["100.00", "0.00"]


def test_the_rest_of_a_visit_is_what_is_left_of_its_cycle_time():
    member = Member("a", "A", {**dict.fromkeys(times.SEGMENTS, 10), times.WHOLE: 42}, {}, {"place": "a"})
    bar = times.bar_of(member)
    assert [part.value for part in bar.segments] == [10, 10, 10, D(12)]
    assert bar.segments[0].action == "figure:wait_time_minutes?place=a"
    # Means of other visits may be longer together than the whole: nothing is left then, and not less than nothing.
    short = times.bar_of(Member("a", "A", {**dict.fromkeys(times.SEGMENTS, 20), times.WHOLE: 42}))
    assert short.segments[-1].value is None
    assert times.bar_of(Member("a", "A", {times.WHOLE: 42})) is None


def test_lost_slots_are_worth_the_mean_payment_of_a_visit_and_a_hidden_part_hides_the_worth():
    assert lost.loss({"no_shows": 3, "late_cancels": 2, "payment_per_encounter": 10.125}).worth == D("50.63")
    assert lost.loss({"no_shows": 3, "late_cancels": None, "payment_per_encounter": 10}).worth is None
    assert lost.loss({"no_shows": 3, "late_cancels": 1, "payment_per_encounter": None}).worth is None


@given(st.lists(st.none() | MONEY, min_size=1, max_size=9))
def test_a_total_says_of_how_many_members_it_is(worths):
    known = [worth for worth in worths if worth is not None]
    assert lost.total_of(worths) == (sum(known, D(0)) if known else None)
    words = lost.missing(worths, "unit")
    assert (f"{len(known)} of {len(worths)} unit" in words) == (len(known) < len(worths))


SIDE = st.tuples(MONEY, MONEY)


@given(
    st.dictionaries(
        st.sampled_from(["commercial", "medicare", "medicaid", "self_pay"]), st.tuples(SIDE, SIDE), min_size=1
    )
)
def test_the_effect_of_the_mix_adds_up_to_the_cent(classes):
    members = [
        Member(
            name,
            name,
            {effect.BILLED: now[0], effect.COLLECTED: now[1]},
            {effect.BILLED: before[0], effect.COLLECTED: before[1]},
        )
        for name, (now, before) in classes.items()
    ]
    found = effect.effect(members)
    if not sum(now[0] for now, _ in classes.values()) or not sum(before[0] for _, before in classes.values()):
        assert found is None
        return
    assert found.before + sum(found.parts.values(), D(0)) == found.now
    assert all(part == part.quantize(effect.CENT) for part in found.parts.values())


def test_a_mix_that_stays_has_no_effect_and_a_dearer_one_is_worth_the_difference_of_the_rates():
    def member(name, now, before, rate):
        return Member(
            name,
            name,
            {effect.BILLED: D(now), effect.COLLECTED: D(0)},
            {effect.BILLED: D(before), effect.COLLECTED: D(before) * D(rate)},
        )

    same = effect.effect([member("a", 200, 100, "0.5"), member("b", 200, 100, "0.9")])
    assert set(same.parts.values()) == {D("0.00")}
    # Ten per cent of 400 dollars move from the class that pays half to the one that pays nine tenths.
    moved = effect.effect([member("a", 160, 100, "0.5"), member("b", 240, 100, "0.9")])
    assert moved.now - moved.before == D("16.00")


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_the_last_full_week_is_whole_and_covered(as_of):
    first, last = week.last_full_week(as_of)
    assert (first.isoweekday(), last.isoweekday()) == (1, 7)
    assert last - first == timedelta(days=6)
    assert last <= as_of < last + timedelta(days=7)


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_last_monday_lies_one_to_seven_days_back(today):
    found = monday.last_monday(today)
    assert found.isoweekday() == 1
    assert 1 <= (today - found).days <= 7


@given(st.integers(1, 365), st.dates(date(2024, 1, 1), date(2028, 1, 1)), st.integers(1, 60))
def test_every_month_settles_once(after_days, start, days):
    """The weeks of a range name each month once that settles within it."""
    weekly = [
        past.months_settled(after_days, start + timedelta(days=place), start + timedelta(days=place + 1))
        for place in range(days)
    ]
    assert [month for found in weekly for month in found] == past.months_settled(
        after_days, start, start + timedelta(days=days)
    )


def test_a_week_outside_its_usual_range_is_told_with_the_unit_it_comes_from(source):
    monday_of, sunday = date(2026, 7, 6), date(2026, 7, 12)
    view = states.parse({}, source.as_of)
    items = {item.metric.name: item for item in week.watch(source, view, monday_of, sunday)}
    asked = source.query(["no_shows"], start=monday_of, end=sunday)["no_shows"][0]
    assert items["no_shows"].value == asked
    assert len(items["no_shows"].before) == week.WEEKS
    level = week.levels.level_of(source, view)
    rows = week.levels.rows(
        source, view, level, ["no_shows"], start=monday_of - timedelta(weeks=13), end=sunday, grain="week"
    )
    parts = week.contributions(rows, "no_shows", monday_of, week.WEEKS)
    mean = sum(items["no_shows"].before) / D(week.WEEKS)
    assert round(sum(parts.values(), D(0)), 6) == round(D(asked) - mean, 6)
    assert max(parts, key=parts.get) == "behavioral"
    assert "Harbor Behavioral" in week.cause(source, view, level, items["no_shows"], monday_of, sunday)


def test_a_second_patient_after_quiet_weeks_is_no_news(source):
    metric = source.metrics["no_shows"]
    assert week.usual_week(metric, [0.0] * 12 + [1.0])[1] < 2
    assert not week._watched(metric, [1, *[0] * 11, 1, 2]).has_left
    # The range of a count is never narrower than chance makes it.
    assert week.usual_week(metric, [100.0] * 13) == (70.0, 130.0)
    assert week._watched(metric, [*[100] * 13, 131]).tone == "bad"


@pytest.mark.parametrize(
    "colour", ["#332f87", "#2f8fbf", "#3fa796", "#1d7340", "#b9a23c", "#cc6677", "#882255", "#c9d0d6"]
)
def test_letters_on_parts_can_be_read(colour):
    def luminance(text):
        values = [int(text[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    low, high = sorted((luminance(colour), luminance(text_on(colour))))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_a_week_that_may_be_hidden_is_not_counted_as_zero(source):
    metric = source.metrics["no_shows"]
    values = [40, None, *[40] * 10, None, None]
    assert week._watched(metric, values).value == 0
    hidden = week._watched(metric, values, zeros=False)
    assert hidden.value is None
    assert set(hidden.before) == {40}


def test_a_hidden_week_has_no_cause():
    rows = [{MEMBER: "a", "metric_time": date(2026, 7, 6), "no_shows": None}]
    assert week.contributions(rows, "no_shows", date(2026, 7, 6), 13) == {}


def test_figures_that_are_others_now_are_told_with_both_values(source):
    other = fake_reader.FakeReader(visits=source.reader.visits.filter(pl.col("appointment_id") != "A000001"))
    changed = other.visits.with_row_index().with_columns(
        no_show=pl.when(pl.col("appointment_date") == date(2026, 10, 5)).then(False).otherwise(pl.col("no_show"))
    )
    other.visits, other.scope_hash = changed, "other".ljust(64, "0")
    was = type(source)(other, source.principal)
    items = past.restated(source, was, states.parse({}, source.as_of))
    assert {(item.metric.name, item.month) for item in items} == {("no_shows", date(2026, 10, 1))}
    label, values = past.words(items)[0]
    assert label == "No-shows, Oct 2026"
    assert values == f"{items[0].was} became {items[0].now}"
    assert items[0].was < items[0].now


def test_no_version_of_before_monday_is_no_restatement(source):
    source.reader.versions = lambda: (SimpleNamespace(version="v", published_at=source.reader.published_at),)
    assert past.earlier(source, date(2020, 1, 1)) is None


SECTIONS = {
    "throughput": ("visits", "times", "capacity", "providers"),
    "no_show": ("missed", "causes", "lost", "eligibility", "authorizations"),
    "payer_mix": ("shift", "bases", "rates", "effect"),
}


@pytest.fixture
def rich(reader, monkeypatch):
    """The fake reader with metrics of further sections."""
    rule = fake_metrics.Rule
    more = {
        "room_to_provider_minutes": (
            "Room to provider",
            "minutes",
            "throughput",
            rule(pl.col("wait").sum(), pl.col("wait").count()),
        ),
        "provider_minutes": (
            "Time with the provider",
            "minutes",
            "throughput",
            rule(pl.col("wait").sum(), pl.col("wait").count()),
        ),
        "on_time_start_rate": ("Seen on time", "percent", "throughput", rule(pl.col("done").sum(), pl.len())),
        "work_rvus": ("Work RVUs", "work_rvus", "throughput", rule(pl.col("done").sum())),
        "fill_rate": ("Fill rate", "percent", "no_show", rule(pl.col("done").sum(), pl.len())),
        "late_cancels": ("Late cancellations", "count", "no_show", rule(pl.col("late_cancel").sum())),
        "payment_per_encounter": (
            "Payment per encounter",
            "usd",
            "payer_mix",
            rule(pl.col("paid").sum(), pl.col("done").sum()),
        ),
        "collected_amount": ("Collected", "usd", "revenue_cycle", rule(pl.col("paid").sum())),
        "authorizations_requested": ("Authorisations requested", "count", "no_show", rule(pl.col("done").sum())),
        "authorizations_expiring": ("Authorisations that expire", "count", "no_show", rule(pl.col("done").sum())),
        "authorization_units_expiring": ("Units that expire", "count", "no_show", rule(pl.col("done").sum())),
        "authorization_approval_rate": ("Approved, share", "percent", "no_show", rule(pl.col("done").sum(), pl.len())),
        "eligibility_visits": ("Visits with an insurer", "count", "no_show", rule(pl.col("done").sum())),
        "eligibility_checked_rate": ("Eligibility checked", "percent", "no_show", rule(pl.col("done").sum(), pl.len())),
        "copay_collection_rate": ("Copay collected, share", "percent", "no_show", rule(pl.col("done").sum(), pl.len())),
    }
    for name, (label, unit, module, made) in more.items():
        monkeypatch.setitem(fake_metrics.RULES, name, (label, unit, "lower", module, made))
    reader.scope_hash = "rich".ljust(64, "1")
    return reader


@pytest.mark.parametrize(("key", "section"), [(key, name) for key, names in SECTIONS.items() for name in names])
@pytest.mark.parametrize("smallest", [1, 100_000])
def test_each_section_is_drawn_for_everybody(rich, page, markup_of, key, section, smallest):
    rich.smallest_cell = smallest
    test = page(key, section=section, place="behavioral")
    html = markup_of(test)
    assert not test.exception
    assert "could not be drawn" not in html
    assert html.count("cm-tab cm-here") == 1


@pytest.mark.parametrize("smallest", [1, 100_000])
def test_nothing_that_expires_is_claimed_only_where_no_count_is_hidden(rich, page, markup_of, smallest):
    rich.smallest_cell = smallest
    html = markup_of(page("no_show", section="authorizations"))
    assert ("No authorisation is known to expire from" in html) == (smallest == 1)
    assert ("fewer than 100,000 people" in html or "fewer than 100000 people" in html) == (smallest > 1)


def test_places_whose_authorisations_are_hidden_are_said_to_be_missing_from_the_rows(
    rich, page, markup_of, monkeypatch
):
    query = fake_reader.FakeReader.query
    shown = {
        "service_unit": [f"unit {number}" for number in range(30)],
        "service_unit_name": [f"Unit {number}" for number in range(30)],
        "authorizations_expiring": [None, *range(1, 30)],
        "authorization_units_expiring": [None, *[0] * 29],
    }

    def with_a_hidden_place(self, asked):
        is_expiring = tuple(asked.metrics) == ("authorizations_expiring", "authorization_units_expiring")
        return pl.DataFrame(shown) if is_expiring and asked.by else query(self, asked)

    monkeypatch.setattr(fake_reader.FakeReader, "query", with_a_hidden_place)
    rich.smallest_cell = 11
    html = markup_of(page("no_show", section="authorizations"))
    assert "The rows may add up to less than All. Figures about fewer than 11 people" in html
    assert "the first 25 of 29 are listed" in html
    assert "Unit 5<" in html
    assert "Unit 4<" not in html


def test_authorisations_say_which_filter_they_cannot_take(rich, page, markup_of, monkeypatch):
    metrics = fake_reader.FakeReader.metrics

    def without_providers(self):
        return [
            replace(metric, dimensions=tuple(name for name in metric.dimensions if name != "provider"))
            if metric.name.startswith("authorization")
            else metric
            for metric in metrics(self)
        ]

    monkeypatch.setattr(fake_reader.FakeReader, "metrics", without_providers)
    rich.scope_hash = "without providers".ljust(64, "2")
    html = markup_of(page("no_show", section="authorizations", place="bayview", provider="bayview-1"))
    # Two tables and what expires soon.
    assert html.count("Cannot be filtered by provider.") == 3


def test_an_estimate_from_payments_that_still_come_in_says_that_it_is_too_low(rich, page, markup_of, monkeypatch):
    monkeypatch.setitem(fake_metrics.MATURES, "payment_per_encounter", (120, "money"))
    young = markup_of(page("no_show", section="lost", period="2026-10-01_2026-10-31"))
    old = markup_of(page("no_show", section="lost", period="2026-01-01_2026-01-31"))
    assert "are still too low" in young
    assert "Estimated loss so far" in young
    assert "are still too low" not in old
    assert "Estimated loss so far" not in old


def test_the_total_of_lost_slots_says_how_many_units_it_holds(rich, page, markup_of, monkeypatch):
    query = fake_reader.FakeReader.query

    def without_one_mean(self, asked):
        frame = query(self, asked)
        if "payment_per_encounter" in frame.columns and "service_unit_children" in frame.columns:
            is_surgery = pl.col("service_unit_children") == "surgery"
            frame = frame.with_columns(payment_per_encounter=pl.when(~is_surgery).then(pl.col("payment_per_encounter")))
        return frame

    monkeypatch.setattr(fake_reader.FakeReader, "query", without_one_mean)
    html = markup_of(page("no_show", section="lost"))
    assert "The estimated loss of all is that of 2 of 3 units" in html


def test_closed_referrals_are_ranked_since_an_open_one_has_not_failed(rich, page, markup_of, monkeypatch):
    rule = fake_metrics.Rule
    attended, closed = pl.col("done").sum(), (pl.col("done") | pl.col("no_show")).sum()
    for name, unit, made in (
        ("referrals", "count", rule(pl.len())),
        ("referral_completion_rate", "percent", rule(attended, pl.len())),
        ("referral_completion_rate_of_closed", "percent", rule(attended, closed)),
    ):
        monkeypatch.setitem(fake_metrics.RULES, name, (name, unit, "higher", "no_show", made))
    html = markup_of(page("no_show", section="referrals"))
    assert "<h2>Closed referrals that became a visit, by unit</h2>" in html
    assert "figure:referral_completion_rate_of_closed?place=" in html
    assert "figure:referral_completion_rate?" not in html


def test_rankings_of_reminders_keep_their_legend_and_claim_no_cause(rich, page, markup_of, monkeypatch):
    monkeypatch.setitem(
        fake_metrics.RULES,
        "reminded_rate",
        ("Reminded", "percent", "higher", "no_show", fake_metrics.Rule(pl.col("done").sum(), pl.len())),
    )
    monkeypatch.setattr(fake_reader, "DIMENSIONS", (*fake_reader.DIMENSIONS, "reminder_channel"))
    rich.visits = rich.visits.with_columns(
        reminder_channel=pl.when(pl.col("lead_time_days") > 7).then(pl.lit("text")).otherwise(pl.lit("none"))
    )
    html = markup_of(page("no_show", section="reminders", period="2026-07-01_2026-09-30"))
    legend = html.split("No-shows by how the last reminder was sent")[1].split("</p>")[0]
    assert "Q3 2026; in colour: worse than all together" in legend
    assert "does not show that reminders work" in html


def test_the_mix_at_unchanged_rates_claims_no_cause_and_says_when_the_rates_still_settle(
    rich, page, markup_of, monkeypatch
):
    monkeypatch.setitem(fake_metrics.MATURES, "collected_amount", (120, "money"))
    young = markup_of(page("payer_mix", section="effect", period="2026-10-01_2026-10-31"))
    old = markup_of(page("payer_mix", section="effect", period="2026-03-01_2026-03-31"))
    for html in (young, old):
        assert "A calculation at unchanged rates" in html
    assert "Rates of September 2026: still settling" in young
    assert "Rates of" not in old


@pytest.mark.parametrize(("cases", "tone"), [(29, ""), (30, "bad")])
def test_a_mean_without_a_base_is_judged_by_the_volume_of_its_scorecard(source, cases, tone):
    view = states.parse({"period": "2026-07-01_2026-07-31"}, source.as_of)
    level = Level(noun="provider", dimension="provider")
    months = [
        {MEMBER: "elm-1", "metric_time": date(2026, month, 1), "cycle_time_minutes": 40.0} for month in range(1, 7)
    ]
    period = [{MEMBER: "elm-1", "cycle_time_minutes": 90.0, "encounters": cases}]
    card = scorecard.scorecard(
        source,
        view,
        level,
        ["cycle_time_minutes", "encounters"],
        {},
        answers=Answers(period=period, months=months),
        volume="encounters",
        most=5,
    )
    assert card.columns[0].cells[0].tone == tone


@pytest.mark.parametrize(("usual", "tone"), [(9, ""), (40, "bad")])
def test_a_member_that_stopped_is_news_where_there_usually_are_many(source, usual, tone):
    view = states.parse({"period": "2026-07-01_2026-07-31"}, source.as_of)
    months = [{MEMBER: "elm-1", "metric_time": date(2026, month, 1), "encounters": usual} for month in range(1, 7)]
    card = scorecard.scorecard(
        source,
        view,
        Level(noun="provider", dimension="provider"),
        ["encounters"],
        {},
        answers=Answers(period=[{MEMBER: "elm-1", "encounters": 2}], months=months),
        volume="encounters",
        most=5,
    )
    assert card.columns[0].cells[0].tone == tone


def test_this_week_is_read_in_one_page(rich, page, markup_of):
    rich.stopped = True
    html = markup_of(page("this_week"))
    assert "could not be drawn" not in html
    assert "Feed remits stopped" in html
    for title in ("Has settled", "Was restated", "Late feeds", "Has a deadline"):
        assert f"<h2>{title}</h2>" in html
    # The last full week before 14 November, a Saturday.
    assert "2 Nov 2026 to 8 Nov 2026" in html
    asked = rich.query(
        week_query := SimpleNamespace(
            metrics=["no_shows"],
            by=[],
            where={},
            date_from=date(2026, 11, 2),
            date_to=date(2026, 11, 8),
            grain=None,
            known_by=None,
            restated=False,
        )
    )["no_shows"][0]
    assert week_query.grain is None
    row = re.search(r'figure=no_shows.*?<td class="num"><b>([0-9,]+)</b>', html, re.S)
    assert row[1] == f"{asked:,}"
