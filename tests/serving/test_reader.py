"""Figures through the reader: what a question answers, and what a person may not ask."""

from datetime import date
from decimal import Decimal

import pytest

from foundation.errors import AccessError, ConfigurationError
from serving.model import MetricQuery, NothingPublished
from serving.reader import open_reader


def ask(reader, *metrics, **options):
    """The rows of an answer."""
    return reader.query(MetricQuery(metrics=list(metrics), **options)).rows(named=True)


def one(reader, metric, **options):
    """The single figure of a question without dimensions."""
    rows = ask(reader, metric, **options)
    assert len(rows) == 1
    return rows[0][metric]


# Figures


def test_a_count_a_sum_a_mean_and_a_distinct_count_are_those_of_the_rows(reader):
    harbor = reader("admin@harbor")
    assert one(harbor, "visits") == 270
    assert one(harbor, "billed_amount") == Decimal("12030.0000")
    assert one(harbor, "people") == 9
    assert one(harbor, "cycle_minutes") == pytest.approx(12.0)


def test_money_is_decimal_and_counts_are_integers(reader):
    frame = reader("admin@harbor").query(MetricQuery(metrics=["billed_amount", "visits"]))
    assert frame.schema["billed_amount"].is_decimal()
    assert frame.schema["visits"].is_integer()


def test_the_columns_are_time_then_dimensions_with_names_then_metrics(reader):
    frame = reader("admin@harbor").query(
        MetricQuery(metrics=["visits", "billed_amount"], by=["provider", "payer_class"], grain="month")
    )
    assert frame.columns == [
        "metric_time",
        "provider",
        "provider_name",
        "payer_class",
        "visits",
        "billed_amount",
    ]
    assert frame["metric_time"][0] == date(2026, 1, 1)
    assert frame["provider_name"][0] == "harbor doctor p1"


def test_every_breakdown_sums_to_the_total(reader):
    harbor = reader("admin@harbor")
    for name in ("service_unit", "level_2", "provider", "payer_class", "hour_of_day"):
        rows = ask(harbor, "visits", by=[name])
        assert sum(row["visits"] for row in rows) == 270, name
    assert sum(row["visits"] for row in ask(harbor, "visits", grain="week")) == 270


def test_metrics_of_several_facts_meet_on_their_dimensions_and_a_missing_count_is_nought(reader):
    rows = {
        row["service_unit"]: row for row in ask(reader("admin@harbor"), "visits", "billed_amount", by=["service_unit"])
    }
    assert rows["east"] == {
        "service_unit": "east",
        "service_unit_name": "Harbor Health east",
        "visits": 60,
        "billed_amount": Decimal(0),
    }
    assert rows["lab"]["billed_amount"] == Decimal("4010.0000")


def test_a_ratio_without_denominator_is_null_and_not_nought(reader):
    harbor = reader("admin@harbor")
    in_april = {"date_from": date(2026, 4, 1), "date_to": date(2026, 4, 30)}
    assert one(harbor, "visits", **in_april) == 0
    assert one(harbor, "billed_per_visit", **in_april) is None
    assert one(harbor, "cycle_minutes", **in_april) is None


def test_a_ratio_of_two_facts_is_asked_by_a_dimension_that_each_calls_differently(reader):
    harbor = reader("admin@harbor")
    for row in ask(harbor, "billed_per_visit", by=["payer_class"]):
        where = {"payer_class": row["payer_class"]}
        visits, billed = one(harbor, "visits", where=where), one(harbor, "billed_amount", where=where)
        if visits:
            assert row["billed_per_visit"] == pytest.approx(float(billed) / visits)
        else:
            assert row["billed_per_visit"] is None
    assert one(harbor, "billed_per_visit") == pytest.approx(12030 / 270)


def test_the_period_is_inclusive_and_everything_by_default(reader):
    harbor = reader("admin@harbor")
    assert one(harbor, "billed_amount", date_from=date(2026, 1, 1), date_to=date(2026, 1, 1)) == Decimal("200.5000")
    assert one(harbor, "billed_amount", date_from=date(2026, 1, 2)) == Decimal("11829.5000")


