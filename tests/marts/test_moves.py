"""Units that moved in the tree and payers that got another class: history as it was, and with today's order."""

from collections.abc import Iterator
from decimal import Decimal

import duckdb
import pytest

from tests.marts.building import Compiled, Row, Rows, fill

pytestmark = pytest.mark.slow

AS_OF = "2026-03-20"
FEEDS = ("pm",)


def charge(number: int, unit: str, day: str, amount: str) -> Row:
    return {
        "charge_id": f"c{number}",
        "patient_id": "M1",
        "service_unit_id": unit,
        "payer_id": "y",
        "procedure_code": "Z1",
        "units": "1",
        "billed_amount": amount,
        "service_date": day,
        "entered_at": f"{day} 12:00:00",
        "status": "posted",
    }


UNITS = [
    {"service_unit_id": "org", "name": "Group", "unit_type": "organization"},
    *({"service_unit_id": p, "parent_service_unit_id": "org", "name": p, "unit_type": "program"} for p in ("p1", "p2")),
    {"service_unit_id": "line", "parent_service_unit_id": "p2", "name": "Line", "unit_type": "service_line"},
    {
        "service_unit_id": "told",
        "parent_service_unit_id": "p1",
        "name": "Told",
        "unit_type": "clinic",
        "billing_profile": "b",
    },
    {"service_unit_id": "seen", "parent_service_unit_id": "line", "name": "Seen", "unit_type": "clinic"},
]
ROWS: Rows = {
    ("service_unit", "pm"): UNITS,
    # Stated by the source: below a program that is gone, then p2, now p1; a move to come is not yet one.
    ("service_unit_placement", "pm"): [
        {
            "service_unit_id": "told",
            "effective_from": "2025-01-01",
            "parent_service_unit_id": "old",
            "billing_profile": "a",
        },
        {
            "service_unit_id": "told",
            "effective_from": "2026-02-01",
            "parent_service_unit_id": "p2",
            "billing_profile": "b",
        },
        {
            "service_unit_id": "told",
            "effective_from": "2026-03-01",
            "parent_service_unit_id": "p1",
            "billing_profile": "b",
        },
        {
            "service_unit_id": "told",
            "effective_from": "2027-01-01",
            "parent_service_unit_id": "p2",
            "billing_profile": "b",
        },
    ],
    ("payer", "pm"): [{"payer_id": "y", "name": "Payer", "payer_class": "medicare", "effective_from": "1900-01-01"}],
    ("charge", "pm"): [
        charge(1, "told", "2024-06-01", "1"),
        charge(2, "told", "2026-01-31", "2"),
        charge(3, "told", "2026-02-01", "4"),
        charge(4, "told", "2026-03-01", "8"),
        charge(5, "seen", "2026-01-10", "16"),
        charge(6, "seen", "2026-02-10", "32"),
        charge(7, "seen", "2026-03-10", "64"),
    ],
}
# Seen by reading a source that dates nothing. The line hung below p1 until it moved, taking its clinic along; a state that is
# told again is none; what two states say of one day, the later one says.
SEEN = [
    ("service_unit", "seen", "line", None, None, "2025-05-01 10:00:00"),
    ("service_unit", "seen", "line", None, None, "2026-03-05 10:00:00"),
    ("service_unit", "line", "p1", None, None, "2025-05-01 10:00:00"),
    ("service_unit", "line", "org", None, None, "2026-02-10 12:00:00"),
    # 11 February in UTC, still the 10th in New York.
    ("service_unit", "line", "p2", None, None, "2026-02-11 03:00:00"),
    ("payer", "y", None, None, "commercial", "2025-05-01 10:00:00"),
    ("payer", "y", None, None, "medicare", "2026-02-01 15:00:00"),
]


@pytest.fixture(scope="module")
def marts(project: Compiled, tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """Tenant a with moves, tenant b with the same units and charges and none."""
    file = project.warehouse(tmp_path_factory.mktemp("moves"))
    with duckdb.connect(str(file)) as connection:
        fill(connection, "a", ROWS, feeds=FEEDS, as_of=AS_OF)
        still = {key: rows for key, rows in ROWS.items() if key[0] != "service_unit_placement"}
        fill(connection, "b", still, feeds=FEEDS, as_of=AS_OF)
        for state in SEEN:
            connection.execute(
                "insert into raw.structure_observation (tenant_id, source_system, entity, identifier, "
                "parent_service_unit_id, billing_profile, payer_class, observed_at) values ('a', 'pm', ?, ?, ?, ?, ?, ?)",
                list(state),
            )
    project.build(file, "fct_charge_lines", "dim_service_unit_versions", "dim_payers")
    with duckdb.connect(str(file), read_only=True) as connection:
        yield connection


def billed(marts: duckdb.DuckDBPyConnection, tenant: str, column: str) -> dict[str, Decimal]:
    return dict(
        marts.execute(
            f"select {column}, sum(lines.billed_amount) from marts.fct_charge_lines lines "
            "join marts.dim_service_unit_versions unit using (service_unit_key) "
            "join marts.dim_payers payer using (payer_key) where lines.tenant_id = ? group by 1",
            [tenant],
        ).fetchall()
    )


def test_a_charge_counts_where_its_unit_stood_on_its_day(marts: duckdb.DuckDBPyConnection) -> None:
    # "old" is listed by no feed any more: it is a clinic without a program above it.
    assert billed(marts, "a", "unit.program_id") == {"none": 3, "p2": 4 + 32 + 64, "p1": 8 + 16}
    assert billed(marts, "a", "unit.level_1_id") == {"old": 3, "org": 124}


def test_restated_it_counts_where_its_unit_stands_now(marts: duckdb.DuckDBPyConnection) -> None:
    assert billed(marts, "a", "unit.current_program_id") == {"p1": 15, "p2": 112}


def test_a_unit_moves_along_with_what_stands_above_it(marts: duckdb.DuckDBPyConnection) -> None:
    spans = marts.execute(
        "select cast(valid_from as varchar), cast(valid_to as varchar), path, is_current "
        "from marts.dim_service_unit_versions where tenant_id = 'a' and service_unit_id = 'seen' order by valid_from"
    ).fetchall()
    assert spans == [
        ("0001-01-01", "2026-02-09", "/org/p1/line/seen/", False),
        ("2026-02-10", "9999-12-31", "/org/p2/line/seen/", True),
    ]


def test_billing_profiles_are_told_as_they_were(marts: duckdb.DuckDBPyConnection) -> None:
    assert billed(marts, "a", "unit.billing_profile") == {"a": 3, "b": 12, "none": 112}
    assert billed(marts, "a", "unit.current_billing_profile") == {"b": 15, "none": 112}


def test_a_payer_that_was_seen_in_another_class_keeps_it_for_the_past(marts: duckdb.DuckDBPyConnection) -> None:
    assert billed(marts, "a", "lines.payer_class") == {"commercial": 1 + 2 + 16, "medicare": 4 + 8 + 32 + 64}
    assert billed(marts, "a", "payer.current_payer_class") == {"medicare": 127}


def test_another_tenant_with_the_same_units_is_where_it_always_was(marts: duckdb.DuckDBPyConnection) -> None:
    assert (
        billed(marts, "b", "unit.program_id") == billed(marts, "b", "unit.current_program_id") == {"p1": 15, "p2": 112}
    )
    assert billed(marts, "b", "lines.payer_class") == {"medicare": 127}
    count = "select count(*) from marts.dim_service_unit_versions where tenant_id = 'b' and not is_current"
    assert marts.execute(count).fetchall() == [(0,)]
