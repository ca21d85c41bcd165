"""Attacks on identity: small cells and what gives them away, dates in rows that leave, files of people who see no rows."""

from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from foundation import duck
from foundation.config import load_config
from foundation.deidentification import Deidentification
from foundation.errors import AccessError, ConfigurationError
from serving.extracts import extract
from serving.metrics.registry import PublishedTable, TableColumn
from serving.metrics.small_cells import _hide_next_smallest
from serving.model import MetricQuery
from serving.postgres.served_views import readable_columns
from serving.scope_files.deidentify import released, treatment
from tests.serving.small_warehouse import TENANTS, change

MARTS = Path(__file__).parents[2] / "dbt" / "models" / "marts"
YEAR = (date(2026, 1, 1), date(2026, 12, 31))


@pytest.fixture
def strict(place):
    """Safe Harbor at harbor, the limited data set at mesa; fewer than five people are a small cell.

    Of harbor's ten patients each stands at every provider, and two at each unit.
    """
    for tenant, rule in (("harbor", "safe_harbor"), ("mesa", "limited")):
        place.access.ensure_tenant(tenant, tenant.capitalize(), Deidentification(rule=rule, smallest_cell=5))
    return place


def values(reader, metric="visits", **question):
    return reader.query(MetricQuery(metrics=[metric], **question))[metric].to_list()


# Small cells


@pytest.mark.parametrize("user", ["ceo@harbor", "analyst@harbor", "ceo@mesa"])
def test_figures_of_few_people_are_hidden_and_figures_of_many_are_not(strict, reader, user):
    assert set(values(reader(user), by=["service_unit"])) == {None}
    shown = values(reader(user), by=["provider"])
    assert shown == values(reader(user.replace("ceo", "admin").replace("analyst", "admin")), by=["provider"])
    assert None not in shown


@pytest.mark.parametrize("user", ["admin@harbor", "analyst@mesa", "east@harbor"])
def test_roles_that_see_rows_see_every_figure(strict, reader, user):
    assert None not in values(reader(user), by=["service_unit"])


def test_a_filter_to_few_people_is_hidden_and_so_is_everybody_but_them(strict, reader):
    ceo, units = reader("ceo@harbor"), ["imaging", "lab", "west", "east", "unknown"]
    for unit in ("imaging", "west"):
        assert values(ceo, where={"service_unit": unit}) == [None]
    # All but two units hold six people; the rest, which a subtraction would give, four.
    many = ["imaging", "lab", "west"]
    assert values(reader("admin@harbor"), where={"service_unit": many}) != [None]
    assert values(ceo, where={"service_unit": many}) == [None]
    assert values(ceo, where={"service_unit": units}) == values(reader("admin@harbor"), where={"service_unit": units})


def test_rates_and_amounts_of_few_people_are_hidden_too(strict, reader):
    ceo, admin = reader("ceo@harbor"), reader("admin@harbor")
    hidden = 0
    for item in admin.metrics():
        drill = admin.registry.metrics[item.name].drill
        if "service_unit" in item.dimensions and drill is not None and drill.model == "fct_visits":
            assert set(values(ceo, item.name, by=["service_unit"])) <= {None, 0}, item.name
            hidden += 1
    assert hidden > 1


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), unique=True, min_size=1, max_size=9),
    st.data(),
)
def test_no_hidden_value_is_the_total_less_the_others(cells, data):
    people = [data.draw(st.integers(0, 30)) for _ in cells]
    hidden = [0 < number < 11 for number in people]
    before = list(hidden)
    _hide_next_smallest(cells, people, hidden)
    assert all(after for after, first in zip(hidden, before, strict=True) if first)
    for position in (0, 1):
        for fixed in {cell[1 - position] for cell in cells}:
            line = [row for row, cell in enumerate(cells) if cell[1 - position] == fixed and people[row]]
            assert sum(hidden[row] for row in line) != 1 or len(line) == 1


# What is in the file of a person who sees no rows


