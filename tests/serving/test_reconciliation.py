"""What does not reconcile stops its tenant with sentences; the bridge in its order; whose rows a failed test found."""

from decimal import Decimal

import polars as pl
import pytest

from foundation.keys import Keys
from serving.model import RECONCILIATION, RECONCILIATION_CHECK, LastRun
from serving.publish.failed_tests import failing_tenants
from serving.publish.publish import current_version, outcome
from serving.publish.reconciliation import Difference, bridge, open_of, summary, told
from serving.versions.health import published_health
from serving.versions.store import tenant_folder
from tests.serving.small_warehouse import change

CHECKS = (
    "create or replace table warehouse.health.reconciliation_check (tenant_id varchar, entity varchar, measure varchar, "
    "check_name varchar, feed varchar, expected decimal(38,4), found decimal(38,4), difference decimal(38,4))"
)


def off(tenant, entity, measure, check, expected, found, feed="pm"):
    values = f"'{tenant}', '{entity}', '{measure}', '{check}', '{feed}', {expected}, {found}, {found} - {expected}"
    return f"insert into warehouse.health.reconciliation_check values ({values})"


def test_a_tenant_with_a_difference_is_not_published_and_is_told_where_and_by_how_much(place):
    old = current_version(place.home, "harbor").version
    change(place.home, CHECKS)
    change(place.home, off("harbor", "charge", "billed_amount", "load", 1204.5, 1200))
    change(place.home, off("harbor", "charge", "rows", "landing", 1204, 1203))
    change(place.home, off("mesa", "charge", "rows", "landing", 10, 10))
    change(place.home, "update warehouse.marts.dim_payers set name = 'Renamed'")
    report = place.publish()
    assert (report.stopped, report.published) == (("harbor",), ("mesa",))
    assert next(line for line in report.tenants if line.tenant_id == "harbor").reasons == (
        "harbor: rows of charge in feed pm do not reconcile: 1,204 in what the ledger says landed, "
        "1,203 in what lies in the landed files, 1 short",
        "harbor: billed amount of charge in feed pm do not reconcile: 1,204.50 in the landed files, "
        "1,200.00 in the raw tables, 4.50 short",
    )
    assert current_version(place.home, "harbor").version == old
    assert len(open_of(outcome(place.home, "harbor"))) == 2
    assert open_of(outcome(place.home, "mesa")) == []
    change(place.home, "delete from warehouse.health.reconciliation_check where tenant_id = 'harbor'")
    assert place.publish().published == ("harbor",)


def test_reasons_of_an_audit_and_of_the_reconciliation_stand_together(place):
    change(place.home, CHECKS)
    change(place.home, off("harbor", "claim", "rows", "marts", 2, 3, feed=""))
    report = place.publish(audit_failures={"harbor": ["a test failed"]})
    (reasons,) = (line.reasons for line in report.tenants if line.tenant_id == "harbor")
    assert reasons[0] == "a test failed"
    assert reasons[1].endswith("2 in the raw tables, 3 in the marts, 1 too many")


def test_many_differences_are_told_by_the_first_and_counted():
    wrong = [
        Difference(
            tenant_id="t", entity=f"e{n}", measure="rows", check="gate", feed="", expected=Decimal(1), actual=Decimal(0)
        )
        for n in range(8)
    ]
    assert len(told(wrong)) == 6
    assert told(wrong)[-1] == "and 3 more that do not reconcile"


def test_a_stop_for_another_reason_leaves_nothing_open():
    assert open_of(None) == []
    last = dict(run_id="r", at=None, outcome="stopped", reason="a test failed; mesa: rows of x do not reconcile: 1")  # noqa: C408
    assert open_of(LastRun(**last)) == ["mesa: rows of x do not reconcile: 1"]
    assert open_of(LastRun(**last | {"outcome": "published"})) == []


