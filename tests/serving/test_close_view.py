"""Who sees closed figures, what earlier versions answer, and that a close which is killed leaves nothing half."""

import json
import os
import subprocess
import sys
import textwrap
from datetime import date, timedelta
from decimal import Decimal

import polars as pl
import pytest

from foundation.errors import ConfigurationError
from serving.closed_months.close import close_month, read_figures, reopen_month
from serving.closed_months.restate import restate
from serving.closed_months.view import ClosedMonths, cause_text
from serving.model import MetricQuery
from serving.open_files import close_all
from serving.publish.publish import current_version
from serving.reader import open_reader
from serving.versions import retention
from serving.versions.closes import closes, figures_file, folder
from serving.versions.store import files_of
from tests.serving.closing import FEBRUARY, late
from tests.serving.small_warehouse import change

# c32 lies in the west, c33 in imaging (east); both are of the first days of February.
BOTH = late("c32", "150.25", 7) + late("c33", "130.25", 8)


@pytest.fixture
def months(closed, reader):
    """`months("east@harbor")`: the closed months after two charges came late."""
    change(closed.home, BOTH)
    closed.publish("run-2")
    restate(closed.home, "harbor", "run-2")
    return lambda user: ClosedMonths(closed.home, reader(user))


def seen(months, what: str, **of: str) -> pl.DataFrame:
    return getattr(months, what)(months.closes[0]).filter(**of)


def test_an_administrator_sees_all_and_a_manager_the_figures_of_own_units_alone(months, reader):
    everything = seen(months("admin@harbor"), "restatements", metric="billed_amount", grain="month")
    assert everything.filter(dimension="")["amount_exact"].to_list() == [Decimal(80)]
    east = seen(months("east@harbor"), "restatements", metric="billed_amount", grain="month")
    assert dict(east.filter(dimension="service_unit").select("member", "amount_exact").rows()) == {
        "imaging": Decimal(30)
    }
    assert set(east["dimension"]) <= {"service_unit", "parent_service_unit", *(f"level_{n}" for n in range(1, 7))}
    assert set(east["member"]) == {"east", "imaging"}
    figures = seen(months("east@harbor"), "figures", grain="month", metric="billed_amount")
    assert set(figures["member"]) <= {"east", "imaging", "lab"}
    # What is frozen for the units of a manager is what the manager's own rows give.
    asked = MetricQuery(metrics=["billed_amount"], by=["level_2"], date_from=FEBRUARY, date_to=date(2026, 2, 28))
    (own,) = open_reader_as_closed(months, "east@harbor").query(asked)["billed_amount"].to_list()
    assert figures.filter(dimension="level_2")["exact"].to_list() == [own]


def open_reader_as_closed(months, user: str):
    of = months(user)
    access_of = of._reader  # the reader of today, asked again as of the close
    return open_reader(of._home, access_of._principal, as_of="close:2026-02")


def test_a_unit_under_which_another_once_stood_is_not_shown_to_who_may_not_see_that_one(closed, reader, person):
    close = closes(closed.home, "harbor")[0]
    before = ClosedMonths(closed.home, reader("east@harbor")).figures(close)
    assert "east" in before.filter(dimension="level_2")["member"].to_list()
    # The west stood under the east once: figures of the east then hold its rows.
    change(
        closed.home,
        "create table warehouse.marts.dim_service_unit_versions as select tenant_id, 'west' as service_unit_id, "
        "'/group/east/west/' as path from warehouse.marts.dim_tenants",
    )
    manifest = closed.dbt_target / "manifest.json"
    content = json.loads(manifest.read_bytes())
    node = dict(content["nodes"]["model.clinicmart.dim_service_units"])
    node |= {"name": "dim_service_unit_versions", "alias": "dim_service_unit_versions"}
    content["nodes"]["model.clinicmart.dim_service_unit_versions"] = node
    manifest.write_text(json.dumps(content))
    closed.publish("run-2")
    after = ClosedMonths(closed.home, reader("east@harbor")).figures(close)
    assert after.filter(dimension="level_2")["member"].to_list() == []
    assert set(after.filter(dimension="service_unit")["member"]) == {"east", "imaging", "lab"} & set(
        before.filter(dimension="service_unit")["member"]
    )


