"""Rows that count in a figure and rows that are left out: they add up, for each person within their scope, and none is told of too few
people."""

from datetime import date

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.deidentification import Deidentification
from foundation.errors import AccessError, ConfigurationError
from serving.metrics.left_out import left_out_of, reasons, title
from serving.metrics.registry import LeftOut, TableColumn
from serving.model import MetricQuery
from tests.serving.small_warehouse import TENANTS

FIRST, LAST = date(2026, 1, 10), date(2026, 2, 5)


def numbers(lists):
    return [[(part.kind, part.words, part.rows) for part in rows.parts] for rows in lists]


@pytest.mark.parametrize(("tenant", "visits", "left"), [("harbor", 270, 30), ("mesa", 90, 10)])
def test_a_count_says_how_many_rows_count_and_why_the_others_do_not(reader, tenant, visits, left):
    found = reader(f"admin@{tenant}").rows_around("visits")
    assert numbers(found) == [[("counted", "", visits), ("left_out", "Not visit", left)]]
    assert (found[0].rows, found[0].table) == (visits + left, "fct_visits")


def test_people_are_counted_once_and_a_share_has_rows_below_its_line_alone(reader):
    admin = reader("admin@harbor")
    assert numbers(admin.rows_around("people")) == [
        [("counted", "", 9), ("repeated", "Further rows of the same", 261), ("left_out", "Not visit", 30)]
    ]
    assert numbers(admin.rows_around("denied_share")) == [[("counted", "", 30), ("below_alone", "Not denied", 90)]]


def test_two_lists_of_rows_have_a_list_for_each_side(reader):
    above, below = reader("admin@harbor").rows_around("denied_per_person")
    assert (above.metric, below.metric) == ("denied_charges", "people")
    assert (above.rows, below.rows) == (120, 300)


@pytest.mark.parametrize("user", ["admin", "east", "doctor"])
@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("where", [{}, {"service_unit": "lab"}, {"payer_class": ["medicare"]}])
def test_the_parts_are_the_rows_of_the_question_within_the_scope(reader, user, tenant, where):
    held = reader(f"{user}@{tenant}")
    names = [item.name for item in held.metrics() if set(where) <= set(item.dimensions)]
    counts = [name for name in ("visits", "people", "denied_charges") if name in names]
    answer = held.query(MetricQuery(metrics=counts, where=where, date_from=FIRST, date_to=LAST)).row(0, named=True)
    compared = 0
    for name in names:
        lists = held.rows_around(name, where, FIRST, LAST)
        for rows in lists:
            rule = held.registry.metrics[rows.metric].drill
            assert rows.rows == sum(part.rows for part in rows.parts) == _rows_of(held, rule, where)
            assert "Other rows" not in [part.words for part in rows.parts]
            compared += 1
        if name in counts:
            assert answer[name] == sum(part.rows for part in lists[0].parts if part.kind == "counted")
    assert compared >= 3


def _rows_of(held, rule, where):
    """Rows of a table, counted without any code of the product but the open file."""
    conditions = [f"{rule.date_column} between '{FIRST}' and '{LAST}'"]
    if rule.is_snapshot:
        last = f"select max({rule.date_column}) from warehouse.marts.{rule.model} where {conditions[0]}"
        conditions = [f"{rule.date_column} = ({last})"]
    if "service_unit" in where:
        conditions.append(f"service_unit_id = '{where['service_unit']}'")
    if "payer_class" in where:
        conditions.append(f"payer_class in ({', '.join(repr(value) for value in where['payer_class'])})")
    sql = f"select count(*) from warehouse.marts.{rule.model} where {' and '.join(conditions)}"
    return held._metrics.data.frame(sql).item()


def test_a_part_of_too_few_people_is_not_told_to_those_who_see_figures_alone(place, reader):
    place.access.ensure_tenant("harbor", "Harbor", Deidentification(rule="limited", smallest_cell=5))
    # The rows that are no visits are all of one person.
    (rows,) = reader("ceo@harbor").rows_around("visits")
    assert [(part.kind, part.rows, part.unripe) for part in rows.parts] == [("counted", 270, 0), ("left_out", None, 0)]
    assert rows.rows is None
    assert numbers(reader("admin@harbor").rows_around("visits"))[0][1][2] == 30
    # The people of a filter are enough, those outside it are too few.
    asked = {"service_unit": ["imaging", "lab", "west", "east"]}
    (inside,) = reader("ceo@harbor").rows_around("visits", asked)
    (outside,) = reader("ceo@harbor").rows_around("visits", {"service_unit": "unknown"})
    for rows in (inside, outside):
        assert all(part.rows is None for part in rows.parts)


