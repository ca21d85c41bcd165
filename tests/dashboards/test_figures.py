"""Figures, breakdowns and rows: what adds up, what is not known, what will still move."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from dashboards import breakdowns, data, figures, rows
from dashboards import view as states
from dashboards.server import warm


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
    open_part = figures.load(source, view, ["open_balance", "billed_amount"], trend=False)
    share = open_part["open_balance"].value / open_part["billed_amount"].value
    found = figures.load(source, view, ["net_collection_rate"], trend=False)["net_collection_rate"]
    assert bool(found.caution) == (share >= figures.SETTLED and share > _share_before(open_part))


def _share_before(found):
    return found["open_balance"].before / found["billed_amount"].before


def test_months_that_will_still_move_are_the_latest(source):
    months = figures.unsettled_months(source, view_of(source), date(2025, 1, 1), date(2026, 10, 31))
    assert date(2026, 10, 1) in months


def test_a_metric_that_does_not_know_a_filter_says_so_and_is_not_asked(source, reader):
    definition = source.metrics["no_show_rate"]
    narrow = replace(definition, dimensions=tuple(d for d in definition.dimensions if d != "payer_class"))
    source.__dict__["metrics"] = {**source.metrics, "no_show_rate": narrow}
    asked = reader.asked
    found = figures.load(source, view_of(source, payer="medicaid"), ["no_show_rate"])["no_show_rate"]
    assert (found.value, found.problem) == (None, "Not split by payer class")
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
    columns, body = rows.columns_and_rows(source, frame)
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
