"""OpenEMR on MariaDB: two databases with a known month each, read by the shipped profile, give their truths.

The server is the tests' own. What is asked goes the whole way: database, feeds, marts, published figures.
"""

import csv
import io
import random
import sqlite3
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from foundation.config import Feed
from ingest.sources import source_for
from tests.openemr.database import change, create, fill
from tests.openemr.month import Month
from tests.openemr.series import Series
from tests.openemr.server import Server, mariadb, missing_programs
from tests.support import Ran, clinicmart, clinicmart_here

pytestmark = pytest.mark.slow
MONTHS = {"harbor": 11, "mesa": 23}
# OpenEMR is found in either.
COLLATIONS = {"harbor": "utf8mb4_general_ci", "mesa": "utf8mb4_unicode_ci"}
OCTOBER = ("--from", "2026-10-01", "--to", "2026-10-31")
METRICS = (
    "appointments", "completed_appointments", "no_shows", "no_show_rate", "late_cancels", "cancel_rate",
    "scheduled_appointments", "unresolved_appointments", "encounters", "billed_amount", "payer_paid_amount", "patient_paid_amount",
    "adjusted_amount", "open_balance",
)  # fmt: skip
MONEY = ("billed_amount", "payer_paid_amount", "patient_paid_amount", "adjusted_amount", "open_balance")
VISITS = ("appointments", "completed_appointments", "no_shows", "encounters")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    missing = missing_programs()
    assert not missing, f"{' and '.join(missing)} not found: `make database` installs Debian's mariadb-server"
    with mariadb() as running:
        yield running