def test_what_the_figure_refuses_its_rows_refuse_too_and_both_are_recorded(place, reader):
    for user, metric, error in (
        ("nurse@harbor", "visits", AccessError),
        ("admin@harbor", "nothing", ConfigurationError),
    ):
        with pytest.raises(error):
            reader(user).rows_around(metric)
        refused = place.access.audit_rows("harbor", action="query")[0]
        assert (refused.result, refused.detail["metrics"]) == ("refused", [metric])
    with pytest.raises(AccessError, match="no service unit"):
        reader("east@harbor").rows_around("visits", {"service_unit": "west"})
    reader("admin@harbor").rows_around("visits", {"payer_class": "medicare"})
    assert place.access.audit_rows("harbor", action="query")[0].detail["where"] == {"payer_class": "medicare"}


# Reasons of a condition

FLAGS, NUMBERS, WORDS = ("is_a", "is_b"), ("n_days", "m_amount"), ("state",)
SAID = {
    "is_a": [{"when": "state = 'x'", "says": "In x"}, {"says": "Not a"}],
    "is_b": [{"as": "is_a"}, {"by": "state"}],
    "n_days": [{"when": "is_a", "says": "Days of a"}, {"says": "Days not known"}],
}
KINDS = dict.fromkeys(FLAGS, "boolean") | dict.fromkeys(NUMBERS, "integer") | dict.fromkeys(WORDS, "varchar")
COLUMNS = {
    name: TableColumn(name=name, data_type=kind, left_out=left_out_of(SAID, name)) for name, kind in KINDS.items()
}

ATOMS = st.one_of(
    st.sampled_from([*FLAGS, *(f"not {flag}" for flag in FLAGS)]),
    st.builds(
        "{} {} {}".format,
        st.sampled_from(NUMBERS),
        st.sampled_from(["<", "<=", ">", ">=", "=", "<>"]),
        st.integers(-2, 2),
    ),
    st.builds("{} is {}".format, st.sampled_from([*NUMBERS, *WORDS]), st.sampled_from(["null", "not null"])),
    st.sampled_from(["state in ('x', 'y')", "state = 'z'", "state <> 'x'", "n_days - m_amount <> 0"]),
    st.sampled_from(["not coalesce((is_a and not is_b), false)", "n_days < case when is_a then 1 else 2 end"]),
)
CONDITIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.builds("({} and {})".format, inner, inner),
        st.builds("({} or {})".format, inner, inner),
        st.builds("{} and {}".format, inner, inner),
    ),
    max_leaves=5,
)


@given(CONDITIONS)
def test_every_row_that_fails_a_condition_meets_a_reason(condition):
    found = reasons(condition, COLUMNS)
    assert all(reason.words for reason in found)
    meets = " or ".join(f"coalesce(({reason.condition}), false)" for reason in found)
    with duckdb.connect() as connection:
        connection.execute(
            "create table t as select * from (values (true), (false), (null)) a (is_a), (values (true), (false), (null)) b (is_b), "
            "(values (-1), (1), (null)) n (n_days), (values (0), (2), (null)) m (m_amount), "
            "(values ('x'), ('z'), (null)) s (state)"
        )
        failing = f"from t where not coalesce(({condition}), false)"
        assert connection.execute(f"select count(*) {failing} and not ({meets})").fetchone() == (0,)
        for reason in found:
            # A reason names no row that counts.
            counted = f"select count(*) from t where ({condition}) and ({reason.condition})"
            assert connection.execute(counted).fetchone() == (0,)


def test_reasons_stand_in_the_order_of_the_definition_and_in_its_words():
    found = reasons("is_b and n_days > 3 and state in ('x')", COLUMNS)
    assert [(reason.words, reason.by) for reason in found] == [
        ("In x", ""),
        ("Not a", ""),
        ("State", "state"),
        ("Days of a", ""),
        ("Days not known", ""),
        ("N days not known", ""),
        ("N days: 3 or less", ""),
        ("State", "state"),
    ]
    assert reasons("true", COLUMNS) == reasons("", COLUMNS) == ()


@pytest.mark.parametrize(
    "entries",
    [
        [{"says": "first"}, {"says": "second"}],
        [{"when": "true"}],
        [{"as": "is_b"}],
        [{"as": "is_missing"}, {"says": "x"}],
        [{"as": "is_c"}, {"says": "x"}],
        [{"when": "true", "says": "x", "by": "state"}],
        [{}],
    ],
)
def test_what_a_column_says_wrongly_is_named(entries):
    with pytest.raises(ConfigurationError, match="column is_c: left_out 1 is not"):
        left_out_of({**SAID, "is_c": entries}, "is_c")


def test_columns_in_words():
    assert [title(name) for name in ("billed_amount", "is_denied", "payer_id")] == ["Billed amount", "Denied", "Payer"]
    assert LeftOut(words="x") == LeftOut(words="x", condition="", by="")