def test_an_executives_file_holds_no_patient_and_nothing_that_leads_to_one(strict, reader):
    frames = {user: reader(user)._metrics.data for user in ("admin@harbor", "ceo@harbor")}

    def column(user: str, table: str, name: str) -> set[object]:
        return set(frames[user].frame(f'select "{name}" from warehouse.marts.{table}')[name])

    assert column("admin@harbor", "dim_patients", "patient_id")
    assert column("ceo@harbor", "dim_patients", "patient_id") == set()
    for table, name in (("fct_visits", "patient_id"), ("fct_visits", "visit_id"), ("fct_charges", "charge_id")):
        assert not column("admin@harbor", table, name) & column("ceo@harbor", table, name), name
    # Not even two executives' files can be matched: no key of them is kept.
    before = column("ceo@harbor", "fct_visits", "patient_id")
    strict.access.set_module("harbor", "forecasts", enabled=False, actor="test")
    frames["ceo@harbor"] = reader("ceo@harbor")._metrics.data
    assert not before & column("ceo@harbor", "fct_visits", "patient_id")


def test_an_executives_file_holds_no_key_of_an_event(reader):
    frame = reader("ceo@harbor")._metrics.data.frame
    for table, name in (("fct_visits", "visit_id"), ("fct_charges", "charge_id"), ("fct_referrals", "referral_id")):
        assert frame(f'select count("{name}") from warehouse.marts.{table}').item() == 0, name
        assert frame(f"select count(*) from warehouse.marts.{table}").item() > 0
    # People are counted and referral partners are a dimension: both keep surrogates.
    assert frame("select count(distinct patient_id) from warehouse.marts.fct_visits").item() == 10
    assert frame("select count(distinct referral_partner_id) from warehouse.marts.fct_referrals").item() == 3


@pytest.mark.parametrize("tenant", TENANTS)
def test_an_executives_answers_are_those_of_who_sees_all(reader, tenant):
    ceo, admin = reader(f"ceo@{tenant}"), reader(f"admin@{tenant}")
    names = [item.name for item in ceo.metrics()]
    offered = sorted({name for item in ceo.metrics() for name in item.dimensions} - {"referral_partner"})
    assert len(names) > 8
    assert len(offered) > 8
    for by in [None, *offered]:
        metrics = [item.name for item in ceo.metrics() if by is None or by in item.dimensions]
        query = MetricQuery(metrics=metrics, by=[by] if by else [], grain=None if by else "month")
        assert ceo.query(query).equals(admin.query(query)), by
    for name in names:
        assert ceo.rows_around(name) == admin.rows_around(name), name


# Rows that leave


def test_rows_that_leave_under_safe_harbor_have_no_day_and_can_be_asked_for_no_day(strict, reader):
    analyst, limited = reader("analyst@harbor"), reader("analyst@mesa")
    assert set(analyst.drill("visits", {}, *YEAR, limit=500).frame["visit_date"]) == {date(2026, 1, 1)}
    assert len(set(limited.drill("visits", {}, *YEAR, limit=500).frame["visit_date"])) > 30
    for start, end in ((date(2026, 2, 3), date(2026, 2, 3)), (None, date(2026, 2, 3)), (date(2026, 2, 3), None)):
        with pytest.raises(AccessError, match="whole years"):
            analyst.drill("visits", {}, start, end)
        limited.drill("visits", {}, start, end)
    with pytest.raises(AccessError, match="whole years"):
        analyst.drill("visits", {"hour_of_day": "7"}, *YEAR)


