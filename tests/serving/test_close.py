"""Closed months: what was frozen stays, what changed is told and explained to the record, and only to those who may see it."""

import json
import random
from datetime import UTC, date, datetime
from decimal import Decimal

import polars as pl
import pytest

from foundation.errors import AccessError, ConfigurationError
from serving.closed_months.close import IncompleteMonth, close_month, read_figures, reopen_month
from serving.closed_months.figures import KEY, figures, open_whole
from serving.closed_months.restate import restate
from serving.closed_months.restatements import read_restated
from serving.versions.closes import closes, figures_file, folder
from serving.versions.store import current_version
from tests.serving.closing import FEBRUARY, late
from tests.serving.conftest import Place
from tests.serving.small_warehouse import change


def the_close(place: Place, tenant: str = "harbor"):
    return closes(place.home, tenant)[-1]


def restated(place: Place, metric: str = "billed_amount", dimension: str = "") -> pl.DataFrame:
    rows = read_restated(place.home, the_close(place)).rows
    return rows.filter(pl.col("metric") == metric, pl.col("grain") == "month", pl.col("dimension") == dimension)


def test_a_close_holds_what_the_reader_answers_for_every_metric_and_dimension(closed, reader):
    from serving.model import MetricQuery

    found, asked = read_figures(closed.home, the_close(closed))
    admin = reader("admin@harbor")
    names = {item.name for item in admin.metrics()}
    assert {item.metric for item in asked} == names
    for metric in sorted(names):
        for grain, dimension in (("month", ""), ("day", ""), ("month", "service_unit"), ("month", "level_2")):
            by = [dimension] if dimension else []
            query = MetricQuery(metrics=[metric], by=by, grain=grain, date_from=FEBRUARY, date_to=date(2026, 2, 28))
            answer = {
                (row.get(dimension) or "", row["metric_time"]): row[metric]
                for row in admin.query(query).iter_rows(named=True)
                if row[metric]
            }
            mine = found.filter(metric=metric, grain=grain, dimension=dimension)
            frozen = {
                (row["member"], row["period"]): row["exact"] if row["exact"] is not None else row["real"]
                for row in mine.iter_rows(named=True)
            }
            assert {key: pytest.approx(float(value)) for key, value in answer.items()} == {
                key: float(value) for key, value in frozen.items() if value
            }
    weeks = found.filter(metric="visits", grain="week")["period"].unique().sort().to_list()
    assert weeks == [date(2026, 2, 2), date(2026, 2, 9), date(2026, 2, 16)]


def test_a_late_change_is_a_restatement_explained_to_feed_file_and_record(closed):
    change(closed.home, late("c35", "150.25", 7))
    closed.publish("run-2")
    assert restate(closed.home, "harbor", "run-2", file_marks=lambda units: {u: f"file of {u}" for u in units}) > 0
    (row,) = restated(closed).to_dicts()
    assert (row["new_exact"] - row["old_exact"], row["amount_exact"]) == (Decimal(50), Decimal(50))
    assert row["old_exact"] == row["closed_exact"]
    assert (row["run_id"], row["definition_changed"]) == ("run-2", False)
    causes = read_restated(closed.home, the_close(closed)).causes.filter(cause_set=row["cause_set"]).to_dicts()
    told = [(c["kind"], c["feed"], c["file"], c["record_kind"], c["record_id"], c["rows"]) for c in causes]
    assert told == [("late", "remits", "file of 7", "charge", "c35", 1)]
    assert causes[0]["landed_at"] == datetime(2026, 4, 3, 5)
    # c35 lies in the west: no line for units, payers and metrics that did not change.
    assert restated(closed, dimension="service_unit")["member"].to_list() == ["west"]
    touched = read_restated(closed.home, the_close(closed)).rows["metric"].unique().sort().to_list()
    assert touched == ["billed_amount", "billed_per_visit", "payer_mix_billed"]


