"""Everything that a person is shown is an audit row: questions, refusals, whose rows, one row for a page's figures."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import AccessError, ConfigurationError
from serving.metrics.registry import PublishedTable, TableColumn
from serving.model import MetricQuery
from serving.people.shown import gathering
from serving.rows.people import PEOPLE_A_ROW, people_in

TABLE = PublishedTable(
    schema="marts",
    name="fct_visits",
    description="",
    module="core",
    shared=False,
    unit_column="",
    provider_column="",
    order_by=(),
    columns=(
        TableColumn(name="patient_token", data_type="VARCHAR", identity="patient"),
        TableColumn(name="claim_id", data_type="VARCHAR", identity="account"),
    ),
)


def newest(place, count: int = 1):
    return place.access.audit_rows("harbor", limit=count)


def test_a_question_is_a_row_and_a_refused_one_too(place, reader):
    east = reader("east@harbor")
    east.query(MetricQuery(metrics=["visits"], by=["provider"], where={"service_unit": "east"}))
    (row,) = newest(place)
    assert (row.actor, row.action, row.result, row.scope_hash) == ("east@harbor", "query", "done", east.scope.hash)
    assert row.detail["metrics"] == ["visits"]
    assert row.detail["where"] == {"service_unit": "east"}
    with pytest.raises(ConfigurationError):
        east.query(MetricQuery(metrics=["nosuch"]))
    assert (newest(place)[0].action, newest(place)[0].result) == ("query", "refused")


def test_refused_health_is_a_row_and_so_is_health_that_is_shown(place, reader):
    with pytest.raises(AccessError):
        reader("doctor@harbor").health()
    assert (newest(place)[0].actor, newest(place)[0].action, newest(place)[0].result) == (
        "doctor@harbor", "health", "refused",
    )  # fmt: skip
    reader("admin@harbor").health()
    assert (newest(place)[0].actor, newest(place)[0].action, newest(place)[0].result) == (
        "admin@harbor", "health", "done",
    )  # fmt: skip


def test_questions_of_a_page_are_gathered_and_write_no_rows_of_their_own(place, reader):
    admin = reader("admin@harbor")
    before = newest(place)[0].sequence if newest(place) else 0
    with gathering() as shown:
        for _ in range(3):
            admin.query(MetricQuery(metrics=["visits"], by=["provider"]))
        admin.query(MetricQuery(metrics=["billed_amount"]))
    assert (newest(place)[0].sequence if newest(place) else 0) == before
    assert shown.detail() == {"metrics": ["billed_amount", "visits"], "by": ["provider"]}


def test_a_drill_names_whose_rows_it_showed_and_no_others(place, reader):
    seen = reader("east@harbor").drill("visits", limit=7)
    (row,) = newest(place)
    assert row.detail["column"] == "patient_id"
    assert row.detail["people"] == sorted(set(seen.frame["patient_id"].to_list()))
    # In a de-identified scope these are the surrogates of that scope.
    analyst = reader("analyst@harbor").drill("visits", limit=7)
    assert newest(place)[0].detail["people"] == sorted(set(analyst.frame["patient_id"].to_list()))


@given(st.lists(st.one_of(st.none(), st.text(max_size=3)), max_size=3000))
def test_everybody_of_a_frame_is_named_once_in_rows_of_bounded_size(people):
    frame = pl.DataFrame({"patient_token": people}, schema={"patient_token": pl.String})
    details = people_in(frame, TABLE)
    named = [person for detail in details for person in detail["people"]]
    assert sorted(named) == sorted({person for person in people if person is not None})
    assert all(len(detail["people"]) <= PEOPLE_A_ROW for detail in details)


def test_rows_without_a_patient_name_their_accounts_and_rows_of_nobody_name_nobody():
    (accounts,) = people_in(pl.DataFrame({"claim_id": ["c2", "c1", "c2"]}), TABLE)
    assert accounts == {"column": "claim_id", "people": ["c1", "c2"]}
    assert people_in(pl.DataFrame({"bed_days": [1]}), TABLE) == []
    assert people_in(pl.DataFrame({"patient_id": ["t1"]}), None) == [{"column": "patient_id", "people": ["t1"]}]
