"""Revenue cycle: parts that add up, flows and triangles whose cells are the reader's figures, each section drawn and asked alone."""

import itertools
import re
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards import filters
from dashboards import format as fmt
from dashboards import period as periods
from dashboards import view as states
from dashboards.drawings.columns import Amount, Bin, Marker, histogram, pareto
from dashboards.figures import Figure
from dashboards.pages.revenue_cycle import money, receivables, speed, triangle
from dashboards.pages.revenue_cycle import page as sections_of_page
from serving.model import MetricDefinition, MetricQuery
from tests.dashboards import fake_metrics, fake_reader

D = Decimal
CENTS = st.decimals(min_value=-10_000, max_value=1_000_000, places=4)
BRIDGE = ("contractual_amount", "denial_written_off_amount", "open_balance", "payer_paid_amount", "patient_paid_amount")


def figure(name, value):
    metric = MetricDefinition(
        name=name, label=name, description="", unit="usd", direction="neutral", module="revenue_cycle"
    )
    return Figure(metric=metric, value=value, before=None, against="")


def reached(bars):
    """Where each bar ends; a total begins at zero."""
    ends, at = [], D(0)
    for bar in bars:
        at = bar.part if bar.kind == "total" else at + bar.part
        ends.append(at)
    return ends


@given(st.fixed_dictionaries(dict.fromkeys((*BRIDGE, "other_written_off_amount"), CENTS)), st.booleans())
def test_the_bridge_leads_from_billed_to_collected_to_the_last_digit(amounts, is_old):
    collected = amounts["payer_paid_amount"] + amounts["patient_paid_amount"]
    billed = sum(amounts.values(), D(0))
    loaded = {name: figure(name, value) for name, value in amounts.items()}
    loaded |= {
        "billed_amount": figure("billed_amount", billed),
        "collected_amount": figure("collected_amount", collected),
    }
    if is_old:
        del loaded["other_written_off_amount"]
    bars = money.bridge(loaded)
    names = [bar.label for bar in bars]
    ends = dict(zip(names, reached(bars), strict=True))
    before = names[names.index("Collected") - 1]
    assert ends[before] == ends["Collected"] == ends["By patients"] == collected
    others = [bar for bar in bars if bar.label == "Other write-offs"]
    assert sum((bar.part for bar in others), D(0)) == -amounts["other_written_off_amount"]
    # What no metric counts leads nowhere; every other bar opens the passport of its metric.
    assert {bar.member for bar in bars if not bar.member} == ({""} if is_old and others else set())


def test_a_bridge_with_a_hidden_part_is_not_drawn():
    loaded = {name: figure(name, D(1)) for name in (*BRIDGE, "billed_amount", "collected_amount")}
    loaded["open_balance"] = figure("open_balance", None)
    assert money.bridge(loaded) == []


def test_a_roll_rate_is_a_bucket_over_the_bucket_before_it_a_month_earlier():
    buckets = ["0-30", "31-60", "121+"]
    by_month = {
        date(2026, 7, 1): {"0-30": D(200), "31-60": D(100), "121+": D(50)},
        date(2026, 8, 1): {"0-30": D(300), "31-60": D(80), "121+": D(75)},
        date(2026, 10, 1): {"0-30": D(10)},
    }
    # 80 of 200 moved on; 25 more than before are in the last bucket, of 100. September has no balance, so October has no rate.
    assert receivables.roll_rates(by_month, buckets) == [(date(2026, 8, 1), [D("0.4"), D("0.25")])]


def test_the_hover_of_a_roll_rate_says_what_the_cell_is_of():
    by_month = {
        date(2026, 7, 1): {"0-30": D(300), "31-60": D(100), "121+": D(50)},
        date(2026, 8, 1): {"31-60": D(100), "121+": D(75)},
    }

    def note(pair, share, is_last):
        return receivables.flow_cell("receivables", date(2026, 8, 1), pair, share, by_month, D(1), is_last=is_last).note

    # A third has no end as a decimal number: the words come from the amounts and not from the share.
    assert note(("0-30", "31-60"), D(100) / D(300), False) == (
        "$100.00 31 to 60 days at the end of Aug 2026; $300.00 0 to 30 days a month before"
    )
    assert note(("31-60", "121+"), D("0.25"), True) == (
        "$75.00 over 120 days at the end of Aug 2026, $25.00 more than a month before ($50.00); $100.00 31 to 60 days a month before"
    )


