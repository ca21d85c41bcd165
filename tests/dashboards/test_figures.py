"""Figures, breakdowns and rows: what adds up, what is not known, what will still move."""

import gc
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest

from dashboards import blocks, breakdowns, data, figures, findings, markup, maturity, rows
from dashboards import view as states
from dashboards.chance import Verdict
from dashboards.scorecard import usual_months
from dashboards.server import warm
from serving.rows.chosen_columns import chosen_columns


def view_of(source, **params):
    return states.parse(params, source.as_of)


def test_a_period_with_much_still_open_is_not_blamed_for_it(source, reader):
    view = view_of(source, period="last_month")
    found = figures.load(source, view, ["net_collection_rate", "no_show_rate"], trend=False)
    assert found["net_collection_rate"].caution.startswith("Still settling: ")
    assert found["no_show_rate"].caution == ""
    assert list(found) == ["net_collection_rate", "no_show_rate"]


def test_a_settled_period_needs_no_caution(source):
    view = view_of(source, period="2025-07-01_2025-09-30")
    found = figures.load(source, view, ["net_collection_rate", "denial_rate"], trend=False)
    assert [figure.caution for figure in found.values()] == ["", ""]


def test_a_denial_rate_is_not_judged_before_payers_have_answered(source):
    view = view_of(source, period="last_month")
    found = figures.load(source, view, ["denial_rate", "remitted_claims", "claims"])
    rate = found["denial_rate"]
    answered, sent = found["remitted_claims"].value, found["claims"].value
    assert rate.caution == f"Still settling: {answered} of {sent} claims are answered"
    tile = markup.tile(rate)
    assert "cm-none" in tile
    assert "better" not in tile
    assert "worse" not in tile
    assert findings.finding(rate, "Denials").startswith("Denials so far: ")


def test_a_rate_that_has_not_settled_is_compared_with_the_period_before_at_the_same_age(source, visits):
    view = view_of(source, period="last_month")
    rate = figures.load(source, view, ["denial_rate"], trend=False)["denial_rate"]
    age = source.as_of - view.period.end
    before = visits.filter(
        pl.col("appointment_date").is_between(view.compared.start, view.compared.end)
        & (pl.col("answered_date") <= view.compared.end + age)
        & pl.col("answered")
    )
    assert rate.before == pytest.approx(before["denied"].sum() / before.height)
    later = figures.load(source, view.moved(period=view.compared), ["denial_rate"], trend=False)["denial_rate"]
    assert rate.before != later.value
    assert rate.against == f"{view.compared.name} at the same age"
    assert f"against {rate.against}" in markup.tile(rate)


def test_a_figure_without_equal_age_is_not_compared_before_it_has_settled(source):
    view = view_of(source, period="last_month")
    rate = figures.load(source, view, ["net_collection_rate"], trend=False)["net_collection_rate"]
    assert (rate.change.amount, rate.change.words) == ("", maturity.NOT_SETTLED)
    assert "September" not in markup.tile(rate)


@pytest.mark.parametrize(
    ("answered", "sent", "days_ago", "caution"),
    [
        (63, 269, 0, "Still settling: 63 of 269 claims are answered"),
        (810, 832, 31, ""),
        (265, 286, 31, "Still settling: 265 of 286 claims are answered"),
        (265, 286, 60, ""),
        (300, 269, 0, ""),
        (None, None, 0, "Still settling: final 60 days after the period"),
        (0, 0, 59, "Still settling: final 60 days after the period"),
    ],
)
def test_a_figure_ripens_with_age_or_with_answers(source, answered, sent, days_ago, caution):
    metric = source.metrics["denial_rate"]
    end = date(2026, 10, 31)
    values = {"remitted_claims": answered, "claims": sent}
    assert maturity.unripe(metric, end, end + timedelta(days=days_ago), values) == caution


def test_a_rate_says_what_it_was_counted_from(source):
    found = figures.load(source, view_of(source), ["no_show_rate", "no_shows", "expected_appointments", "cancel_rate"])
    missed, expected = found["no_shows"].value, found["expected_appointments"].value
    assert found["no_show_rate"].counted == f"{missed:,} of {expected:,} expected appointments"
    assert found["no_shows"].counted == ""
    assert found["cancel_rate"].counted == ""


