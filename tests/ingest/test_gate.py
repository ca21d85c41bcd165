"""The contract gate: what passes, what is held back and why, and that both compilations of a contract agree."""

from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_contracts import contract, load_contracts
from ingest.landing.contract_gate import check, gate_results
from ingest.landing.tokens import token, tokenise
from tests.ingest.second_gate import GateMismatch, cross_check

CHARGE = {
    "charge_id": "C1",
    "status": "posted",
    "billed_amount": "120.50",
    "service_date": "2026-03-12",
    "entered_at": "2026-03-13T09:00:00-05:00",
    "source_record_id": "C1",
    "source_updated_at": "2026-03-13T14:00:00Z",
    "source_position": "row 1",
}


def charges(*changes: dict[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame([CHARGE | change for change in changes], schema=dict.fromkeys(CHARGE, pl.String))


def test_text_becomes_the_types_of_the_contract() -> None:
    good = check(contract("charge"), charges({})).good
    row = good.row(0, named=True)
    assert row["billed_amount"] == Decimal("120.5000")
    assert row["service_date"] == date(2026, 3, 12)
    assert row["entered_at"] == datetime(2026, 3, 13, 14, tzinfo=UTC)
    assert row["claim_id"] is None
    assert dict(good.schema) == contract("charge").polars_schema(of_reader=True)


@pytest.mark.parametrize(
    ("change", "reason", "column"),
    [
        ({"billed_amount": "12,50"}, "type", "billed_amount"),
        ({"billed_amount": ""}, "required", "billed_amount"),
        ({"service_date": "12.03.2026"}, "type", "service_date"),
        ({"entered_at": "2026-03-13 09:00"}, "type", "entered_at"),
        ({"status": "draft"}, "valid_values", "status"),
        ({"charge_id": "  "}, "required", "charge_id"),
    ],
)
def test_a_bad_row_is_held_with_reason_and_column_and_the_others_pass(change: dict, reason: str, column: str) -> None:
    gated = check(contract("charge"), charges({}, change, {"charge_id": "C3"}))
    assert gated.good["charge_id"].to_list() == ["C1", "C3"]
    assert gated.bad.select("_reason", "_column").rows() == [(reason, column)]


APPOINTMENT_STATUSES = st.sampled_from([*contract("appointment").by_name["status"].valid_values, "unheard of", None])


@settings(deadline=None, max_examples=25)
@given(rows=st.lists(st.tuples(APPOINTMENT_STATUSES, st.booleans()), min_size=1, max_size=12))
def test_a_start_is_required_unless_the_status_allows_to_lack_it(rows: list[tuple[str | None, bool]]) -> None:
    entity_contract = contract("appointment")
    (rule,) = entity_contract.required_unless
    assert (rule.column, rule.unless_column) == ("scheduled_start_at", "status")
    columns = ("appointment_id", "status", "scheduled_start_at")
    lineage = ("source_record_id", "source_updated_at", "source_position")
    frame = pl.DataFrame(
        [
            (str(number), status, "2026-03-10T15:00:00Z" if has_start else None, "r", "2026-03-01T00:00:00Z", "row 1")
            for number, (status, has_start) in enumerate(rows)
        ],
        schema=dict.fromkeys((*columns, *lineage), pl.String),
        orient="row",
    )
    gated = check(entity_contract, frame)
    kept = {
        str(number)
        for number, (status, has_start) in enumerate(rows)
        if status in rule.unless_values or (has_start and status not in (None, "unheard of"))
    }
    assert set(gated.good["appointment_id"]) == kept
    assert gated.bad.height == len(rows) - len(kept)
    cross_check(entity_contract, gated.checked, gated.counts)


def test_an_end_before_its_start_is_held() -> None:
    entity_contract = contract("appointment")
    frame = pl.DataFrame(
        {
            "appointment_id": ["1", "2", "3"],
            "status": ["scheduled"] * 3,
            "scheduled_start_at": ["2026-01-05T10:00:00Z"] * 3,
            "scheduled_end_at": ["2026-01-05T09:00:00Z", "2026-01-05T10:00:00Z", None],
            "source_record_id": ["1", "2", "3"],
            "source_updated_at": ["2026-01-01T00:00:00Z"] * 3,
            "source_position": ["row 1", "row 2", "row 3"],
        }
    )
    gated = check(entity_contract, frame)
    assert gated.good["appointment_id"].to_list() == ["2", "3"]
    assert gated.bad.select("source_position", "_reason").rows() == [("row 1", "order")]
    assert sum(result.unexpected for result in cross_check(entity_contract, gated.checked, gated.counts)) == 1


def test_a_gate_that_miscounts_is_found_out() -> None:
    entity_contract = contract("charge")
    gated = check(entity_contract, charges({}, {"status": "draft"}))
    cross_check(entity_contract, gated.checked, gated.counts)
    with pytest.raises(GateMismatch, match=r"charge\.status"):
        cross_check(entity_contract, gated.checked, gated.counts | {("valid_values", "status"): 0})


texts = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.sampled_from(
        ["2026-02-30", "2026-01-01", "2026-01-01T00:00:00Z", "1e9", "-3", "true", "nan", "inf", "0x1", "٣", "AMB"]
    ),
)


@pytest.mark.parametrize("entity", sorted(load_contracts()))
@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_whatever_comes_every_row_is_good_or_held_and_both_checks_agree(entity: str, data: st.DataObject) -> None:
    entity_contract = contract(entity)
    columns = entity_contract.reader_columns
    values = [st.one_of(texts, st.sampled_from(item.valid_values)) if item.valid_values else texts for item in columns]
    rows = data.draw(st.lists(st.tuples(*values), min_size=1, max_size=6))
    frame = pl.DataFrame(rows, schema=dict.fromkeys((item.name for item in columns), pl.String), orient="row")
    gated = check(entity_contract, frame)
    assert gated.good.height + gated.bad.height == frame.height
    assert gated.bad["_reason"].null_count() == 0
    assert gate_results(entity_contract, gated) == cross_check(entity_contract, gated.checked, gated.counts)


def test_every_contract_has_a_gate_that_compiles() -> None:
    for entity_contract in load_contracts().values():
        empty = pl.DataFrame(schema={column.name: pl.String for column in entity_contract.reader_columns})
        assert check(entity_contract, empty).good.height == 0


def test_tokens_are_stable_within_a_tenant_and_unrelated_between_tenants() -> None:
    frame = pl.DataFrame({"patient_id": ["MRN1", " MRN1", "MRN2", "", None], "n": [1, 2, 3, 4, 5]})
    ours = tokenise(frame, {"patient_id": "patient"}, b"k" * 32)
    assert ours["patient_id"].to_list()[0] == ours["patient_id"].to_list()[1] == token(b"k" * 32, "patient", "MRN1")
    assert ours["patient_id"].n_unique() == 3
    assert ours["patient_id"].to_list()[3:] == [None, None]
    assert ours["n"].to_list() == [1, 2, 3, 4, 5]
    theirs = tokenise(frame, {"patient_id": "patient"}, b"j" * 32)
    assert not set(ours["patient_id"].drop_nulls()) & set(theirs["patient_id"].drop_nulls())
    assert "MRN" not in "".join(ours["patient_id"].drop_nulls())
    members = tokenise(frame, {"patient_id": "member"}, b"k" * 32)
    assert not set(ours["patient_id"].drop_nulls()) & set(members["patient_id"].drop_nulls())


def test_a_unit_in_a_time_zone_that_is_none_is_held_back_and_every_zone_that_passes_is_known_to_the_warehouse() -> None:
    entity_contract = contract("service_unit")
    zones = entity_contract.by_name["time_zone"].valid_values
    rows = [
        {"service_unit_id": zone, "time_zone": zone, "name": "Clinic", "unit_type": "clinic", "source_record_id": zone}
        for zone in (*zones, "Mars/Olympus", "EST+5 or so")
    ]
    frame = pl.DataFrame(rows).with_columns(
        pl.lit("2026-01-01T00:00:00Z").alias("source_updated_at"), pl.lit("row 1").alias("source_position")
    )
    gated = check(entity_contract, frame)
    assert gated.bad.select("source_record_id", "_reason", "_column").rows() == [
        ("Mars/Olympus", "valid_values", "time_zone"),
        ("EST+5 or so", "valid_values", "time_zone"),
    ]
    cross_check(entity_contract, gated.checked, gated.counts)
    with duckdb.connect() as connection:
        connection.register("units", gated.good.select("time_zone"))
        result = connection.execute("select count(timezone(time_zone, timestamptz '2026-01-01')) from units").fetchall()
    assert result == [(len(zones),)]
    assert {"America/New_York", "America/Indiana/Tell_City", "UTC"} < set(zones)