@given(st.lists(CENTS.filter(lambda amount: amount > 0), min_size=6, max_size=6))
def test_only_the_oldest_bucket_says_how_much_it_grew(amounts):
    buckets = ["0-30", "31-60", "121+"]
    months = (date(2026, 7, 1), date(2026, 8, 1))
    by_month = {
        month: dict(zip(buckets, values, strict=True))
        for month, values in zip(months, (amounts[:3], amounts[3:]), strict=True)
    }
    ((_, shares),) = receivables.roll_rates(by_month, buckets)
    for pair, share in zip(itertools.pairwise(buckets), shares, strict=True):
        is_last = pair[1] == buckets[-1]
        cell = receivables.flow_cell("receivables", months[1], pair, share, by_month, D(1), is_last=is_last)
        assert ("more than a month before" in cell.note) == (is_last and share is not None)


BALANCES = st.dictionaries(st.sampled_from(["0-30", "31-60", "61-90"]), st.decimals(0, 10_000, places=2))


@given(st.lists(BALANCES, min_size=2, max_size=6))
def test_roll_rates_give_the_balances_back(months):
    buckets = ["0-30", "31-60", "61-90"]
    by_month = {date(2026, place + 1, 1): balances for place, balances in enumerate(months)}
    rows = receivables.roll_rates(by_month, buckets)
    assert len(rows) == len(months) - 1
    for month, shares in rows:
        earlier = by_month[month.replace(month=month.month - 1)]
        if shares[0] is not None:
            assert round(shares[0] * earlier["0-30"], 2) == by_month[month].get("31-60", D(0))


def test_a_triangle_adds_up_to_what_came_in_and_ends_where_the_data_end():
    received = {"0": D(100), "1": D(300), "2": D(50), "9": D(7)}
    cells = triangle.cells(date(2026, 7, 1), received, D(1000), date(2026, 9, 15), is_settled=True)
    assert [cell.value for cell in cells] == [D("0.1"), D("0.4"), D("0.45"), None, None, None, None]
    assert [cell.is_moving for cell in cells[:3]] == [False, False, True]
    assert "months_after_service=0&months_after_service=1" in cells[1].action
    assert "month=2026-07" in cells[1].action
    assert cells[1].note == "$400.00 of $1,000.00; $300.00 of it in Aug 2026"
    assert cells[2].note.endswith("; may still change")


def test_a_month_of_service_that_has_not_settled_is_grey_at_every_age():
    cells = triangle.cells(date(2026, 7, 1), {"0": D(100)}, D(1000), date(2026, 9, 30), is_settled=False)
    assert [cell.is_moving for cell in cells[:3]] == [True, True, True]
    assert all(cell.note.endswith("; may still change") for cell in cells[:3])


@given(st.dates(date(2026, 1, 1), date(2027, 12, 31)), st.dates(date(2026, 1, 1), date(2027, 12, 31)))
def test_only_months_whose_last_day_has_data_are_month_ends(start, as_of):
    months = periods.ended_months(start, date(2027, 12, 31), as_of)
    assert all(periods.month_end(month) <= as_of for month in months)
    later = set(periods.months_of(start, date(2027, 12, 31))) - set(months)
    assert all(periods.month_end(month) > as_of for month in later)


def test_a_pareto_ends_at_the_whole_and_its_marks_are_buttons():
    bars = [
        Amount(name=f"<{place}>", amount=D(amount), action=f"figure:x?carc={place}")
        for place, amount in enumerate((60, 30))
    ]
    html = str(pareto(bars, D(100), "usd"))
    assert "<0>" not in html
    assert re.findall(r'height:([0-9.]+)%"', html) == ["60.00", "30.00"]
    assert re.findall(r">([0-9]+) %</em>", html) == ["60", "90"]
    assert html.count("<button") == 2


def test_a_distribution_draws_its_bands_against_the_largest_and_its_markers_across():
    html = str(
        histogram(
            [Bin(name="0", count=10, action="a"), Bin(name="1", count=40), Bin(name="2+", count=0, action="b")],
            [Marker(name="median 1.2 days", place=0.4)],
            "claim",
        )
    )
    assert re.findall(r'height:([0-9.]+)%"', html) == ["25.00", "100.00", "0.00"]
    assert 'left:40.00%"><span>median 1.2 days' in html
    assert "0: 10 claims (20.0" in html
    assert html.count("<button") == 1