class Site:
    """A home and its configuration after one run over both databases."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self.home, self.config = folder / "home", folder / "clinicmart.yaml"
        feed = {"name": "pm", "kind": "pm_database", "profile": "openemr"}
        tenants = {
            name: {"name": name.capitalize(), "time_zone": "America/New_York", "feeds": [feed | {"url": url}]}
            for name, url in urls.items()
        }
        self.config.write_text(yaml.safe_dump({"tenants": tenants}), "utf-8")
        self.first = self.run()

    def run(self) -> Ran:
        """Reads what is new and publishes."""
        return clinicmart("run", "--config", self.config, "--home", self.home)

    def rows(self, tenant: str, metrics: str, *options: str) -> list[dict[str, str]]:
        """The answer of `clinicmart metrics query` for October."""
        who = ("--home", self.home, "--tenant", tenant, "--as", f"admin@{tenant}", "--format", "csv")
        asked = clinicmart_here("metrics", "query", metrics, *who, *OCTOBER, *options)
        assert asked.code == 0, asked.err
        return list(csv.DictReader(io.StringIO(asked.out)))

    def figures(self, tenant: str, *metrics: str) -> dict[str, Decimal]:
        """Figures for October, asked for at once: a command takes its time to start."""
        (row,) = self.rows(tenant, ",".join(metrics))
        return {name: Decimal(row[name]) for name in metrics}

    def figure(self, tenant: str, metric: str) -> Decimal:
        """One figure for October."""
        return self.figures(tenant, metric)[metric]

    def ledger(self, query: str) -> list[tuple]:
        """Rows of the ledger."""
        with sqlite3.connect(f"file:{self.home / 'ledger.sqlite'}?mode=ro", uri=True) as connection:
            return connection.execute(query).fetchall()

    def landed(self) -> int:
        """Rows landed so far."""
        return int(self.ledger("select coalesce(sum(rows_landed), 0) from batch")[0][0])


@pytest.fixture(scope="module")
def months() -> dict[str, Month]:
    return {name: Month(seed) for name, seed in MONTHS.items()}


@pytest.fixture(scope="module")
def site(server: Server, months: dict[str, Month], tmp_path_factory: pytest.TempPathFactory) -> Site:
    urls = {}
    for name, month in months.items():
        urls[name] = create(server, name, COLLATIONS[name])
        fill(server, name, month)
    return Site(tmp_path_factory.mktemp("openemr"), urls)


def close(found: str | Decimal, truth: Decimal) -> bool:
    return abs(Decimal(found or 0) - truth) < Decimal("0.00005")


def test_a_run_over_openemr_publishes(site: Site) -> None:
    assert site.first.code == 0, site.first.out + site.first.err


@pytest.mark.parametrize("tenant", MONTHS)
def test_every_figure_of_the_month_is_its_truth(site: Site, months: dict[str, Month], tenant: str) -> None:
    (row,) = site.rows(tenant, ",".join(METRICS))
    wrong = {
        name: (row[name], months[tenant].truths.expected(name))
        for name in METRICS
        if not close(row[name], months[tenant].truths.expected(name))
    }
    assert wrong == {}


@pytest.mark.parametrize("dimension", ["service_unit", "provider", "visit_type", "payer"])
@pytest.mark.parametrize("tenant", MONTHS)
def test_every_part_of_the_month_is_its_truth(
    site: Site, months: dict[str, Month], tenant: str, dimension: str
) -> None:
    truths, wrong = months[tenant].truths.sums, {}
    for metrics in (VISITS, MONEY):
        found = {row[dimension]: row for row in site.rows(tenant, ",".join(metrics), "--by", dimension)}
        for metric in metrics:
            values = {group[1] for group in truths["encounters"] if group and group[0] == dimension} | set(found)
            for value in values:
                truth = months[tenant].truths.expected(metric, (dimension, value))
                given = found.get(value, {}).get(metric, "0")
                if not close(given, truth):
                    wrong[metric, value] = (given, truth)
    assert wrong == {}


@pytest.mark.parametrize("tenant", MONTHS)
def test_waits_and_cycle_times_are_those_of_the_flow_board(site: Site, months: dict[str, Month], tenant: str) -> None:
    for metric in ("wait_time_minutes", "cycle_time_minutes"):
        assert close(site.figure(tenant, metric), months[tenant].truths.mean(metric, None)), metric
        for row in site.rows(tenant, metric, "--by", "service_unit"):
            assert close(row[metric], months[tenant].truths.mean(metric, row["service_unit"])), (metric, row)


def test_payer_mix_is_by_class_of_the_payer_on_the_day(site: Site, months: dict[str, Month]) -> None:
    classes = {"101": "medicare", "102": "commercial", "self_pay": "self_pay"}
    shares = {
        row["payer_class"]: row["mix_encounter_count"]
        for row in site.rows("harbor", "mix_encounter_count", "--by", "payer_class")
    }
    sums = months["harbor"].truths.sums["encounters"]
    assert {classes[payer]: int(sums["payer", payer]) for payer in classes} == {
        name: int(value) for name, value in shares.items()
    }


def test_denials_are_told_though_openemr_took_them_off_the_balance(site: Site, months: dict[str, Month]) -> None:
    assert months["harbor"].truths.expected("denied_claims") > 0
    assert site.figure("harbor", "denied_claims") == months["harbor"].truths.expected("denied_claims")


def test_facilities_hang_below_the_organisation(site: Site) -> None:
    """The level above a facility is the organisation, which has all of them."""
    (row,) = site.rows("harbor", "encounters", "--by", "parent_service_unit")
    assert row == {"parent_service_unit": "organization"} | site.rows("harbor", "encounters")[0]


def test_appointments_that_cannot_be_used_are_in_quarantine(site: Site, months: dict[str, Month]) -> None:
    held = site.ledger(
        "select column_name, reason, sum(rows) from held where tenant_id = 'harbor' group by 1, 2 order by 1, 2"
    )
    # No time; beyond 24 h twice, an invalid day, a series without an end and one without a rule.
    assert held == [
        ("scheduled_start_at", "required", 1),
        ("scheduled_start_at", "type", 5),
    ]
    assert sum(number for _, _, number in held) == months["harbor"].quarantined
    words = site.ledger("select entity, column_name, word, became, rows from unknown_word where tenant_id = 'harbor'")
    assert words == [("appointment", "status", "ZZ", "unknown", 1)]


def test_what_names_no_patient_or_no_visit_is_not_there(site: Site) -> None:
    types = {row["visit_type"] for row in site.rows("harbor", "appointments", "--by", "visit_type")}
    assert types == {"5", "9", "10"}


def test_series_come_about_on_the_days_of_openemrs_calendar(server: Server) -> None:
    """Any rule, against a calendar that steps from day to day."""
    url = create(server, "series")
    chance, month, shown = random.Random(20261031), Month(1), {}
    month.rows = {
        "openemr_postcalendar_events": [],
        "openemr_postcalendar_categories": month.rows["openemr_postcalendar_categories"],
    }
    ends_of_months = [date(2024, 1, 31), date(2024, 2, 29), date(2025, 8, 31), date(2025, 1, 30), date(2025, 1, 29)]
    for number in range(400):
        first = chance.choice([*ends_of_months, date(2024, 1, 1) + timedelta(days=chance.randrange(700))])
        last = first + timedelta(days=chance.choice([0, 20, 200, 400]))
        rule = chance.choice(
            (
                {"unit": chance.choice("01234"), "every": str(chance.randint(1, 9))},
                {"unit": "6", "every": ",".join(map(str, sorted(chance.sample(range(1, 8), chance.randint(1, 4)))))},
                {"nth": (chance.randint(1, 5), chance.randint(0, 6), chance.randint(1, 6))},
            )
        )
        whole = Series(first_day=first, last_day=last, **rule).days()
        series = Series(first_day=first, last_day=last, days_out=tuple(whole[1:4:2]), **rule)
        event = month.event(7, first, "09:00:00", 3, 5, pc_endDate=last, pc_recurrtype=series.recurrence_type,
                            pc_recurrspec=series.specification)  # fmt: skip
        assert event["pc_eid"] == number + 1
        shown[number + 1] = [day.strftime("%Y%m%d") for day in series.days()]
    fill(server, "series", month)
    feed = Feed(tenant_id="t", name="pm", kind="pm_database", profile="openemr", url=url, time_zone="America/New_York")
    unit = next(unit for unit in source_for("pm_database").discover(feed) if unit.name == "appointment")
    found: dict[int, list[str]] = {number: [] for number in shown}
    for chunk in source_for("pm_database").read(unit):
        for identifier in chunk.rows["appointment"]["appointment_id"]:
            event_id, _, day = identifier.partition("-")
            found[int(event_id)].append(day)
    assert {number: sorted(days) for number, days in found.items()} == {
        number: sorted(days) for number, days in shown.items()
    }
    assert sum(map(len, shown.values())) > 5_000


def test_a_user_of_the_profile_can_write_nothing(server: Server, site: Site) -> None:
    engine = sa.create_engine(server.url("harbor", "harbor", "reads-only"))
    with engine.connect() as connection, pytest.raises(sa.exc.OperationalError, match="denied"):
        connection.exec_driver_sql("update billing set fee = 0")
    engine.dispose()


def changes_of_a_day(month: Month) -> tuple[list[str], dict[str, int | Decimal]]:
    """Statements that change one row of every kind as OpenEMR would, and by how much that changes each figure."""
    events, rows = month.rows["openemr_postcalendar_events"], month.rows
    boards = {row["eid"]: row["id"] for row in rows["patient_tracker"]}
    missed = next(event["pc_eid"] for event in events if event["pc_apptstatus"] == "-" and event["pc_eid"] in boards)
    erased = next(event["pc_eid"] for event in events if event["pc_apptstatus"] == "?")
    series = next(event["pc_eid"] for event in events if event["pc_recurrtype"] == 2)
    payment = next(
        row
        for row in rows["ar_activity"]
        if row["payer_type"] == 0 and Decimal(str(row["pay_amount"])) and not row["deleted"]
    )
    line = next(number for number, row in enumerate(rows["billing"], start=1) if row["activity"] and row["fee"])
    no_days, one_day = '"exdate";s\\:0\\:""', '"exdate";s\\:8\\:"20261014"'
    statements = [
        # A status that is set without the event being saved.
        f"update openemr_postcalendar_events set pc_apptstatus = '?' where pc_eid = {missed}",
        "insert into patient_tracker_element (pt_tracker_id, start_datetime, status, seq) "
        f"values ({boards[missed]}, '2026-11-02 09:00:00', '?', '9')",
        f"delete from openemr_postcalendar_events where pc_eid = {erased}",
        # A day taken out of a series.
        f"update openemr_postcalendar_events set pc_recurrspec = replace(pc_recurrspec, '{no_days}', '{one_day}') "
        f"where pc_eid = {series}",
        "update ar_activity set deleted = '2026-11-20 12:00:00' "
        f"where encounter = {payment['encounter']} and sequence_no = {payment['sequence_no']}",
        f"update billing set activity = 0 where id = {line}",
    ]
    return statements, {
        "no_shows": 0,  # one more, and one less
        "appointments": -2,
        "unresolved_appointments": -2,
        "patient_paid_amount": -Decimal(str(payment["pay_amount"])),
        "billed_amount": -Decimal(str(rows["billing"][line - 1]["fee"])),
    }


def test_later_runs_bring_what_changed_and_nothing_else(server: Server, site: Site, months: dict[str, Month]) -> None:
    """In one go, for each run takes its time: nothing new lands nothing; a change of every kind changes its figure."""
    landed = site.landed()
    again = site.run()
    assert again.code == 0, again.out + again.err
    assert site.landed() == landed, "a second run over the same rows lands none"

    statements, differences = changes_of_a_day(months["harbor"])
    change(server, "harbor", *statements)
    third = site.run()
    assert third.code == 0, third.out + third.err
    figures = site.figures("harbor", *differences)
    assert {name: value - months["harbor"].truths.expected(name) for name, value in figures.items()} == differences
    # The other tenant has rows of the same ids.
    mesa = site.figures("mesa", *METRICS)
    assert {name for name in METRICS if not close(mesa[name], months["mesa"].truths.expected(name))} == set()
