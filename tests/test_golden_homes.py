"""Homes that earlier releases wrote: this release upgrades them and gives their figures, without the MetricFlow of their day."""

import tarfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from clinicmart.upgrade import changes, upgrade
from foundation.errors import ConfigurationError
from foundation.home import Home
from ingest.ledger import Ledger, unit
from serving.closed_months.close import read_figures
from serving.closed_months.figures import EXACT, KEY, figures, open_whole
from serving.metrics import compiler
from serving.model import MetricQuery
from serving.open_files import close_all
from serving.people.store import AccessStore
from serving.reader import open_reader
from serving.versions.closes import closes
from serving.versions.retention import version_as_of

# Name to the format of the home.
ARCHIVES = {"2026-11-29": 1, "2026-11-30": 1, "2026-11-30-format-2": 2}
TENANT, MONTH = "harbor", date(2026, 9, 1)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=tuple(ARCHIVES))
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Home:
    folder = tmp_path_factory.mktemp(request.param)
    with tarfile.open(Path(__file__).parent / "golden" / f"{request.param}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    older = Home.of_any_format(folder / "home")
    assert older.format == ARCHIVES[request.param]
    with pytest.raises(ConfigurationError, match="run clinicmart upgrade"):
        Home.at(older.path)
    needed = changes(older)
    assert upgrade(older) == len(needed) >= 3
    assert changes(older) == ()
    return Home.at(older.path)


@pytest.fixture
def without_metricflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """MetricFlow no longer reads the manifests of the homes."""

    def refuse(*_: Any) -> Any:
        raise ValueError("a manifest of another time")

    monkeypatch.setattr(compiler, "_engine", refuse)
    monkeypatch.setattr(compiler, "_COMPILERS", {})
    close_all()


def test_people_audit_ledger_and_closes_are_what_they_were(home: Home) -> None:
    access = AccessStore.open(home)
    assert access.verify_audit().is_intact
    assert [person.email for person in access.users(TENANT)][:1] == ["admin@harbor"]
    ledger = Ledger(home)
    names = [row["name"] for row in ledger.rows(sa.select(unit.c.name).where(unit.c.feed == "remits"))]
    ledger.close()
    assert "corrupt.835" in names
    (close,) = closes(home, TENANT)
    assert (close.name, close.number, close.stands) == ("2026-09", 1, True)


def test_the_closed_month_answers_what_was_frozen_then_without_metricflow(home: Home, without_metricflow: None) -> None:
    (close,) = closes(home, TENANT)
    frozen, asked = read_figures(home, close)
    questions = [item for item in asked if item.grain == "month" and item.dimension in ("", "service_unit")]
    assert len({item.metric for item in questions}) > 300
    whole = open_whole(home, version_as_of(home, TENANT, "close:2026-09", time_zone="America/New_York"))
    try:
        answers = figures(whole.metrics, questions, [MONTH])
    finally:
        whole.close()
    expected = frozen.filter((pl.col("grain") == "month") & pl.col("dimension").is_in(["", "service_unit"]))
    assert expected.height > 1_000
    both = expected.join(answers, on=list(KEY), how="full", coalesce=True, suffix="_now")
    nought = pl.lit(0, dtype=EXACT)
    same = (pl.col("exact").fill_null(nought) == pl.col("exact_now").fill_null(nought)) & (
        (pl.col("real").is_null() & pl.col("real_now").is_null())
        | ((pl.col("real") - pl.col("real_now")).abs() <= 1e-9 * pl.max_horizontal(pl.col("real").abs(), 1.0))
    ).fill_null(False)
    assert both.filter(~same).rows(named=True) == []


def test_a_person_asks_the_closed_month_and_its_rows_without_metricflow(home: Home, without_metricflow: None) -> None:
    person = AccessStore.open(home).principal(TENANT, "admin@harbor")
    reader = open_reader(home, person, as_of="close:2026-09")
    query = MetricQuery(
        metrics=["no_shows", "no_show_rate", "billed_amount"],
        by=["payer_class"],
        grain="month",
        where={"service_unit": str(reader.tree()["service_unit_id"][0])},
        date_from=MONTH,
        date_to=date(2026, 9, 30),
    )
    answer = reader.query(query)
    assert answer.height > 1
    assert Decimal(str(answer["billed_amount"].sum())) > 0
    drill = reader.drill("no_shows", {}, limit=5, date_from=MONTH, date_to=date(2026, 9, 30))
    assert drill.total_rows == answer["no_shows"].sum()
