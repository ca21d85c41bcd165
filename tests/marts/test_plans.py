"""No statement of the dbt project compares every row of one table with every row of another: at ten times the rows that is a hundred
times the work, and nothing smaller shows it."""

from pathlib import Path

import pytest

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys

pytestmark = pytest.mark.slow
# Operators of DuckDB's plans that go through pairs of rows. What an outer join asks of the row it keeps, and of no other, leads there:
# that belongs into what is joined, or into a CASE.
QUADRATIC = ("BLOCKWISE_NL_JOIN", "NESTED_LOOP_JOIN")


def test_no_model_or_test_goes_through_pairs_of_rows(demo_home: Path) -> None:
    home = Home.at(demo_home)
    statements = sorted((demo_home / "dbt" / "target" / "compiled").rglob("*.sql"))
    assert len(statements) > 200
    found = {}
    with duck.session(home) as connection:
        duck.attach(
            connection, home.warehouse, alias="warehouse", key=Keys.of(home).derive_hex("warehouse"), read_only=True
        )
        connection.execute("use warehouse")
        for path in statements:
            ((_, plan),) = connection.execute(f"explain {path.read_text('utf-8')}").fetchall()
            operators = [name for name in QUADRATIC if name in plan]
            if operators:
                found[path.stem] = operators
    assert found == {}


def test_the_condition_that_is_told_to_avoid_is_seen(tmp_path: Path) -> None:
    with duck.session(Home.at(tmp_path)) as connection:
        connection.execute(
            "create table kept as select i as a, i % 2 = 0 as wanted from range(9999) t(i); create table other as from kept"
        )
        ((_, plan),) = connection.execute(
            "explain select * from kept left join other on kept.a = other.a and kept.wanted"
        ).fetchall()
        assert any(name in plan for name in QUADRATIC)