def test_an_extract_follows_the_rule_names_it_and_measures_how_well_people_hide(strict, person, tmp_path):
    days, order = {}, {}
    for tenant, rule in (("harbor", "safe_harbor"), ("mesa", "limited")):
        report = extract(strict.home, person(f"analyst@{tenant}"), tmp_path / f"{tenant}.duckdb")
        with duck.session(strict.home) as connection:
            duck.attach(connection, tmp_path / f"{tenant}.duckdb", alias="x", key=report.key, read_only=True)
            dates = connection.execute(
                "select table_name, column_name from duckdb_columns() where database_name = 'x' and schema_name = 'marts' "
                "and data_type in ('DATE', 'TIMESTAMP') and starts_with(table_name, 'fct_')"
            ).fetchall()
            assert dates
            days[rule] = {
                day
                for table, name in dates
                for (day,) in connection.execute(f'select distinct "{name}" from x.marts.{table}').fetchall()
            }
            order[rule] = _people(connection)
            kept = connection.execute("select rule, people, k, alone from x.dictionary.deidentification").fetchall()
        found = report.anonymity
        assert kept == [(rule, found.people, found.k, found.alone)]
        assert (found.people, found.k, found.alone) == order[rule]
        row = strict.access.audit_rows(tenant, action="extract")[0]
        assert (row.detail["rule"], row.detail["k"]) == (rule, found.k)
    assert days["safe_harbor"] - {None} == {date(2026, 1, 1)}
    assert len(days["limited"]) > 30


def _people(connection: duckdb.DuckDBPyConnection) -> tuple[int, int, int]:
    """(people, k, alone) worked out one by one."""
    people: dict[str, tuple[object, ...]] = {}
    for patient, year, area in connection.execute(
        "select patient_id, birth_year, zip3 from x.marts.dim_patients"
    ).fetchall():
        days = [
            day
            for table, name in (("fct_visits", "visit_date"), ("fct_charges", "service_date"))
            for (day,) in connection.execute(
                f"select {name} from x.marts.{table} where patient_id = ?", [patient]
            ).fetchall()
        ]
        people[patient] = (year, area, min(days))
    sizes = pl.Series([str(traits) for traits in people.values()]).value_counts()["count"].to_list()
    return len(people), min(sizes), sizes.count(1)


@pytest.mark.parametrize("kind", ["DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"])
def test_every_date_of_a_fact_loses_its_day_and_none_of_the_calendar_does(kind):
    columns = (TableColumn(name="happened", data_type=kind), TableColumn(name="weekday", data_type="INTEGER"))
    shape = {"description": "", "module": "", "shared": False, "unit_column": "", "provider_column": "", "order_by": ()}
    fact = PublishedTable(schema="marts", name="fct_x", columns=columns, **shape)
    calendar = PublishedTable(schema="marts", name="dim_dates", columns=columns, **shape)
    for table, expected in ((fact, ("2026-01-01", None)), (calendar, ("2026-05-06", 3))):
        shown = ", ".join(released(table, column.name, "safe_harbor") for column in columns)
        source = f"(select cast(date '2026-05-06' as {kind}) as happened, 3 as weekday)"
        row = duckdb.connect().execute(
            f"select cast(cast(happened as date) as varchar), weekday from (select {shown} from {source})"
        )
        assert row.fetchone() == expected


def test_a_text_that_no_model_marks_is_hidden():
    assert treatment(TableColumn(name="free_note", data_type="VARCHAR")) == "remove"
    assert treatment(TableColumn(name="payer_class", data_type="VARCHAR")) == "keep"
    assert treatment(TableColumn(name="free_note", data_type="VARCHAR", identity="none")) == "keep"
    # Units of the tree are no people, as it stood and as it stands now.
    for name in ("service_unit_id", "level_2_id", "current_level_2_id"):
        assert treatment(TableColumn(name=name, data_type="VARCHAR")) == "keep", name


def test_of_our_own_marts_only_places_in_feed_files_are_hidden():
    hidden = set()
    for file in MARTS.rglob("*.yml"):
        for model in (yaml.safe_load(file.read_text("utf-8")) or {}).get("models") or ():
            for column in model.get("columns") or ():
                meta = {**(column.get("meta") or {}), **((column.get("config") or {}).get("meta") or {})}
                kind = str(column.get("data_type") or "").upper().replace("TEXT", "VARCHAR")
                made = TableColumn(name=column["name"], data_type=kind, identity=str(meta.get("identity", "")))
                if treatment(made) == "remove":
                    hidden.add(column["name"])
    assert hidden == {"source_position"}