def test_a_figure_as_it_stood_on_an_earlier_day_counts_what_was_known_by_then(reader):
    harbor = reader("admin@harbor")
    # Charge i of 120 was served on day i % 60, decided i % 40 days later, and denied where 4 divides i.
    served = [i for i in range(120) if i % 4 == 0 and i % 60 < 31]
    january = {"date_from": date(2026, 1, 1), "date_to": date(2026, 1, 31)}
    assert one(harbor, "denied_charges", **january) == len(served)
    known = [i for i in served if i % 60 + i % 40 <= 30]
    assert one(harbor, "denied_charges", **january, known_by=date(2026, 1, 31)) == len(known)
    assert 0 < len(known) < len(served)


def test_a_metric_without_the_day_it_was_known_has_no_earlier_figure(reader):
    with pytest.raises(ConfigurationError, match="billed_amount does not keep the day"):
        ask(reader("admin@harbor"), "billed_amount", known_by=date(2026, 1, 31))


def test_a_balance_is_that_of_the_last_day_of_each_period_also_for_who_has_none_then(reader):
    harbor = reader("admin@harbor")
    assert one(harbor, "open_balance") == Decimal(60)
    assert one(harbor, "open_balance", where={"payer": "aetna"}) is None
    assert one(harbor, "open_balance", where={"payer": "aetna"}, date_to=date(2026, 2, 1)) == Decimal(20)
    by_month = ask(harbor, "open_balance", grain="month")
    assert [row["open_balance"] for row in by_month] == [Decimal(40), Decimal(40), Decimal(60)]
    assert [row["open_balance"] for row in ask(harbor, "open_balance", grain="quarter")] == [Decimal(60)]


def test_shares_add_up_to_one_within_what_they_are_not_shares_over(reader):
    harbor = reader("admin@harbor")
    rows = ask(harbor, "payer_mix_billed", by=["payer"], grain="month")
    for month in {row["metric_time"] for row in rows}:
        assert sum(row["payer_mix_billed"] for row in rows if row["metric_time"] == month) == pytest.approx(1.0)
    one_class = ask(harbor, "payer_mix_billed", where={"payer_class": "medicare"})
    assert one_class[0]["payer_mix_billed"] == pytest.approx(0.25)


def test_order_and_limit_are_as_asked(reader):
    rows = ask(reader("admin@harbor"), "visits", by=["service_unit"], order_by=["-visits", "service_unit"], limit=2)
    assert len(rows) == 2
    assert rows[0]["visits"] >= rows[1]["visits"]


# Service units


def test_a_unit_in_the_filter_stands_for_itself_and_all_below_it(reader):
    harbor = reader("admin@harbor")
    units = {row["service_unit"]: row["visits"] for row in ask(harbor, "visits", by=["service_unit"])}
    assert one(harbor, "visits", where={"service_unit": "east"}) == units["east"] + units["imaging"] + units["lab"]
    assert one(harbor, "visits", where={"service_unit": ["lab", "west"]}) == units["lab"] + units["west"]


def test_the_children_of_a_unit_sum_to_it_with_what_lies_on_the_unit_itself(reader):
    harbor = reader("admin@harbor")
    rows = ask(harbor, "visits", by=["service_unit_children"], where={"service_unit": "east"})
    assert [row["service_unit_children"] for row in rows] == ["east", "imaging", "lab"]
    assert rows[1]["service_unit_children_name"] == "Harbor Health imaging"
    assert sum(row["visits"] for row in rows) == one(harbor, "visits", where={"service_unit": "east"})


def test_without_a_unit_the_children_are_the_top_of_what_is_seen(reader):
    assert [
        row["service_unit_children"] for row in ask(reader("admin@harbor"), "visits", by=["service_unit_children"])
    ] == [
        "group",
        "unknown",
    ]
    # West and lab lie at different depths of the tree.
    rows = ask(reader("two@harbor"), "visits", by=["service_unit_children"])
    assert {row["service_unit_children"] for row in rows} == {"west", "lab"}


def test_the_tree_holds_what_is_in_scope(reader):
    assert reader("east@harbor").tree()["service_unit_id"].to_list() == ["east", "imaging", "lab"]
    assert reader("admin@harbor").tree().columns == [
        "service_unit_id",
        "parent_service_unit_id",
        "name",
        "unit_type",
        "depth",
    ]


# Values and mistakes