def test_a_second_change_and_a_return_are_rows_of_their_own_and_the_closed_figure_never_moves(closed):
    frozen = read_figures(closed.home, the_close(closed))[0]
    content = figures_file(closed.home, the_close(closed)).read_bytes()
    for sequence, amount in ((7, "150.25"), (8, "90.25"), (9, "100.25")):
        change(closed.home, late("c35", amount, sequence))
        closed.publish(f"run-{sequence}")
        assert restate(closed.home, "harbor", f"run-{sequence}") > 0
        # Asked again of the same version nothing is found twice.
        assert restate(closed.home, "harbor", f"run-{sequence}") == 0
    rows = restated(closed)
    assert rows["amount_exact"].to_list() == [Decimal(50), Decimal(-60), Decimal(10)]
    assert rows["old_exact"].to_list()[1:] == rows["new_exact"].to_list()[:-1]
    assert rows["closed_exact"].n_unique() == 1
    assert rows["new_exact"][-1] == rows["closed_exact"][0]
    known = read_restated(closed.home, the_close(closed))
    files = [known.causes.filter(cause_set=name)["file"].to_list() for name in rows["cause_set"]]
    assert files == [["unit 7"], ["unit 8"], ["unit 9"]]
    assert read_figures(closed.home, the_close(closed))[0].equals(frozen)
    assert figures_file(closed.home, the_close(closed)).read_bytes() == content


def test_a_run_that_was_killed_before_it_noted_the_version_finds_nothing_twice(closed):
    change(closed.home, late("c35", "150.25", 7))
    closed.publish("run-2")
    restate(closed.home, "harbor", "run-2")
    known = read_restated(closed.home, the_close(closed)).rows
    (folder(closed.home, "harbor") / "checked.json").unlink()
    assert restate(closed.home, "harbor", "run-3") == 0
    assert read_restated(closed.home, the_close(closed)).rows.equals(known)


def test_changes_of_other_months_and_other_tenants_restate_nothing(closed):
    # c59 and c119 lie in March of harbor; mesa has a charge c35 as well.
    change(closed.home, late("c59", "999", 7) + late("c35", "999", 8, tenant="mesa"))
    closed.publish("run-2")
    change(closed.home, "delete from warehouse.marts.fct_charges where charge_id = 'c119'")
    closed.publish("run-3")
    assert restate(closed.home, "harbor", "run-3") == 0
    assert restate(closed.home, "mesa", "run-3") == 0
    assert closes(closed.home, "mesa") == ()


def test_a_change_of_definition_is_a_cause_of_its_own(closed):
    path = closed.dbt_target / "semantic_manifest.json"
    semantic = json.loads(path.read_bytes())
    for model in semantic["semantic_models"]:
        for measure in model["measures"]:
            if measure["name"] == "billed_sum":
                measure["expr"] = "billed_amount * 2"
    path.write_text(json.dumps(semantic))
    closed.publish("run-2")
    restate(closed.home, "harbor", "run-2")
    (row,) = restated(closed).to_dicts()
    assert row["definition_changed"]
    assert row["new_exact"] == 2 * row["closed_exact"]
    causes = read_restated(closed.home, the_close(closed)).causes.filter(cause_set=row["cause_set"])
    assert causes["kind"].to_list() == ["definition"]
    assert "visits" not in read_restated(closed.home, the_close(closed)).rows["metric"].to_list()


def test_a_metric_that_is_no_longer_published_is_one_row(closed):
    path = closed.dbt_target / "semantic_manifest.json"
    semantic = json.loads(path.read_bytes())
    semantic["metrics"] = [item for item in semantic["metrics"] if item["name"] != "cycle_minutes"]
    path.write_text(json.dumps(semantic))
    closed.publish("run-2")
    assert restate(closed.home, "harbor", "run-2") == 1
    (row,) = read_restated(closed.home, the_close(closed)).rows.to_dicts()
    assert (row["metric"], row["new_real"], row["definition_changed"]) == ("cycle_minutes", None, True)


def test_what_plausibility_doubts_of_a_month_is_kept_with_its_close_and_keeps_it_from_nothing(ready, person):
    row = "('harbor', 'CM-PLAUS-001', 'pm', '', 'charge', '{}', '', '', '', 1, null, date '{}', date '{}')"
    rows = [
        row.format("Within", "2026-02-01", "2026-02-03"),
        row.format("Before", "2026-01-05", "2026-01-31"),
        row.format("After", "2026-03-01", "2026-03-02"),
        row.format("Around", "2026-01-05", "2026-03-02"),
    ]
    change(ready.home, f"insert into warehouse.health.plausibility select * from (values {', '.join(rows)})")
    ready.publish("run-2")
    close_month(ready.home, person("admin@harbor"), FEBRUARY)
    assert sorted(doubt.partition(":")[0] for doubt in the_close(ready).doubts) == ["Around", "Within"]
    assert the_close(ready).missing == ()


