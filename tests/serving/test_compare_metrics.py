"""Comparing metrics: what one engine has otherwise is found in the figures that rest on it, and in no other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from adbc_driver_postgresql import dbapi
from psycopg.conninfo import make_conninfo

from dagster_project.engines import embedded_server
from foundation import duck
from foundation.errors import ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from serving.engine_check.connections import PostgresMarts
from serving.engine_check.metrics import (
    GRAINS,
    MetricsComparison,
    Question,
    answers_differ,
    compare_metrics,
    questions_of,
)
from serving.metrics.dimensions import DimensionIndex
from serving.metrics.manifests import published_tables, read_manifests, registry_metrics
from serving.metrics.registry import Registry, RegistryMetric, private_columns
from serving.model import MetricDefinition
from tests.serving.small_warehouse import build_warehouse, write_manifests

ON_CHARGES = {"billed_amount", "billed_per_visit", "payer_mix_billed"}
ON_CHARGED_ROWS = ON_CHARGES | {"denied_charges", "denied_per_person", "denied_share"}


@dataclass(frozen=True)
class Engines:
    """The small warehouse on both engines."""

    home: Home
    dbt_target: Path
    server: dict[str, str]

    @property
    def conninfo(self) -> str:
        return make_conninfo(**self.server)

    def compare(self, *names: str) -> MetricsComparison:
        return compare_metrics(self.home, Keys.of(self.home), self.dbt_target, self.conninfo, names)

    def registry(self) -> Registry:
        manifest, semantic, _ = read_manifests(self.dbt_target)
        tables = tuple(table for table in published_tables(manifest, semantic) if table.schema == "marts")
        return Registry(tables=tables, metrics=registry_metrics(semantic, tables))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engines]:
    folder = tmp_path_factory.mktemp("metrics")
    home = Home.at(folder / "home")
    build_warehouse(home)
    with embedded_server() as server, duck.session(home) as warehouse:
        duck.attach(
            warehouse, home.warehouse, alias="warehouse", key=Keys.of(home).derive_hex("warehouse"), read_only=True
        )
        tables = warehouse.execute("select table_name from information_schema.tables where table_schema = 'marts'")
        with dbapi.connect(make_conninfo(**server), autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("create schema marts")
            for (table,) in tables.fetchall():
                rows = warehouse.execute(f'from warehouse.marts."{table}"').to_arrow_table()
                cursor.adbc_ingest(table, rows, db_schema_name="marts")
        warehouse.execute("detach warehouse")
        yield Engines(home, write_manifests(folder / "target"), server)


@pytest.fixture
def changed(engines: Engines) -> Iterator[Callable[..., int]]:
    """Changes rows in PostgreSQL; they are as they were after the test."""
    kept: list[str] = []

    def change(table: str, sql: str) -> int:
        with psycopg.connect(engines.conninfo) as connection:
            connection.execute(f"create table public.{table} as select * from marts.{table}")
            kept.append(table)
            return connection.execute(sql).rowcount

    yield change
    with psycopg.connect(engines.conninfo) as connection:
        for table in kept:
            connection.execute(f"drop table marts.{table}")
            connection.execute(f"alter table public.{table} set schema marts")


def asked(found: MetricsComparison) -> set[tuple[str, str]]:
    """(metric, dimension) of the differences by a dimension."""
    return {(item.metric, item.dimension) for item in found.differences if item.dimension}


def test_every_metric_is_asked_in_total_by_period_and_by_each_of_its_dimensions(engines: Engines) -> None:
    found = engines.compare()
    assert found.differences == ()
    metrics = engines.registry().metrics
    assert found.metrics == tuple(sorted(metrics))
    assert found.questions == 2 * sum(len(GRAINS) + len(item.definition.dimensions) for item in metrics.values())
    # 90 days of visits, more of them for harbor: the figures of days alone are far more than the questions.
    assert found.figures > 2 * found.questions


def test_a_cent_is_found_in_the_metrics_that_rest_on_it_and_in_no_other(
    engines: Engines, changed: Callable[..., int]
) -> None:
    cent = "update marts.fct_charges set billed_amount = billed_amount + 0.01 where tenant_id = 'mesa' and charge_id = 'c7'"
    assert changed("fct_charges", cent) == 1
    found = engines.compare()
    assert {item.tenant_id for item in found.differences} == {"mesa"}
    assert {item.metric for item in found.differences} == ON_CHARGES
    # Charge c7 is of the lab, p2 and no known payer, on 8 January 2026.
    where = {(item.metric, item.dimension, item.grain): item for item in found.differences}
    assert where["billed_amount", "service_unit", ""].keys == ({"service_unit": "lab"},)
    assert where["billed_amount", "payer_class", ""].keys == ({"payer_class": "commercial"},)
    assert where["billed_amount", "", "month"].keys == ({"metric_time": "2026-01-01"},)
    assert where["billed_amount", "", "week"].keys == ({"metric_time": "2026-01-05"},)
    assert where["billed_amount", "", "day"].keys == ({"metric_time": "2026-01-08"},)
    assert where["billed_amount", "", ""].rows_differing == 1
    # A share changes for every payer when the whole does.
    assert where["payer_mix_billed", "payer", ""].rows_differing == 3
    assert "7.5" not in repr(found)


def test_a_row_under_another_payer_class_is_found_by_payer_class_alone(
    engines: Engines, changed: Callable[..., int]
) -> None:
    moved = "update marts.fct_charges set payer_class = 'tricare' where tenant_id = 'harbor' and charge_id = 'c0'"
    assert changed("fct_charges", moved) == 1
    found = engines.compare()
    assert asked(found) == {(metric, "payer_class") for metric in ON_CHARGED_ROWS}
    assert [item for item in found.differences if not item.dimension] == []
    (billed,) = (item for item in found.differences if item.metric == "billed_amount")
    # A class that the other engine has no row of is a difference of what has a value there.
    assert billed.keys == ({"payer_class": "commercial"}, {"payer_class": "tricare"})


def test_one_in_several_dimensions_still_asks_every_one_of_a_fact(engines: Engines) -> None:
    _, semantic, _ = read_manifests(engines.dbt_target)
    registry = engines.registry()
    index = DimensionIndex(semantic, private_columns(registry.tables))
    whole, some = (list(questions_of(registry, index, sorted(registry.metrics), every)) for every in (1, 2))

    def by(questions: list[Question]) -> set[tuple[str, str | None]]:
        return {(fact.name, q.dimension) for q in questions for name in q.metrics for fact in index.facts_of(name)}

    assert by(some) == by(whole)
    counts = [sum(len(question.metrics) for question in questions) for questions in (some, whole)]
    assert counts[0] < counts[1]
    found = compare_metrics(engines.home, Keys.of(engines.home), engines.dbt_target, engines.conninfo, every=2)
    assert (found.equal, found.questions) == (True, 2 * counts[0])


def test_the_balance_of_the_last_day_counts_on_each_engine(engines: Engines, changed: Callable[..., int]) -> None:
    earlier = (
        "update marts.fct_balances set open_amount = 1 where tenant_id = 'mesa' and snapshot_date = '2026-02-28' "
        "and payer_id = 'medicare' and service_unit_id = 'lab'"
    )
    assert changed("fct_balances", earlier) == 1
    found = engines.compare("open_balance", "visits")
    # Of all time March counts; the month that was changed shows in its own periods.
    assert {(item.dimension, item.grain) for item in found.differences} == {("", "month"), ("", "week"), ("", "day")}
    assert {item.metric for item in found.differences} == {"open_balance"}


def test_a_question_that_one_engine_refuses_is_told_for_the_metrics_it_concerns(
    engines: Engines, changed: Callable[..., int]
) -> None:
    changed("fct_charges", "alter table marts.fct_charges drop column is_denied")
    found = engines.compare("billed_amount", "denied_charges")
    assert {item.metric for item in found.differences} == {"denied_charges"}
    assert len(found.differences) == found.questions // 2
    assert "PostgreSQL refuses the question (42703: column " in found.differences[0].reason


def test_an_unknown_metric_and_a_server_that_is_not_there_are_told(engines: Engines) -> None:
    with pytest.raises(ConfigurationError, match="no metric is named 'vists'"):
        engines.compare("vists")
    absent = make_conninfo(host=engines.server["host"], dbname="absent", user="clinicmart", password="hunter2")
    with pytest.raises(ClinicmartError, match="PostgreSQL could not be reached") as refused:
        compare_metrics(engines.home, Keys.of(engines.home), engines.dbt_target, absent)
    assert "hunter2" not in str(refused.value)


def test_nothing_stays_in_the_database(engines: Engines) -> None:
    # Temporary tables go with their connection, if a moment after it.
    everything = "select array_agg(oid order by oid) from pg_class where relpersistence <> 't'"
    with psycopg.connect(engines.conninfo, autocommit=True) as connection:
        there = connection.execute(everything).fetchone()
        engines.compare("visits")
        assert connection.execute(everything).fetchone() == there


def test_values_are_bound_in_postgres_with_their_types(engines: Engines) -> None:
    with PostgresMarts(engines.conninfo, engines.registry().tables, "harbor") as marts:
        name = marts.table("fct_visits")
        given: dict[str, Any] = {"w0": ["lab", "it's % odd"], "w1": [], "unused": ["x"]}
        one = marts.frame(f"select count(*) as n from {name} where service_unit_id in (select unnest($w0))", given)
        none = marts.frame(f"select count(*) as n from {name} where service_unit_id in (select unnest($w1))", given)
        odd = marts.frame(
            "select 10 % 3 as rest, 'a%b' as text, null::numeric as none, 1.50 + 1 as money, 'NaN'::numeric as no"
        )
    assert (one.item(), none.item()) == (60, 0)
    assert odd.row(0)[:4] == (1, "a%b", None, Decimal("2.50"))
    assert odd["no"].is_nan().item()


def registry_of(**additive: bool) -> Registry:
    """A registry of metrics of which nothing else is known."""
    return Registry(
        metrics={
            name: RegistryMetric(
                definition=MetricDefinition(
                    name=name, label=name, description="", unit="count", direction="neutral", module="core"
                ),
                tables=(),
                is_additive=is_additive,
            )
            for name, is_additive in additive.items()
        }
    )


def test_answers_agree_by_key_whatever_their_order_and_types() -> None:
    ours = pl.DataFrame(
        {"unit": ["a", "b", None], "unit_name": ["A", "B", ""], "n": [1, 2, 3], "r": [0.1, None, 1 / 3]}
    )
    theirs = pl.DataFrame(
        {
            "unit": [None, "b", "a"],
            "unit_name": ["", "B", "A"],
            "n": [Decimal("3.00"), Decimal("2.00"), Decimal("1.00")],
            "r": [1 / 3 + 1e-12, None, 0.1],
        }
    )
    assert answers_differ(ours, theirs, ["n", "r"], registry_of(n=True, r=False)) == {}
    other = theirs.with_columns(pl.Series("r", [1 / 3 + 1e-8, None, 0.1]), pl.Series("n", [3, 2, 0]))
    assert answers_differ(ours, other, ["n", "r"], registry_of(n=True, r=False)) == {
        "n": [{"unit": "a"}],
        "r": [{"unit": None}],
    }


def test_a_key_on_one_side_is_a_difference_of_what_has_a_value_there() -> None:
    ours = pl.DataFrame({"day": ["1", "2"], "n": [5, 5], "m": [0, 0], "r": [1.0, 1.0]})
    known = registry_of(n=True, m=True, r=False)
    assert answers_differ(ours, ours.head(1), ["n", "m", "r"], known) == {"n": [{"day": "2"}], "r": [{"day": "2"}]}
    nothing = pl.DataFrame({"day": ["1", "2"], "n": [5, 0], "m": [0, 0], "r": [1.0, None]})
    assert set(answers_differ(nothing, nothing.head(1), ["n", "m", "r"], known)) == {"n", "m", "r"}


def test_a_key_that_comes_twice_is_a_difference() -> None:
    once = pl.DataFrame({"day": ["1"], "n": [5]})
    assert answers_differ(pl.concat([once, once]), once, ["n"], registry_of(n=True)) == {"n": [{"day": "1"}]}
    assert answers_differ(pl.concat([once, once]), pl.concat([once, once]), ["n"], registry_of(n=True)) == {}


def test_a_total_has_no_key() -> None:
    ours, theirs = pl.DataFrame({"n": [5]}), pl.DataFrame({"n": [6]})
    assert answers_differ(ours, theirs, ["n"], registry_of(n=True)) == {"n": [{}]}
    assert answers_differ(ours, ours, ["n"], registry_of(n=True)) == {}