def test_values_never_become_sql(reader):
    harbor = reader("admin@harbor")
    for value in ("x' or '1'='1", "'; drop table fct_visits; --", "{{ Metric('visits') }}", "$w0"):
        assert one(harbor, "visits", where={"payer_class": value}) == 0
        with pytest.raises(AccessError):
            ask(harbor, "visits", where={"service_unit": value})
    assert one(harbor, "visits") == 270


@pytest.mark.parametrize(
    "name", ["payer_clas", "payer_class'", "1; select 1", "patient_id", "patient", "visit", "visit_id"]
)
def test_what_is_no_dimension_is_refused_and_people_and_records_are_none(reader, name):
    with pytest.raises(ConfigurationError):
        ask(reader("admin@harbor"), "visits", by=[name])
    with pytest.raises(ConfigurationError):
        ask(reader("admin@harbor"), "visits", where={name: "x"})


def test_an_unknown_name_is_answered_with_close_ones(reader):
    with pytest.raises(ConfigurationError, match="similar names: visits"):
        ask(reader("admin@harbor"), "visit")
    with pytest.raises(ConfigurationError, match="payer_class"):
        ask(reader("admin@harbor"), "visits", by=["payer_clas"])


def test_a_question_that_cannot_be_is_refused_before_it_is_asked():
    with pytest.raises(ConfigurationError):
        MetricQuery(metrics=[])
    with pytest.raises(ConfigurationError):
        MetricQuery(metrics=["visits"], grain="fortnight")
    with pytest.raises(ConfigurationError):
        MetricQuery(metrics=["visits"], date_from=date(2026, 2, 1), date_to=date(2026, 1, 1))


def test_dimension_values_bring_names_and_parents(reader):
    harbor = reader("admin@harbor")
    assert harbor.dimension_values("payer_class")["id"].to_list() == ["commercial", "medicare", "unmapped"]
    payers = harbor.dimension_values("payer")
    assert dict(payers.select("id", "name").rows())["aetna"] == "harbor payer aetna"
    units = harbor.dimension_values("service_unit")
    assert dict(units.select("id", "parent_id").rows())["lab"] == "east"
    assert set(harbor.dimension_values("provider", where={"service_unit": "west"})["id"]) == {"p1", "p2", "p3"}
    with pytest.raises(ConfigurationError):
        harbor.dimension_values("patient_id")


def test_the_registry_says_what_each_metric_is(reader):
    known = {item.name: item for item in reader("admin@harbor").metrics()}
    assert known["visits"].unit == "count"
    assert known["visits"].direction == "higher"
    assert known["visits"].can_drill
    assert "service_unit" in known["visits"].dimensions
    assert "payer" not in known["visits"].dimensions
    assert known["billed_per_visit"].variants == ("denied_per_person",)


def test_a_reader_knows_what_it_is_about(reader):
    harbor = reader("admin@harbor")
    assert (harbor.tenant.name, harbor.tenant.time_zone) == ("Harbor Health", "America/New_York")
    assert harbor.data_as_of == date(2026, 3, 31)
    assert harbor.last_run.outcome == "published"
    assert harbor.health().feeds["feed"].to_list() == ["pm"]
    assert set(harbor.health().batches["batch_id"]) == {"harbor-1"}


def test_everybody_learns_which_feeds_stopped_and_what_they_brought_of_the_own_tenant_alone(reader):
    assert reader("admin@harbor").alerts().height == 0
    for user in ("admin@mesa", "doctor@mesa"):
        (alert,) = reader(user).alerts().to_dicts()
        assert (alert["feed"], alert["kind"], alert["since"]) == ("pm", "stopped", date(2026, 3, 28))
        assert alert["entities"] == ["appointment", "encounter"]
    with pytest.raises(AccessError):
        reader("doctor@mesa").health()


def test_a_version_from_before_a_table_of_health_existed_has_it_empty(reader):
    health = reader("admin@harbor").health()
    assert health.coverage.height == health.conflicts.height == health.remittance_matches.height == 0
    assert {"day", "expected", "received", "status"} <= set(health.coverage.columns)


def test_nothing_published_is_said_so(place, person):
    place.access.ensure_tenant("newcomer", "Newcomer")
    place.access.ensure_admin("newcomer")
    with pytest.raises(NothingPublished):
        open_reader(place.home, person("admin@newcomer"))