@pytest.mark.parametrize("item", [speed.CHARGE_LAG, speed.PAYER_LAG], ids=lambda item: item.dimension)
def test_bands_are_of_equal_width_and_the_last_is_open(item):
    names = speed.band_names(item)
    assert len(names) == item.bands
    starts = [int(name.split()[0]) for name in names]
    assert {later - earlier for earlier, later in itertools.pairwise(starts)} == {item.days_a_band}
    assert names[-1].endswith(" and more")


def _of_denied(column):
    return pl.col(column).filter(pl.col("denied")).sum()


@pytest.fixture
def rich(reader, monkeypatch):
    """The fake reader with the metrics of all sections."""
    rule = fake_metrics.Rule
    more = {
        "collected_amount": ("Collected", "usd", rule(pl.col("paid").sum() + pl.col("patient_paid").sum())),
        "contractual_amount": ("Contractual", "usd", rule(pl.col("adjusted").sum())),
        "denial_written_off_amount": ("Written off for denials", "usd", rule(pl.lit(D(0)))),
        "overturned_billed_amount": ("Billed on overturned denials", "usd", rule(_of_denied("paid"))),
        "denial_overturn_rate": (
            "Denial overturn rate",
            "percent",
            rule(pl.col("denied").sum() * 0, pl.col("denied").sum()),
        ),
        "receivables": ("Receivables", "usd", rule(pl.col("open").sum())),
        "net_billed_amount": (
            "Billed less contractual",
            "usd",
            rule(pl.col("billed").sum() - pl.col("adjusted").sum()),
        ),
        "received_by_service_amount": ("Received", "usd", rule(pl.col("paid").sum() + pl.col("patient_paid").sum())),
        "charge_lines": ("Charge lines", "count", rule(pl.col("done").sum())),
        "charge_lag_days_median": ("Charge lag (median)", "days", rule(pl.col("lead_time_days").sum(), pl.len())),
        "decided_claims": ("Claims decided", "count", rule(pl.col("answered").sum())),
        "payer_lag_days": ("Payer lag", "days", rule(pl.col("lead_time_days").sum(), pl.len())),
        "underpaid_amount": ("Underpaid", "usd", rule(pl.col("open").sum())),
        "takeback_amount": ("Taken back", "usd", rule(pl.col("open").sum())),
    }
    more["diagnoses_outside_icd10"] = ("Diagnoses outside ICD-10-CM", "count", rule(pl.col("denied").sum()))
    for name, (label, unit, made) in more.items():
        monkeypatch.setitem(fake_metrics.RULES, name, (label, unit, "lower", "revenue_cycle", made))
    monkeypatch.setattr(
        fake_reader,
        "DIMENSIONS",
        (
            *fake_reader.DIMENSIONS,
            "carc",
            "charge_lag_band",
            "payer_lag_band",
            "months_after_service",
            "diagnosis_chapter",
        ),
    )
    days = pl.col("lead_time_days").cast(pl.Int64)
    reader.visits = reader.visits.with_columns(
        carc=pl.when(pl.col("denied"))
        .then(pl.lit("CO-") + pl.col("denial_category").str.len_chars().cast(pl.String))
        .otherwise(pl.lit("not_denied")),
        denial_category=pl.col("denial_category").fill_null("not_denied"),
        charge_lag_band=pl.when(days > 14).then(pl.lit("15 and more")).otherwise(days.cast(pl.String)),
        payer_lag_band=pl.when(days > 59)
        .then(pl.lit("60 and more"))
        .otherwise((days // 5 * 5).cast(pl.String) + " to " + (days // 5 * 5 + 4).cast(pl.String)),
        diagnosis_chapter=pl.when(days % 3 == 0)
        .then(pl.lit("I00-I99 Circulatory system"))
        .otherwise(pl.lit("not stated")),
        months_after_service=(pl.col("hour_of_day") % 4).cast(pl.String),
    )
    reader.scope_hash = "rich".ljust(64, "0")
    return reader


SECTIONS = {
    "money": ("From billed to collected", "How fast a month of service is collected"),
    "denials": ("Reasons by money", "What was overturned, and what is denied still", "Denials by diagnosis"),
    "receivables": ("How old the open balance is", "What moves on instead of being paid"),
    "speed": ("Days from service to charge entry", "Right the first time"),
    "payers": ("Payers, and which have drifted", "Who pays below the contract"),
}


@pytest.mark.parametrize("key", SECTIONS)
def test_a_section_is_drawn_where_the_address_names_it_and_no_other(rich, page, markup_of, key):
    test = page("revenue_cycle", section=key)
    html = markup_of(test)
    assert not test.exception
    assert "could not be drawn" not in html
    for title in SECTIONS[key]:
        assert f"<h2>{title}</h2>" in html
    for other in set(SECTIONS) - {key}:
        assert f"<h2>{SECTIONS[other][0]}</h2>" not in html
    assert html.count("cm-tab cm-here") == 1


@pytest.mark.parametrize("key", SECTIONS)
@pytest.mark.parametrize("smallest", [1, 40, 100_000])
@pytest.mark.parametrize(
    "params", [{"place": "bayview"}, {"payer": "medicaid"}, {"period": "2030-01-01_2030-02-01"}], ids=str
)
def test_a_section_stands_any_view_and_few_people(rich, page, markup_of, key, smallest, params):
    rich.smallest_cell = smallest
    test = page("revenue_cycle", section=key, **params)
    assert not test.exception
    assert "could not be drawn" not in markup_of(test)


def test_the_figures_of_the_sections_are_those_of_their_passports(rich, page, markup_of):
    units = {metric.name: metric.unit for metric in rich.metrics()}
    checked = 0
    for key in SECTIONS:
        # Cells of a triangle and of flows are shares of two figures: their passports have the money.
        html = re.sub(
            r'<table class="cm-heat">.*?</table>', "", markup_of(page("revenue_cycle", section=key)), flags=re.S
        )
        for action, text in re.findall(r'class="cm-open" data-do="figure:([^"]+)">([^<]+)<', html):
            if "_band=" in action:
                # The name of a band may be a number; it is no figure.
                continue
            name, _, at = action.replace("&amp;", "&").partition("?")
            view = states.moved_by(states.parse({}, rich.data_as_of), at)
            asked = MetricQuery(
                metrics=[name], where=filters.chosen(view), date_from=view.period.start, date_to=view.period.end
            )
            value = rich.query(asked)[name][0]
            if re.fullmatch(r"-?[$]?[0-9.,]+(\u00a0[A-Za-z%]+)?", text):
                assert text in (fmt.short(value, units[name]), fmt.exact(value, units[name])), (key, action)
                checked += 1
    assert checked > 40


def test_denials_by_diagnosis_are_shown_only_where_a_claim_states_one(rich, page, markup_of):
    html = markup_of(page("revenue_cycle", section="denials"))
    table = html.split("Denials by diagnosis")[1]
    assert "I00-I99 Circulatory system" in table
    assert "figure:denial_rate?" in table
    assert "diagnosis_chapter=I00-I99" in table
    assert "figure:diagnoses_outside_icd10?" in table.split("<h2>Codes of diagnoses")[1]
    assert "Link(" not in table
    rich.visits = rich.visits.with_columns(diagnosis_chapter=pl.lit("not stated"))
    rich.scope_hash = "no diagnoses".ljust(64, "0")
    assert "Denials by diagnosis" not in markup_of(page("revenue_cycle", section="denials"))


@pytest.mark.parametrize("last_day", ["30", "07"])
def test_a_month_that_runs_has_no_month_end_and_is_marked_among_months_of_service(rich, page, markup_of, last_day):
    # The data reach 14 November 2026.
    running = {"period": f"2026-11-01_2026-11-{last_day}"}
    html = markup_of(page("revenue_cycle", section="receivables", **running))
    ageing = html.split("How old the open balance is")[1].split("Days in receivables")[0]
    assert "a month that still runs is left out" in ageing
    assert "Oct 2026" in ageing
    assert "Nov 2026" not in ageing
    months = markup_of(page("revenue_cycle", **running)).split("By month of service")[1]
    assert f"month is not over: data reach {fmt.day(rich.data_as_of)}" in months
    assert "Nov 2026, not over" in months
    assert "Oct 2026, not over" not in months
    before = markup_of(page("revenue_cycle", period="2026-10-01_2026-10-31"))
    assert ", not over" not in before


def test_the_triangle_of_a_month_that_payers_still_answer_is_grey(rich, page, markup_of, monkeypatch):
    monkeypatch.setitem(fake_metrics.MATURES, "received_by_service_amount", (120, "money"))
    html = markup_of(page("revenue_cycle", period="2026-08-01_2026-10-31"))
    triangle_of = html.split("How fast a month of service is collected")[1]
    rows = dict(re.findall(r'<tr><th scope="row">([A-Z][a-z]{2} [0-9]{4})</th>(.*?)</tr>', triangle_of))
    assert "cm-moving" in rows["Sep 2026"].split("</td>")[1]
    assert "cm-moving" not in rows["Jan 2026"]


def test_distributions_and_denials_of_a_young_period_say_that_they_may_change(rich, page, markup_of, monkeypatch):
    for name in ("decided_claims", "denial_overturn_rate", "denied_billed_amount"):
        monkeypatch.setitem(fake_metrics.MATURES, name, (60, "answers"))
    young, old = "2026-10-01_2026-10-31", "2026-03-01_2026-03-31"
    for section, title in (
        ("speed", "Days from submission to the payer's decision"),
        ("denials", "Reasons by money"),
        ("denials", "What was overturned, and what is denied still"),
    ):
        said = {}
        for period in (young, old):
            html = markup_of(page("revenue_cycle", section=section, period=period)).replace("&#39;", "'")
            said[period] = html.split(f"<h2>{title}</h2>")[1].split("</p>")[0]
        assert "Still settling" in said[young], title
        assert "October 2026" in said[young], title
        assert "Still settling" not in said[old], title


def test_the_same_figures_are_asked_once(rich, page, monkeypatch):
    questions = []
    query = fake_reader.FakeReader.query

    def kept(self, asked):
        questions.append(
            (tuple(asked.metrics), tuple(asked.by), asked.grain, str(asked.where), asked.date_from, asked.date_to)
        )
        return query(self, asked)

    monkeypatch.setattr(fake_reader.FakeReader, "query", kept)
    page("revenue_cycle")
    once = [question for question in questions if "billed_amount" in question[0] and not question[1]]
    # The period and the comparison, and thirteen months for the tiles, for the chart by month of service, and for what has settled.
    assert len(once) <= 5


def test_a_pareto_of_denials_is_of_all_denied_money_where_some_reasons_are_hidden(rich, page, markup_of):
    def shares():
        html = markup_of(page("revenue_cycle", section="denials", period="last_month"))
        return re.findall(r">([0-9]+) %</em>", html)

    every = shares()
    assert every[-1] == "100"
    rich.smallest_cell = 3
    rich.scope_hash = "some".ljust(64, "0")
    some = shares()
    assert 0 < len(some) < len(every)
    assert some == every[: len(some)]


def test_a_bridge_that_cannot_be_drawn_names_the_part_that_is_hidden(rich, page, markup_of, monkeypatch):
    query = fake_reader.FakeReader.query

    def without_write_offs(self, asked):
        frame = query(self, asked)
        hidden = [pl.lit(None).alias(name) for name in frame.columns if name == "denial_written_off_amount"]
        return frame.with_columns(hidden) if self.smallest_cell > 1 else frame

    def top():
        return markup_of(page("revenue_cycle", section="money")).split("By month of service")[0]

    monkeypatch.setattr(fake_reader.FakeReader, "query", without_write_offs)
    label = fake_metrics.RULES["denial_written_off_amount"][0]
    assert "Hidden here" not in top()
    rich.smallest_cell = 3
    rich.scope_hash = "hidden part".ljust(64, "0")
    assert f"Hidden here: {label}. The drawing needs every part." in top()


def test_a_page_move_asks_for_the_first_section_alone(rich, page):
    page("revenue_cycle")
    first = rich.asked
    asked_by = {}
    for key in SECTIONS:
        rich.asked = 0
        rich.scope_hash = key.ljust(64, "0")
        page("revenue_cycle", section=key)
        asked_by[key] = rich.asked
    assert first <= 20
    assert max(asked_by.values()) <= 36


def test_sections_that_nobody_granted_have_no_tab(page, markup_of):
    html = markup_of(page("revenue_cycle"))
    tabs = re.findall(r'class="cm-tab[^>]*>([^<]+)<', html)
    assert tabs == ["Billed to collected", "Denials", "Receivables", "Payers"]
    assert {section.key for section in sections_of_page.SECTIONS} == set(SECTIONS)