def test_a_month_that_has_not_ended_or_is_closed_or_lacks_data_is_refused(ready, person):
    admin, mesa = person("admin@harbor"), person("admin@mesa")
    # The last hour of February in New York is March in UTC.
    with pytest.raises(ConfigurationError, match="2026-02 has not ended yet: it is 2026-02-28 in America/New_York"):
        close_month(ready.home, admin, FEBRUARY, now=datetime(2026, 3, 1, 4, 30, tzinfo=UTC))
    with pytest.raises(IncompleteMonth, match=r"only to 2026-02-28.*feed pm: Feed pm stopped"):
        close_month(ready.home, mesa, date(2026, 3, 1))
    done = close_month(ready.home, mesa, date(2026, 3, 1), accept_incomplete="the clinic moved")
    assert (done.accepted_because, len(done.missing)) == ("the clinic moved", 2)
    close_month(ready.home, admin, FEBRUARY)
    with pytest.raises(ConfigurationError, match=r"was closed on .* by admin@harbor; reopen it first"):
        close_month(ready.home, admin, FEBRUARY)
    for user in ("ceo", "east", "analyst", "biller", "doctor"):
        with pytest.raises(AccessError, match="only an administrator"):
            close_month(ready.home, person(f"{user}@harbor"), date(2026, 1, 1))
    rows = ready.access.audit_rows("harbor", action="month closed")
    assert [row.result for row in rows].count("done") == 1
    assert [row.result for row in rows].count("refused") == 7


def test_a_month_closed_again_keeps_both_closes(closed, person, reader):
    admin = person("admin@harbor")
    with pytest.raises(ConfigurationError, match="needs a reason"):
        reopen_month(closed.home, admin, FEBRUARY, because=" ")
    with pytest.raises(AccessError):
        reopen_month(closed.home, person("ceo@harbor"), FEBRUARY, because="no")
    change(closed.home, late("c35", "150.25", 7))
    closed.publish("run-2")
    restate(closed.home, "harbor", "run-2")
    reopen_month(closed.home, admin, FEBRUARY, because="a fee schedule was wrong")
    again = close_month(closed.home, admin, FEBRUARY)
    first, second = closes(closed.home, "harbor")
    assert (first.number, second.number, again.number) == (1, 2, 2)
    assert (first.stands, first.reopened_because, second.stands) == (False, "a fee schedule was wrong", True)
    totals = [
        read_figures(closed.home, item)[0].filter(metric="billed_amount", grain="month", dimension="")["exact"][0]
        for item in (first, second)
    ]
    assert totals[1] - totals[0] == 50
    assert read_restated(closed.home, first).rows.height > 0
    told = closed.access.audit_rows("harbor", action="month reopened")
    assert [(row.actor, row.result) for row in told] == [
        ("admin@harbor", "done"),
        ("ceo@harbor", "refused"),
        ("admin@harbor", "refused"),
    ]


MORE_RAW = """
create table warehouse.raw.record_deletion as select tenant_id, 'pm' as source_system, 'charge' as entity, 'c36' as deleted_record_id,
  'unit 8: row 1' as source_position, 'b8' as batch_id, 8 as batch_sequence from warehouse.marts.dim_tenants;
create table warehouse.raw.payer as select tenant_id, 'pm' as source_system, 'medicare' as payer_id,
  'unit 9: row 1' as source_position, 'b9' as batch_id, 9 as batch_sequence from warehouse.marts.dim_tenants;
"""
# c36 lies in imaging, c37 (medicare) and the balance of medicare in the lab, c40 (aetna) too; c41 lies in the west.
MANY = (
    MORE_RAW
    + late("c41", "120.25", 7)
    + """
delete from warehouse.marts.fct_charges where tenant_id = 'harbor' and charge_id = 'c36';
update warehouse.marts.fct_charges set billed_amount = 99 where tenant_id = 'harbor' and charge_id = 'c37';
update warehouse.marts.fct_charges set billed_amount = 98 where tenant_id = 'harbor' and charge_id = 'c40';
update warehouse.marts.fct_charges set place = 'else' where tenant_id = 'harbor' and charge_id = 'c50';
update warehouse.marts.fct_balances set open_amount = 1
  where tenant_id = 'harbor' and snapshot_date = date '2026-02-28' and service_unit_id in ('lab', 'west');
"""
)


