"""The rows behind a figure are the figure."""

from datetime import date
from decimal import Decimal

import pytest

from foundation.errors import ConfigurationError
from serving.model import MetricQuery

WHERES = (
    {},
    {"service_unit": "east"},
    {"service_unit": ["west", "lab"], "provider": "p1"},
    {"payer_class": "medicare"},
    {"hour_of_day": ["7", "8"]},
    {"payer": "aetna"},
)
PERIODS = ((None, None), (date(2026, 1, 10), date(2026, 2, 10)), (date(2030, 1, 1), None))


def close(left, right):
    return left == right or (left is not None and right is not None and float(left) == pytest.approx(float(right)))


@pytest.mark.parametrize("user", ["admin@harbor", "analyst@mesa", "two@harbor"])
def test_the_rows_of_every_metric_give_its_figure_under_every_filter_and_period(reader, user):
    seen = reader(user)
    compared = 0
    for item in seen.metrics():
        for where in WHERES:
            names = {"service_unit" if name == "service_unit_children" else name for name in item.dimensions}
            if not item.can_drill or not set(where) <= names:
                continue
            # West and lab are all that "two" sees.
            if user.startswith("two") and where.get("service_unit") == "east":
                continue
            for start, end in PERIODS:
                found = seen.drill(item.name, where, start, end)
                query = MetricQuery(metrics=[found.figure_of], where=where, date_from=start, date_to=end)
                figure = seen.query(query)[found.figure_of][0]
                assert close(found.total_value, figure), (item.name, where, start)
                compared += 1
    assert compared > 40


def test_a_share_of_rows_counts_its_rows_and_lists_them_alone_on_request(reader):
    admin = reader("admin@harbor")
    compared = 0
    for item in admin.metrics():
        whole = admin.drill(item.name) if item.can_drill else None
        if whole is None or whole.counted_rows is None or not whole.base_rows:
            continue
        assert close(whole.total_value, whole.counted_rows / whole.base_rows), item.name
        counted = admin.drill(item.name, counted_only=True, limit=10_000)
        assert counted.total_rows == counted.frame.height == whole.counted_rows, item.name
        assert (counted.base_rows, counted.total_value) == (whole.base_rows, whole.total_value), item.name
        compared += 1
    assert compared > 0


def test_the_sum_of_the_value_column_over_all_pages_is_the_total(reader):
    admin = reader("admin@harbor")
    total, rows, offset = Decimal(0), 0, 0
    while True:
        page = admin.drill("billed_amount", {"service_unit": "east"}, limit=30, offset=offset)
        if page.frame.is_empty():
            break
        total += page.frame[page.value_column].sum()
        rows, offset = rows + page.frame.height, offset + 30
    assert (rows, total) == (page.total_rows, page.total_value)
    assert (
        page.total_value
        == admin.query(MetricQuery(metrics=["billed_amount"], where={"service_unit": "east"}))["billed_amount"].item()
    )


def test_pages_do_not_overlap_and_the_newest_row_is_first(reader):
    admin = reader("admin@harbor")
    pages = [admin.drill("visits", limit=100, offset=offset).frame for offset in (0, 100, 200)]
    ids = [row for page in pages for row in page["visit_id"]]
    assert len(ids) == len(set(ids)) == 270
    assert pages[0]["visit_date"][0] >= pages[0]["visit_date"][-1] >= pages[1]["visit_date"][0]


def test_rows_carry_no_join_keys_and_no_tenant(reader):
    columns = reader("admin@harbor").drill("visits").frame.columns
    assert "visit_id" in columns
    assert not [name for name in columns if name.endswith("_key") or name == "tenant_id"]


def test_every_look_at_rows_is_audited_also_a_refused_one(place, reader):
    reader("east@harbor").drill("visits", {"provider": "p1"})
    with pytest.raises(ConfigurationError):
        reader("east@harbor").drill("billed_per_visit")
    refused, done = place.access.audit_rows("harbor", action="drill")
    assert (done.actor, done.result, done.detail["where"]) == ("east@harbor", "done", {"provider": "p1"})
    assert done.scope_hash == reader("east@harbor").scope.hash
    assert refused.result == "refused"


@pytest.mark.parametrize("options", [{"limit": 0}, {"limit": 10**9}, {"offset": -1}])
def test_a_page_that_cannot_be_is_refused(reader, options):
    with pytest.raises(ConfigurationError):
        reader("admin@harbor").drill("visits", **options)


def test_values_of_a_drill_never_become_sql(reader):
    found = reader("admin@harbor").drill("visits", {"payer_class": "x') or ('1'='1"})
    assert (found.total_rows, found.total_value) == (0, 0)