def test_the_published_file_is_counted_again_when_it_is_shared_with_the_version_before(place):
    change(place.home, CHECKS)
    change(
        place.home,
        "create table warehouse.health.reconciliation (tenant_id varchar, feed varchar, entity varchar, measure varchar, "
        "step varchar, reason varchar, total decimal(38,4), counted_as varchar)",
    )
    question = "select count(*) from marts.fct_visits where true"
    change(
        place.home,
        "insert into warehouse.health.reconciliation "
        f"select tenant_id, '', 'visit', 'rows', 'marts', '', count(*), '{question}' "
        "from warehouse.marts.fct_visits group by tenant_id",
    )
    (tenant_folder(place.home, "mesa") / "current.json").unlink()
    assert place.publish(tenants=["mesa"]).published == ("mesa",)
    change(place.home, "update warehouse.health.reconciliation set total = total - 1 where tenant_id = 'mesa'")
    change(place.home, "update warehouse.health.feed_status set last_read_at = timestamp '2026-04-02 05:00:00'")
    (line,) = place.publish(tenants=["mesa"]).tenants
    assert line.outcome == "stopped"
    assert line.reasons == (
        "mesa: rows of visit do not reconcile: 99 in the marts, 100 in the published file, 1 too many",
    )


def test_versions_of_before_have_an_empty_bridge(place):
    health = published_health(place.home, current_version(place.home, "harbor"))
    assert bridge(health.reconciliation, health.reconciliation_checks).is_empty()
    assert summary(health.reconciliation_checks) == (0, 0)


def test_the_bridge_adds_up_feeds_and_reasons_and_leaves_out_what_reaches_no_mart():
    def step(name, total, feed="pm", reason="", measure="rows", entity="charge"):
        return {
            "feed": feed,
            "entity": entity,
            "measure": measure,
            "step": name,
            "reason": reason,
            "total": Decimal(total),
            "counted_as": "",
        }

    steps = pl.DataFrame(
        [
            step("read", 10),
            step("read", 5, feed="ehr"),
            step("quarantined", 1, reason="required"),
            step("quarantined", 1, reason="range"),
            step("left", 3, reason="came_again"),
            step("merged", 2, feed="", reason="told_by_several_feeds"),
            step("marts", 8, feed=""),
            step("published", 8, feed=""),
            step("read", 4, entity="reminder"),
        ],
        schema=RECONCILIATION,
    )
    checks = pl.DataFrame(
        [
            {"entity": "charge", "measure": "rows", "check_name": "marts", "feed": "", "difference": Decimal(-1)},
            {"entity": "charge", "measure": "rows", "check_name": "load", "feed": "pm", "difference": Decimal(1)},
            {"entity": "reminder", "measure": "rows", "check_name": "load", "feed": "pm", "difference": Decimal(0)},
        ],
        schema=RECONCILIATION_CHECK,
    )
    (line,) = bridge(steps, checks).to_dicts()
    wanted = {"read": 15, "quarantined": 2, "left": 3, "merged": 2, "left_out": 0, "marts": 8, "published": 8}
    assert {name: line[name] for name in wanted} == wanted
    assert line["difference"] == 2, "what is missing here is not made good by what is too many there"
    assert summary(checks) == (2, 1)


@pytest.mark.parametrize(
    ("query", "tenants"),
    [
        (
            "select tenant_id, visit_id from warehouse.marts.fct_visits where visit_id = 'v1' -- found",
            {"harbor", "mesa"},
        ),
        ("select * from warehouse.marts.fct_visits where tenant_id = 'mesa'", {"mesa"}),
        ("select visit_id from warehouse.marts.fct_visits", None),
        ("select null as tenant_id union all select 'mesa'", None),
        ("select * from warehouse.marts.fct_visits where false", None),
    ],
)
def test_a_failed_test_concerns_the_tenants_whose_rows_it_finds_or_else_everybody(place, query, tenants):
    found = failing_tenants(place.home, Keys.of(place.home), {"a_test": query})
    assert found == {"a_test": None if tenants is None else dict.fromkeys(tenants, ())}


def test_what_a_test_finds_of_tenants_that_were_not_built_is_no_finding(place):
    change(place.home, "create schema if not exists warehouse.raw")
    change(place.home, "create or replace table warehouse.raw.touched_tenant as select 'mesa' as tenant_id")
    query = "select tenant_id from warehouse.marts.fct_visits"
    assert failing_tenants(place.home, Keys.of(place.home), {"t": query}) == {"t": {"mesa": ()}}


def test_a_failed_test_says_which_rules_a_tenants_rows_break(place):
    query = """
        select 'harbor' as tenant_id, 'a' as rule, 1 as row_count
        union all select 'mesa', 'a', 2 union all select 'mesa', 'b', 3000
    """
    assert failing_tenants(place.home, Keys.of(place.home), {"t": query}) == {
        "t": {"harbor": ("a: 1 row breaks it",), "mesa": ("b: 3,000 rows break it", "a: 2 rows break it")}
    }
