"""The registry on the demo: every metric answers every question it offers, and its rows give its figure."""

from datetime import date
from pathlib import Path

import pytest

from foundation.home import Home
from serving.model import MetricQuery
from serving.people.principal import Role
from serving.people.store import AccessStore
from serving.reader import Reader, open_reader
from serving.scope_files.deidentify import treatment
from serving.scope_files.derive import allowed_tables

QUESTIONS = (
    ({}, None, None),
    ({"payer_class": "medicare"}, date(2026, 3, 5), date(2026, 7, 9)),
    ({"provider": "unknown"}, None, None),
)


@pytest.fixture
def harbor(demo_home: Path) -> Reader:
    home = Home.at(demo_home)
    return open_reader(home, AccessStore.open(home).principal("harbor", "admin@harbor"))


def alike(left: object, right: object) -> bool:
    if left is None or right is None:
        return left is right
    return float(str(left)) == pytest.approx(float(str(right)), rel=1e-9, abs=1e-9)


@pytest.mark.slow
def test_the_rows_of_every_metric_of_the_demo_give_its_figure(harbor):
    compared, different = 0, []
    for item in harbor.metrics():
        for where, start, end in QUESTIONS:
            if not item.can_drill or not set(where) <= set(item.dimensions):
                continue
            found = harbor.drill(item.name, where, start, end, limit=1)
            asked = MetricQuery(metrics=[found.figure_of], where=where, date_from=start, date_to=end)
            figure = harbor.query(asked)[found.figure_of][0]
            compared += 1
            if not alike(figure, found.total_value):
                different.append((item.name, where, start, figure, found.total_value))
    assert different == []
    assert compared > 200


@pytest.mark.slow
def test_the_rows_that_count_and_those_left_out_add_up_for_every_metric_of_the_demo(harbor):
    without_rows, different, unnamed, figures = [], [], [], 0
    for where, start, end in QUESTIONS:
        asked = [item for item in harbor.metrics() if set(where) <= set(item.dimensions)]
        names = [item.name for item in asked]
        answers = harbor.query(MetricQuery(metrics=names, where=where, date_from=start, date_to=end)).row(0, named=True)
        for item in asked:
            lists = harbor.rows_around(item.name, where, start, end)
            if not lists:
                without_rows.append(item.name)
            for rows in lists:
                parts = [part.rows for part in rows.parts if part.rows is not None]
                if rows.rows != sum(parts) or rows.rows != _rows_of_table(harbor, rows, where, start, end):
                    different.append((item.name, where, rows))
                unnamed += [item.name for part in rows.parts if part.words in ("", "Other rows")]
            # The figure itself is a number of rows, or a rate of them: the parts give it.
            figure = answers[item.name]
            held = harbor.registry.metrics[item.name]
            is_alone = [rows.metric for rows in lists] == [item.name] and not held.share_of
            if is_alone and (held.drill.counted_condition or held.drill.aggregate in ("count", "distinct")):
                figures += 1
                if not alike(figure, _figure_of(lists[0], figure)):
                    different.append((item.name, where, start, figure, lists[0]))
    assert different == []
    assert unnamed == []
    assert figures > 250
    # They are figures of an earlier period.
    assert set(without_rows) == {"submitted_claims_three_months_before", "submitted_amount_three_months_before"}


def _figure_of(rows, figure):
    of_kind = {part.kind: 0 for part in rows.parts} | {"counted": 0}
    for part in rows.parts:
        of_kind[part.kind] += part.rows
    above = of_kind["counted"] + of_kind.get("above_alone", 0)
    below = of_kind["counted"] + of_kind.get("below_alone", 0)
    is_rate = {"above_alone", "below_alone"} & of_kind.keys() or isinstance(figure, float)
    if is_rate or figure is None:
        return above / below if below else None
    return above


def _rows_of_table(reader, rows, where, start, end):
    """All rows of the table in the question, counted from its own columns."""
    rule = reader.registry.metrics[rows.metric].drill
    conditions = [f"{rule.date_column} between '{start}' and '{end}'"] if start else []
    conditions += [f"payer_class = '{value}'" for name, value in where.items() if name == "payer_class"]
    conditions += [f"provider_id = '{value}'" for name, value in where.items() if name == "provider"]
    source = f"warehouse.marts.{rule.model}"
    if rule.is_snapshot:
        of_period = f"where {conditions.pop(0)}" if start else ""
        conditions.append(f"{rule.date_column} = (select max({rule.date_column}) from {source} {of_period})")
    text = f"where {' and '.join(conditions)}" if conditions else ""
    return reader._metrics.data.frame(f"select count(*) from {source} {text}").item()


