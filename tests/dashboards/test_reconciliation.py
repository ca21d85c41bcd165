"""The bridge on Data health: who reads it sees at once whether all agrees, and why rows left on the way."""

from decimal import Decimal

import polars as pl

from dashboards.pages.data_health import reconciliation
from serving.model import RECONCILIATION, RECONCILIATION_CHECK, Health
from serving.publish.reconciliation import bridge

EMPTY = dict.fromkeys(
    (
        "feeds", "batches", "refused_units", "quarantine", "coverage", "alerts", "rhythms", "notices", "unknown_words",
        "unmatched_references", "remittance_matches", "conflicts", "deleted", "visits",
    ),
    pl.DataFrame(),
)  # fmt: skip


def health(difference="0"):
    def step(name, total, measure, feed="", reason=""):
        return {
            "feed": feed,
            "entity": "charge",
            "measure": measure,
            "step": name,
            "reason": reason,
            "total": Decimal(total),
            "counted_as": "",
        }

    steps = [
        step("read", "868", "rows", feed="pm"),
        step("quarantined", "5", "rows", feed="pm", reason="required"),
        step("left_out", "2", "rows", reason="not_posted"),
        step("marts", "861", "rows"),
        step("published", "861", "rows"),
        step("marts", "138312.9", "billed_amount"),
    ]
    checks = [
        {"entity": "charge", "measure": name, "check_name": "marts", "feed": "", "difference": Decimal(off)}
        for name, off in (("rows", difference), ("billed_amount", "0"))
    ] + [{"entity": "slot", "measure": "rows", "check_name": "load", "feed": "pm", "difference": Decimal(0)}]
    return Health(
        **EMPTY,
        reconciliation=pl.DataFrame(steps, schema=RECONCILIATION),
        reconciliation_checks=pl.DataFrame(checks, schema=RECONCILIATION_CHECK),
    )


def test_the_tile_and_the_heading_say_how_many_measures_agree():
    assert reconciliation.tile(health())[:2] == ("Reconciled", "3 of 3")
    assert reconciliation.tile(health("-1")) == ("Reconciled", "2 of 3", "1 measure open")
    assert "all 3 measures" in reconciliation._title(3, 0)
    assert "1 of 3 measures do not agree" in reconciliation._title(3, 1)
    assert reconciliation.tile(Health(**EMPTY))[1] == "\N{EN DASH}"


def test_rows_and_money_stand_in_tables_of_their_own_with_what_left_on_the_way():
    found = health()
    lines = bridge(found.reconciliation, found.reconciliation_checks)
    rows = reconciliation._bridge(lines.filter(pl.col("measure") == "rows"), "count", "Rows")
    assert "Charges" in rows
    for shown in ("868", "-5", "-2", "861"):
        assert f">{shown}<" in rows
    money = reconciliation._bridge(lines.filter(pl.col("measure") != "rows"), "usd", "Money")
    assert "Billed on charges" in money
    assert "$138,312.90" in money
    steps = reconciliation._details(found.reconciliation)
    assert "charge void or not posted" in steps
    assert ">pm<" in steps


def test_a_feed_that_stopped_is_said_to_be_in_none_of_the_numbers():
    quiet = reconciliation._note(3, 2, [])
    assert "1 more agree up to the current rows" in quiet
    assert "remits" not in quiet
    said = reconciliation._note(3, 3, [{"feed": "remits"}, {"feed": "ehr"}])
    assert said.endswith("What ehr, remits should have sent and did not is in none of these numbers")


def test_every_step_and_reason_of_the_bridge_has_its_words():
    from ingest.load.reconciliation import REASONS

    assert set(REASONS) <= set(reconciliation.REASONS)