def test_each_kind_of_cause_is_told(closed):
    change(closed.home, "alter table warehouse.marts.fct_charges add column place varchar default 'here'")
    closed.publish("run-2")
    restate(closed.home, "harbor", "run-2")
    change(closed.home, MANY)
    closed.publish("run-3")
    restate(closed.home, "harbor", "run-3")
    known = read_restated(closed.home, the_close(closed))

    def told(metric: str, dimension: str, member: str) -> set[tuple[str, str | None]]:
        (row,) = known.rows.filter(metric=metric, grain="month", dimension=dimension, member=member).to_dicts()
        causes = known.causes.filter(cause_set=row["cause_set"])
        return set(causes.select("kind", "record_id").rows())

    assert told("billed_amount", "service_unit", "west") == {("late", "c41")}
    assert told("billed_amount", "service_unit", "imaging") == {("deleted", "c36")}
    # Of the lab's two charges one is of a payer that was changed; nothing explains the other.
    assert told("billed_amount", "service_unit", "lab") == {("reference", "medicare"), ("unexplained", None)}
    assert told("billed_amount", "", "") == {
        ("late", "c41"),
        ("deleted", "c36"),
        ("reference", "medicare"),
        ("unexplained", None),
    }
    assert told("open_balance", "service_unit", "lab") == {("reference", "medicare")}
    assert told("open_balance", "service_unit", "west") == {("related", "c41")}
    # A share changes with every row of its whole.
    assert ("late", "c41") in told("payer_mix_billed", "payer", "aetna")


CHANGES = (
    "update warehouse.marts.fct_charges set billed_amount = billed_amount + {n} where charge_id = 'c{n}'",
    "update warehouse.marts.fct_charges set is_denied = not is_denied where charge_id in ('c{n}', 'c{m}')",
    "update warehouse.marts.fct_charges set service_date = service_date + {n} % 9 where charge_id = 'c{m}'",
    "update warehouse.marts.fct_charges set payer_class = 'medicaid' where charge_id = 'c{m}'",
    "delete from warehouse.marts.fct_charges where charge_id = 'c{n}'",
    "insert into warehouse.marts.fct_charges select * replace (charge_id || '-again' as charge_id) "
    "from warehouse.marts.fct_charges where charge_id = 'c{m}'",
    "update warehouse.marts.fct_visits set is_visit = not is_visit, cycle_minutes = {n} where visit_id = 'v{n}'",
    "delete from warehouse.marts.fct_visits where visit_id = 'v{m}'",
    "update warehouse.marts.fct_visits set service_unit_key = tenant_id || '|west', service_unit_id = 'west' "
    "where visit_id = 'v{n}'",
    "update warehouse.marts.fct_balances set open_amount = open_amount - {n} where snapshot_date = date '2026-02-28'",
    "delete from warehouse.marts.fct_balances where payer_id = 'aetna'",
    "update warehouse.marts.dim_service_units set level_2_id = 'west' where service_unit_id = 'lab'",
)


@pytest.mark.parametrize("seed", range(2))
def test_whatever_changes_later_the_closed_figure_and_its_changes_add_up_to_the_figure_of_now(closed, reader, seed):
    chance = random.Random(seed)
    close = the_close(closed)
    frozen, asked = read_figures(closed.home, close)
    for number in range(3):
        for sql in chance.sample(CHANGES, 3):
            change(closed.home, sql.format(n=chance.randrange(30, 58), m=chance.randrange(30, 58)))
        closed.publish(f"run-{number}")
        restate(closed.home, "harbor", f"run-{number}")
    assert read_figures(closed.home, close)[0].equals(frozen)
    rows = read_restated(closed.home, close).rows
    assert rows.height > 0
    now = open_whole(closed.home, current_version(closed.home, "harbor"))
    present = figures(now.metrics, asked, [FEBRUARY])
    now.close()
    key = list(KEY)
    last = rows.sort("restatement").unique(subset=key, keep="last")
    joined = (
        frozen.join(last, on=key, how="full", coalesce=True)
        .join(
            present.drop("member_name").rename({"exact": "now_exact", "real": "now_real"}),
            on=key,
            how="full",
            coalesce=True,
        )
        .with_columns(is_changed=pl.col("restatement").is_not_null())
    )
    for row in joined.iter_rows(named=True):
        is_sum = row["metric"] in ("visits", "people", "billed_amount", "denied_charges")
        expected = row["new_exact"] if row["is_changed"] else row["exact"]
        assert (expected or 0) == (row["now_exact"] or 0), row
        real = row["new_real"] if row["is_changed"] else row["real"]
        assert (real is None) == (row["now_real"] is None), row
        assert real is None or real == pytest.approx(row["now_real"], rel=1e-9), row
        if is_sum and row["is_changed"]:
            amounts = rows.filter(pl.all_horizontal(pl.col(name).eq_missing(row[name]) for name in key))["amount_exact"]
            assert row["closed_exact"] + sum(amounts) == row["new_exact"], row