def test_records_are_named_to_those_who_see_rows_and_identifiers(months):
    for user, named in (
        ("admin@harbor", True),
        ("east@harbor", True),
        ("ceo@harbor", False),
        ("analyst@harbor", False),
    ):
        causes = seen(months(user), "causes", kind="late")
        assert causes.height > 0, user
        assert bool(causes["record_id"].drop_nulls().len()) == named, user
        assert all(("c33" in text) <= named for text in map(cause_text, causes.to_dicts()))
    assert "c32" not in seen(months("east@harbor"), "causes")["record_id"].to_list()


def test_metrics_of_other_modules_and_people_without_a_board_see_nothing(months, closed):
    assert set(seen(months("admin@harbor"), "figures")["metric"]) > {"visits", "billed_amount"}
    assert "visits" not in set(seen(months("biller@harbor"), "figures")["metric"])
    assert seen(months("partner@harbor"), "figures").height == 0
    doctor = seen(months("doctor@harbor"), "figures")
    assert set(doctor.select("dimension", "member").rows()) == {("provider", "p1")}
    closed.access.set_module("harbor", "revenue_cycle", enabled=False, actor="admin@harbor")
    assert "billed_amount" not in set(seen(months("admin@harbor"), "figures")["metric"])


def test_what_a_place_has_become_is_told_with_what_it_was(months):
    admin = months("admin@harbor")
    found = {change.metric: change for change in admin.changes(admin.closes[0])}
    assert found["billed_amount"].now - found["billed_amount"].closed == Decimal(80)
    assert {cause["record_id"] for cause in found["billed_amount"].causes} == {"c33", "c32"}
    (west,) = [item for item in admin.changes(admin.closes[0], unit="west") if item.metric == "billed_amount"]
    assert west.now - west.closed == Decimal(50)
    assert admin.changes(admin.closes[0], unit="lab") == []


def test_an_earlier_version_answers_with_its_figures_its_rows_and_its_definitions(closed, person):
    admin = person("admin@harbor")
    first = current_version(closed.home, "harbor")
    change(closed.home, BOTH)
    closed.publish("run-2")
    total = MetricQuery(metrics=["billed_amount"], date_from=FEBRUARY, date_to=date(2026, 2, 28))
    now = open_reader(closed.home, admin).query(total)["billed_amount"][0]
    for as_of in ("close:2026-02", "close:2026-02/1", first.version):
        with open_reader(closed.home, admin, as_of=as_of) as reader:
            assert reader.version == first
            then = reader.query(total)["billed_amount"][0]
            assert now - then == Decimal(80)
            assert reader.drill("billed_amount", {}, FEBRUARY, date(2026, 2, 28)).total_value == then
    frozen = read_figures(closed.home, closes(closed.home, "harbor")[0])[0]
    assert frozen.filter(metric="billed_amount", grain="month", dimension="")["exact"].to_list() == [then]
    # A manager asks the earlier version within the rights of now.
    east = open_reader(closed.home, person("east@harbor"), as_of=first.version)
    assert set(east.tree()["service_unit_id"]) == {"east", "imaging", "lab"}
    for as_of, problem in (
        ("close:2026-01", "2026-01 was not closed; closed months are: 2026-02"),
        ("close:2026-02/7", "close 7"),
        ("yesterday", "no version is named 'yesterday'; there are close:2026-02/1"),
        ("2001-01-01", "nothing was published by the end of 2001-01-01"),
        ("2001-02-31", "is not a day"),
        ("../mesa", "no version is named"),
    ):
        with pytest.raises(ConfigurationError, match=problem):
            open_reader(closed.home, admin, as_of=as_of)