UNMARKED = {
    "family_name": ("varchar", "'Zebedee'"),
    "birth_date": ("date", "date '1931-07-19'"),
    "died_at": ("timestamp", "timestamp '2026-01-19 10:11:12'"),
    "member_number": ("bigint", "700700700"),
    "smokes": ("boolean", "true"),
    "notes": ("varchar[]", "['Zebedee']"),
}


@pytest.mark.parametrize("user", ["analyst@mesa", "ceo@mesa", "east@mesa", "biller@mesa"])
def test_a_column_that_somebody_forgot_to_mark_is_shown_nowhere(place, reader, person, tmp_path, user):
    for name, (kind, value) in UNMARKED.items():
        for table in ("fct_visits", "fct_charges", "dim_patients"):
            change(place.home, f"alter table warehouse.marts.{table} add column {name} {kind} default {value}")
    place.publish("run-2")
    someone = reader(user)
    data = someone._metrics.data
    tables = {table.name: table for table in someone.registry.tables}
    held = {
        row[0] for row in data.frame("select table_name from duckdb_tables() where database_name = 'warehouse'").rows()
    }
    for table in held & {"fct_visits", "fct_charges", "dim_patients"}:
        assert set(UNMARKED) <= set(tables[table].column_names)
        for name in UNMARKED:
            frame = data.frame(f'select "{name}" from warehouse.marts.{table}')
            assert frame[name].null_count() == frame.height, (table, name)
    assert not set(UNMARKED) & {name for metric in someone.metrics() for name in metric.dimensions}
    for metric in someone.metrics():
        if metric.can_drill:
            assert not set(UNMARKED) & set(someone.drill(metric.name).frame.columns)
    if someone.scope.may_extract:
        report = extract(place.home, person(user), tmp_path / "x.duckdb")
        with duck.session(place.home) as connection:
            duck.attach(connection, tmp_path / "x.duckdb", alias="x", key=report.key, read_only=True)
            columns = connection.execute(
                "select column_name from duckdb_columns() where database_name = 'x'"
            ).fetchall()
            described = connection.execute("select column_name from x.dictionary.columns").fetchall()
        assert not set(UNMARKED) & {row[0] for row in (*columns, *described)}
    assert not set(UNMARKED) & {name for table in tables.values() for name in readable_columns(table)}
    # Control: the administrator's file has them.
    whole = reader("admin@mesa")._metrics.data.frame("select family_name from warehouse.marts.fct_visits")
    assert set(whole["family_name"]) == {"Zebedee"}


# The tenant's choice


def test_the_rule_comes_from_the_configuration_and_a_change_of_it_is_audited_and_makes_new_scopes(
    place, reader, tmp_path
):
    text = "tenants:\n  harbor:\n    name: Harbor\n    time_zone: UTC\n    {}\n    feeds: [{{name: a, kind: x12, path: a}}]\n"

    def chosen(line: str) -> Deidentification:
        (tmp_path / "c.yaml").write_text(text.format(line), "utf-8")
        return load_config(tmp_path / "c.yaml").tenants[0].deidentification

    assert chosen("as_of: 2026-01-01") == Deidentification(rule="safe_harbor", smallest_cell=11)
    given = chosen("deidentification: {rule: limited, smallest_cell: 20}")
    assert given == Deidentification(rule="limited", smallest_cell=20)
    for wrong in ("{rule: none}", "{smallest_cell: 0}", "{smallest_cell: many}", "{other: 1}"):
        with pytest.raises(ConfigurationError):
            chosen(f"deidentification: {wrong}")
    before = reader("analyst@harbor").scope.hash
    place.access.ensure_tenant("harbor", "Harbor", given)
    assert reader("analyst@harbor").scope.hash != before
    assert place.access.audit_rows("harbor", action="de-identification changed")[0].detail["smallest_cell"] == 20
    # A caller that says nothing changes nothing.
    place.access.ensure_tenant("harbor", "Harbor")
    assert place.access.policy("harbor").deidentification == given