def test_a_mean_says_how_many_it_was_counted_from(source):
    wait = replace(source.metrics["no_show_rate"], unit="minutes")
    base = figures.Base(source.metrics["appointments"], 812, 790)
    assert figures.counted(wait, 7.5, base) == "from 812 appointments"
    assert figures.counted(wait, 7.5, base, short=True) == "n = 812"
    few = replace(base, now=12)
    assert figures.judge(wait, 7.5, 30.0, few, settled=[7.0, 7.1] * 6) is Verdict.FEW
    assert figures.judge(wait, 30.0, 7.5, base, settled=[7.0, 7.1] * 6) is Verdict.REAL


def test_only_a_share_of_counted_things_is_held_against_the_whole(source):
    rate = source.metrics["no_show_rate"]
    base = figures.Base(source.metrics["appointments"], 287, 290)
    assert blocks._is_counted_rate(rate, base)
    assert not blocks._is_counted_rate(replace(rate, unit="minutes"), base)
    assert not blocks._is_counted_rate(rate, replace(base, metric=source.metrics["billed_amount"]))


def test_a_member_of_a_level_is_tested_with_its_own_cases(source):
    level = breakdowns.below(source, view_of(source, place="behavioral"), ["no_show_rate"])
    verdicts = {member.name: member.verdict(source, "no_show_rate") for member in level.members}
    assert verdicts["Bayview Clinic"] is Verdict.REAL
    bayview = next(member for member in level.members if member.name == "Bayview Clinic")
    assert bayview.change(source, "no_show_rate", "Q2 2026").tone == "bad"
    moving = bayview.change(source, "no_show_rate", "Q2 2026", moving=True)
    assert (moving.amount, moving.tone) == ("", "none")


def test_months_that_will_still_move_are_the_latest(source):
    metric = source.metrics["net_collection_rate"]
    months = figures.unsettled_months(source, view_of(source), metric, date(2025, 1, 1), date(2026, 10, 31))
    assert date(2026, 10, 1) in months
    assert date(2026, 6, 1) not in months
    final = source.metrics["no_show_rate"]
    assert not figures.unsettled_months(source, view_of(source), final, date(2025, 1, 1), date(2026, 10, 31))


def test_a_metric_that_does_not_know_a_filter_says_so_and_is_not_asked(source, reader):
    definition = source.metrics["no_show_rate"]
    narrow = replace(definition, dimensions=tuple(d for d in definition.dimensions if d != "payer_class"))
    source.__dict__["metrics"] = {**source.metrics, "no_show_rate": narrow}
    asked = reader.asked
    found = figures.load(source, view_of(source, payer="medicaid"), ["no_show_rate"])["no_show_rate"]
    assert (found.value, found.problem) == (None, "Cannot be filtered by payer class")
    assert reader.asked == asked


def test_rows_without_a_unit_are_a_member_of_their_own_at_the_top(source, reader, visits):
    is_lost = pl.col("appointment_id").str.slice(-1) == "7"
    reader.visits = visits.with_columns(pl.when(is_lost).then(pl.lit(data.UNKNOWN)).otherwise("leaf").alias("leaf"))
    tree = reader.tree()
    unknown = tree.head(1).with_columns(
        pl.lit(data.UNKNOWN).alias("service_unit_id"), pl.lit("Not recorded").alias("name")
    )
    reader.tree = lambda: pl.concat([tree, unknown])
    view = view_of(source)
    level = breakdowns.below(source, view, ["appointments"])
    assert "Not recorded" in [member.name for member in level.members]
    whole = figures.load(source, view, ["appointments"], trend=False)["appointments"].value
    assert sum(member.now["appointments"] for member in level.members) == whole
    assert source.root is not None
    assert source.root.id == "org"


@pytest.mark.parametrize("place", [None, "behavioral", "bayview"])
def test_shares_of_each_member_add_up_to_one(source, place):
    view = view_of(source, **({"place": place} if place else {}))
    level = breakdowns.below(source, view, ["billed_amount"])
    crossed = breakdowns.crossed(source, view, level, "payer_mix_billed", "payer_class")
    for member in level.members:
        total = sum(Decimal(str(value)) for (key, _), value in crossed.items() if key == member.id)
        assert abs(total - 1) < Decimal("0.000001")