def test_versions_that_a_close_names_are_kept_and_a_day_whose_version_is_gone_is_not_answered(
    closed, person, monkeypatch
):
    named = closes(closed.home, "harbor")[0].version
    for number in range(5):
        change(closed.home, late("c59", f"{number + 1}", 7 + number))
        closed.publish(f"run-{number}")
    versions = [version.version for version in retention.kept_versions(closed.home, "harbor")]
    monkeypatch.setattr(retention, "GRACE", timedelta(0))
    closed.publish("run-9", keep_days=0)
    kept = [version.version for version in retention.kept_versions(closed.home, "harbor")]
    assert kept == [named, *versions[-3:]]
    gone = versions[-4]
    with pytest.raises(ConfigurationError, match=f"the version {gone} was removed; there are close:2026-02/1, {named}"):
        open_reader(closed.home, person("admin@harbor"), as_of=gone)
    # Were today's versions of a day long ago, the day would be answered by none but its own.
    moved = {gone: "2020-05-05T12:00:00+00:00"}
    (closed.home.published("harbor") / retention.REMOVED).write_text(json.dumps(moved))
    with pytest.raises(ConfigurationError, match="was removed"):
        open_reader(closed.home, person("admin@harbor"), as_of="2020-05-05")


def test_scope_files_of_versions_that_are_not_served_go_and_come_again(closed, person, monkeypatch):
    first = current_version(closed.home, "harbor").version
    open_reader(closed.home, person("east@harbor"))
    scopes = files_of(closed.home, "harbor", first).scopes
    assert list(scopes.glob("*.duckdb"))
    change(closed.home, BOTH)
    closed.publish("run-2")
    monkeypatch.setattr(retention, "GRACE", timedelta(0))
    closed.publish("run-3")
    assert not list(scopes.glob("*.duckdb"))
    close_all()
    assert open_reader(closed.home, person("east@harbor"), as_of=first).tree().height == 3


KILLED = """
import os, sys
from datetime import date
from foundation.home import Home
from serving.closed_months import close
from serving.people.store import AccessStore
home = Home.at(sys.argv[1])
def die(*_, **__): os._exit(9)
setattr(close, sys.argv[2], die)
close.close_month(home, AccessStore.open(home).principal("harbor", "admin@harbor"), date(2026, 2, 1))
"""


@pytest.mark.parametrize("at", ["_write", "record"])
def test_a_close_that_is_killed_leaves_nothing_half_and_is_simply_done_again(ready, person, at):
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(ready.home.path), at],
        env={**os.environ, "PYTHONPATH": os.getcwd()},
        check=False,
    )
    assert ended.returncode == 9
    assert closes(ready.home, "harbor") == ()
    assert restate(ready.home, "harbor", "run-2") == 0
    done = close_month(ready.home, person("admin@harbor"), FEBRUARY)
    assert done.number == 1
    assert read_figures(ready.home, done)[0].height == done.figures
    assert sorted(path.name for path in folder(ready.home, "harbor").glob("2026*")) == ["2026-02.1.duckdb"]
    assert figures_file(ready.home, done).stat().st_mode & 0o077 == 0


def test_both_closes_of_a_month_can_be_asked(closed, person):
    admin = person("admin@harbor")
    change(closed.home, BOTH)
    closed.publish("run-2")
    restate(closed.home, "harbor", "run-2")
    reopen_month(closed.home, admin, FEBRUARY, because="a late remittance")
    close_month(closed.home, admin, FEBRUARY)
    total = MetricQuery(metrics=["billed_amount"], date_from=FEBRUARY, date_to=date(2026, 2, 28))
    first, second = (
        open_reader(closed.home, admin, as_of=f"close:2026-02/{number}").query(total)["billed_amount"][0]
        for number in (1, 2)
    )
    assert second - first == Decimal(80)


def test_a_close_that_never_changed_is_answered_without_its_frozen_figures(closed, reader):
    (close,) = closes(closed.home, "harbor")
    figures_file(closed.home, close).unlink()
    assert ClosedMonths(closed.home, reader("admin@harbor")).changes(close) == []