@pytest.mark.slow
def test_an_executive_of_the_demo_gets_the_figures_of_an_administrator_from_a_file_without_events(harbor, demo_home):
    home = Home.at(demo_home)
    store = AccessStore.open(home)
    store.add_user("harbor", "chief@harbor", display_name="Chief", role=Role.EXECUTIVE, password="unused password 12")
    chief = open_reader(home, store.principal("harbor", "chief@harbor"))
    frame, kept = chief._metrics.data.frame, set()
    for table in allowed_tables(chief.scope, chief.registry):
        if table.is_dimension:
            continue
        for column in table.columns:
            source = f'(select "{column.name}" as shown from warehouse.marts.{table.name})'
            if treatment(column) == "surrogate" and frame(f"select count(shown) from {source}").item():
                kept.add(f"{table.name}.{column.name}")
        moments = [column.name for column in table.columns if column.data_type.upper().startswith("TIMESTAMP")]
        for name in moments:
            assert frame(f'select count("{name}") from warehouse.marts.{table.name}').item() == 0, (table.name, name)
    # People are counted; besides: what is counted once, what rows are told apart by, and what figures are grouped by.
    assert {name for name in kept if not name.endswith(".patient_id")} == {
        "fct_staff_sessions.provider_day_key",
        "fct_supply_usage.encounter_id",
        "fct_appointments.rescheduled_from_appointment_id",
        "fct_claim_submissions.destination_payer_id",
        "fct_referrals.referral_partner_id",
    }
    names = [item.name for item in chief.metrics()]
    shown = 0
    for question in (
        MetricQuery(metrics=names),
        MetricQuery(metrics=names, grain="month", date_from=date(2026, 3, 1), date_to=date(2026, 8, 31)),
        MetricQuery(
            metrics=[item.name for item in chief.metrics() if "payer_class" in item.dimensions], by=["payer_class"]
        ),
        MetricQuery(metrics=[item.name for item in chief.metrics() if "sex" in item.dimensions], by=["sex"]),
    ):
        mine, whole = chief.query(question), harbor.query(question)
        assert mine.select(question.by).equals(whole.select(question.by))
        for name in question.metrics:
            pairs = [(a, b) for a, b in zip(mine[name], whole[name], strict=True) if a is not None]
            # What is not hidden for few people is the same.
            assert all(alike(a, b) for a, b in pairs), name
            shown += len(pairs)
    assert shown > 1500


@pytest.mark.slow
def test_every_metric_of_the_demo_answers_and_every_fact_by_every_dimension_it_offers(harbor):
    known = harbor.metrics()
    # Levels of the tree are one column after the other: the first stands for all.
    names = sorted({name for item in known for name in item.dimensions if name[:6] != "level_" or name == "level_1"})
    assert len(known) > 100
    assert len(names) > 25
    index = harbor._metrics.index
    facts_of = {item.name: tuple(fact.name for fact in index.facts_of(item.name)) for item in known}
    # Of each fact by each dimension another metric each time, until all were asked; every dimension is then one of many.
    waiting = [item.name for item in known]
    for name in names:
        offering = [item.name for item in known if name in item.dimensions]
        chosen: dict[tuple[str, ...], str] = {}
        for metric in sorted(offering, key=lambda metric: metric not in waiting):
            chosen.setdefault(facts_of[metric], metric)
        waiting = [metric for metric in waiting if metric not in chosen.values()]
        metrics = [metric for metric in offering if metric in chosen.values()]
        frame = harbor.query(MetricQuery(metrics=metrics, by=[name]))
        assert frame.columns[0] == name
        assert frame.columns[-len(metrics) :] == metrics
        assert not frame[name].is_duplicated().any()
    frame = harbor.query(MetricQuery(metrics=waiting))
    assert frame.columns == waiting


@pytest.mark.slow
def test_sums_and_counts_of_the_demo_do_not_depend_on_how_they_are_broken_down(harbor):
    for metric in (
        "billed_amount",
        "payer_paid_amount",
        "claims",
        "appointments",
        "no_shows",
        "encounters",
        "open_balance",
    ):
        total = harbor.query(MetricQuery(metrics=[metric]))[metric][0]
        assert total
        for name in ("service_unit", "clinic", "provider", "payer", "payer_class", "service_unit_children"):
            parts = harbor.query(MetricQuery(metrics=[metric], by=[name]))[metric]
            assert parts.sum() == total, (metric, name)
        months = harbor.query(MetricQuery(metrics=[metric], grain="month"))[metric]
        assert months.sum() == total, metric