def test_folding_keeps_the_total(source):
    members = breakdowns.by_dimension(source, view_of(source), ["denied_claims"], "denial_category")
    folded = breakdowns.folded(members, "denied_claims", 4)
    assert len(folded) == 4
    assert folded[-1].name == "All others (5)"
    assert sum(m.now["denied_claims"] for m in folded) == sum(m.now["denied_claims"] for m in members)


def test_rows_show_names_and_leave_out_bookkeeping(source):
    frame = pl.DataFrame(
        {
            "tenant_id": ["harbor"],
            "appointment_id": ["A1"],
            "service_unit_key": ["x"],
            "batch_id": ["b"],
            "source_system": ["pm"],
            "is_no_show": [True],
            "cancelled_at": [None],
            "patient_id": ["0123456789abcdef0123456789abcdef"],
            "billed_amount": [Decimal("12.50")],
            "payer_class": ["medicare_advantage"],
            "provider_id": ["bayview-1"],
            "service_unit_id": ["bayview"],
            "appointment_date": [date(2026, 8, 3)],
        }
    )
    columns, body = rows.columns_and_rows(source, frame, chosen_columns(frame))
    assert [column.title for column in columns] == [
        "Appointment number",
        "Appointment date",
        "Service unit",
        "Provider",
        "Payer class",
        "Billed amount",
        "Patient",
    ]
    cells = body[0].cells
    assert cells[:3] == ("A1", "3 Aug 2026", "Bayview Clinic")
    assert cells[3].startswith("Dr. ")
    assert cells[4:] == ("Medicare Advantage", Decimal("12.50"), "0123456789")


def test_warming_asks_what_the_first_page_asks(source, reader):
    warm.questions(source)
    asked = reader.asked
    assert asked > 5
    view = view_of(source)
    figures.load(source, view, [])
    breakdowns.below(source, view, ("encounters",))
    warm.questions(source)
    assert reader.asked == asked + 2


def test_what_was_made_until_the_pages_are_warm_is_left_out_of_collections(monkeypatch):
    monkeypatch.setattr(warm.served_home, "tenants", tuple)
    gc.unfreeze()
    try:
        warm._warm()
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.freeze()


def test_months_without_a_row_are_zero_of_a_count_and_unknown_of_a_rate(source, monkeypatch):
    months = [date(2026, month, 1) for month in range(5, 11)]
    seen = {months[1]: 3, months[3]: 2}

    def query(metrics, **_):
        return pl.DataFrame({"metric_time": list(seen), **{name: list(seen.values()) for name in metrics}})

    monkeypatch.setattr(source, "query", query)
    view = states.parse({}, source.as_of)
    found = figures.monthly(source, view, ["no_shows", "no_show_rate"], months[0], months[-1])
    assert [value for _, value in found["no_shows"]] == [None, 3, 0, 2, 0, 0]
    assert [value for _, value in found["no_show_rate"]] == [None, 3, None, 2, None, None]


def test_a_month_that_is_hidden_from_a_person_is_not_drawn_as_zero(source):
    """A month of few appointments: an executive sees a gap where there is a figure."""
    view = states.parse({"place": "imaging"}, source.as_of)
    first, last = date(2025, 6, 1), date(2026, 9, 30)
    every = dict(figures.monthly(source, view, ["no_shows"], first, last)["no_shows"])
    appointments = sorted(
        value for _, value in figures.monthly(source, view, ["appointments"], first, last)["appointments"]
    )
    source.reader.smallest_cell = appointments[len(appointments) // 2]
    source.reader.scope_hash = "few".ljust(64, "0")
    held = dict(
        figures.monthly(data.Source(source.reader, source.principal), view, ["no_shows"], first, last)["no_shows"]
    )
    hidden = [month for month, value in held.items() if value is None]
    assert hidden
    assert any(every[month] for month in hidden)
    assert all(value in (None, every[month]) for month, value in held.items())


@pytest.mark.parametrize(("zeros", "usual"), [(True, [9.0, 0.0, 9.0]), (False, [9.0, 9.0])])
def test_months_before_the_period_are_zero_only_where_nothing_is_hidden(source, zeros, usual):
    view = states.parse({"period": "2026-05-01_2026-05-31"}, source.as_of)
    history = {date(2026, 2, 1): 9, date(2026, 3, 1): None, date(2026, 4, 1): 9}
    assert usual_months(view, history, zeros=zeros) == usual
