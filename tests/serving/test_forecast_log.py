"""The log of forecasts: written once and before the outcome, who sees which, how earlier ones did, and tampering."""

import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select, update

from foundation.deidentification import Deidentification
from foundation.errors import AccessError
from foundation.home import Home
from serving.closed_months.figures import open_whole
from serving.forecasts import make as making
from serving.forecasts import series
from serving.forecasts import view as viewing
from serving.forecasts.measures import LEAST_ON_RECORD, MODEL, Measure
from serving.forecasts.record import record_of
from serving.model import MetricQuery
from serving.people.forecast_log import Forecast, Issue, Point
from serving.people.principal import Role
from serving.people.removed_tenant import remove_people
from serving.people.store import AccessStore
from serving.people.tables import FORECAST, FORECAST_ISSUE
from serving.versions.integrity import last_sound_version
from tests.control_server import BOTH, home_with_people
from tests.support import clinicmart_here, run_killed_at

VISITS = Measure(metric="visits", grain="week", periods=4, groups=((0, 4),), entities=("encounter",), is_count=True)
UNITS = ("", "group", "east", "west", "imaging", "lab")
MONDAY = date(2026, 3, 2)


@pytest.fixture(autouse=True)
def _of_the_small_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The metrics of the small home stand in for those that are forecast."""
    monkeypatch.setattr(series, "METRICS", ("visits", "billed_amount"))
    monkeypatch.setattr(making, "MEASURES", (VISITS,))
    monkeypatch.setattr(viewing, "MEASURES_BY_KEY", {VISITS.key: VISITS})


def point(value: float = 10, width: float = 3, first_day: date = MONDAY) -> Point:
    middle = Decimal(str(value))
    low, high = middle - Decimal(str(width)), middle + Decimal(str(width))
    return Point(first_day=first_day, value=middle, low=low, high=high, obvious=middle + 1)


def forecast(unit: str = "", definition: str = "d", metric: str = "visits", **changes) -> Forecast:
    return Forecast(
        **{
            "metric": metric,
            "grain": "week",
            "service_unit_id": unit,
            "definition": definition,
            "is_shown": True,
            "reason": "",
            "origins": 52,
            "outcomes": 600,
            "held": Decimal("0.9"),
            "scaled_error": Decimal("0.7"),
            "obvious_scaled_error": Decimal("0.8"),
            "points": (point(),),
        }
        | changes
    )


def issue(version: str = "v1", data_as_of: date = MONDAY - timedelta(days=1)) -> Issue:
    return Issue(version=version, data_as_of=data_as_of, model=MODEL, made_by="admin", made_at=datetime.now(UTC))


def definitions(place, tenant="harbor") -> dict[str, str]:
    version = last_sound_version(place.home, tenant)
    with closing(open_whole(place.home, version)) as whole:
        return series.definitions(place.home, version, whole.metrics.registry)


def planted(place, tenant="harbor", **changes) -> Issue:
    """One forecast a unit, of each metric."""
    kept = [
        forecast(unit, definition=digest, metric=metric, **changes)
        for metric, digest in definitions(place, tenant).items()
        for unit in UNITS
    ]
    return place.access.forecasts(tenant).add(issue(), kept)


# The log itself


@pytest.fixture(params=BOTH)
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Home:
    home = home_with_people(tmp_path, request.param, request)
    store = AccessStore.open(home)
    for tenant in ("harbor", "mesa"):
        store.ensure_tenant(tenant, tenant)
        store.add_user(tenant, f"ann@{tenant}", display_name="Ann", role=Role.ORGANIZATION_ADMIN)
    return home


def test_what_is_kept_comes_back_and_is_kept_once(home):
    log = AccessStore.open(home).forecasts("harbor")
    hidden = forecast("east", is_shown=False, reason="too few", points=(), held=None, scaled_error=None)
    many = forecast("west", points=tuple(point(place / 7, 0.01, MONDAY + timedelta(days=place)) for place in range(14)))
    made = log.add(issue(), [forecast(), hidden, many])
    assert log.forecasts(made.issue_id) == (forecast(), hidden, many)
    assert log.issues() == (made,)
    assert [item for _, item in log.since(MONDAY - timedelta(days=1))] == [forecast(), many]
    assert log.since(MONDAY) == ()
    # The same version and model again: nothing is written, so that no outcome is counted twice.
    assert log.add(issue(), [forecast("lab")]) is None
    assert log.add(issue("v2"), [forecast("lab")]) is not None
    assert [item.version for item in log.issues()] == ["v2", "v1"]
    assert log.verify().is_intact
    assert log.verify().issues == 2


def test_every_change_of_the_log_is_found(home):
    store = AccessStore.open(home)
    log = store.forecasts("harbor")
    made = log.add(issue(), [forecast(), forecast("east")])
    other = store.forecasts("mesa").add(issue(), [forecast()])
    of_made = FORECAST.c.issue_id == made.issue_id
    changes = {
        "a value": update(FORECAST).where(of_made, FORECAST.c.position == 1).values(points="[]"),
        "the reason": update(FORECAST).where(of_made, FORECAST.c.position == 2).values(reason="x"),
        "the day": update(FORECAST_ISSUE).values(made_at=datetime(2020, 1, 1, tzinfo=UTC)),
        "the model": update(FORECAST_ISSUE).values(model="better/2"),
        "a row": delete(FORECAST).where(of_made, FORECAST.c.position == 2),
    }
    for what, change in changes.items():
        with store._engine.connect() as connection:
            began = connection.begin()
            connection.execute(change)
            found = type(log)(
                tenant_id="harbor", reading=_Same(connection), writing=log._writing, audit=log._audit
            ).verify()
            began.rollback()
        assert found.problems == (f"the forecasts of the issue {made.issue_id} are not what was written",), what
    assert log.verify().is_intact
    with store._engine.begin() as connection:
        row = dict(
            connection.execute(select(FORECAST_ISSUE).where(FORECAST_ISSUE.c.tenant_id == "mesa")).mappings().one()
        )
        connection.execute(delete(FORECAST).where(FORECAST.c.issue_id == other.issue_id))
        connection.execute(delete(FORECAST_ISSUE).where(FORECAST_ISSUE.c.issue_id == other.issue_id))
        connection.execute(insert(FORECAST_ISSUE).values(**row | {"issue_id": "0123", "version": "v9"}))
    assert set(store.forecasts("mesa").verify().problems) == {
        "the issue 0123 was added and is in no audit row",
        f"the issue {other.issue_id} was removed",
    }
    # The other tenant's log is its own.
    assert log.verify().is_intact


class _Same:
    """An engine that gives one open connection."""

    def __init__(self, connection) -> None:
        self._connection = connection

    def connect(self):
        return self

    def __enter__(self):
        return self._connection

    def __exit__(self, *_):
        return None


def test_a_tenant_that_leaves_takes_its_forecasts_along(home):
    store = AccessStore.open(home)
    for tenant in ("harbor", "mesa"):
        store.forecasts(tenant).add(issue(), [forecast()])
    assert remove_people(home, "harbor")["forecast"] == 1
    assert store.forecasts("harbor").issues() == ()
    assert store.forecasts("mesa").verify().issues == 1


KILLED = """
import os, sys
from pathlib import Path
from sqlalchemy import event
from foundation.home import Home
from serving.people.store import AccessStore
from tests.serving.test_forecast_log import forecast, issue

home, at = Home.at(Path(sys.argv[1])), int(sys.argv[2])
store, statements = AccessStore.open(home), [0]

@event.listens_for(store._engine, "before_cursor_execute")
def _count(*_):
    statements[0] += 1
    if statements[0] == at:
        os.kill(os.getpid(), 9)

store.forecasts("harbor").add(issue(), [forecast(), forecast("east")])
print(statements[0])
"""


def test_a_log_whose_writer_is_killed_holds_all_of_an_issue_or_nothing(tmp_path: Path):
    home = Home.at(tmp_path / "home")
    store = AccessStore.open(home)
    store.ensure_tenant("harbor", "Harbor")
    steps = 1
    while (killed := run_killed_at(KILLED, home, steps)).returncode == -9:
        assert store.forecasts("harbor").issues() == ()
        assert store.forecasts("harbor").verify().is_intact
        assert store.verify_audit().is_intact
        steps += 1
    assert steps > 4, killed.stderr
    assert killed.returncode == 0, killed.stderr
    (made,) = store.forecasts("harbor").issues()
    assert len(store.forecasts("harbor").forecasts(made.issue_id)) == 2
    assert store.forecasts("harbor").verify().is_intact


# Who sees what


def units_seen(reader, metric="visits"):
    current = reader.forecasts.current()
    return {item.service_unit_id for item in current.forecasts if item.metric == metric}


def test_a_person_sees_forecasts_of_the_own_units_and_of_no_others(place, reader):
    planted(place)
    assert units_seen(reader("admin@harbor")) == units_seen(reader("ceo@harbor")) == set(UNITS)
    assert units_seen(reader("east@harbor")) == {"east", "imaging", "lab"}
    assert units_seen(reader("two@harbor")) == {"west", "lab"}
    # The other tenant has the same ids of units, and no forecasts.
    assert reader("admin@mesa").forecasts.current() is None
    assert reader("admin@mesa").forecasts.scored() == ()
    of_mesa = ("--home", place.home.path, "--tenant", "mesa", "--as", "admin@mesa")
    assert "No forecasts were made for mesa yet" in clinicmart_here("forecasts", "list", *of_mesa).out
    assert json.loads(clinicmart_here("forecasts", "list", "--json", *of_mesa).out) == []
    for user in ("doctor", "biller", "desk", "nurse", "partner"):
        for asks in ("current", "scored", "newest"):
            with pytest.raises(AccessError, match="not part of what you may see"):
                getattr(reader(f"{user}@harbor").forecasts, asks)()
    refused = {row.actor for row in place.access.audit_rows("harbor", action="forecasts") if row.result == "refused"}
    assert refused == {f"{user}@harbor" for user in ("doctor", "biller", "desk", "nurse", "partner")}


def test_without_the_module_nobody_sees_or_makes_forecasts(place, reader):
    planted(place)
    place.access.set_module("harbor", "forecasts", enabled=False, actor="test")
    mine = reader("admin@harbor").forecasts
    for act in (mine.current, mine.scored, mine.make, mine.verify):
        with pytest.raises(AccessError):
            act()
    with pytest.raises(AccessError, match="does not have the module"):
        making.make(place.home, "harbor", "run")


def test_administrators_alone_make_and_verify(place, reader):
    for user in ("ceo", "east", "analyst"):
        for act in (reader(f"{user}@harbor").forecasts.make, reader(f"{user}@harbor").forecasts.verify):
            with pytest.raises(AccessError, match="only an administrator"):
                act()
    made = reader("admin@harbor").forecasts.make()
    assert made.is_new
    assert {item.service_unit_id for item in made.forecasts} >= set(UNITS)
    # Weeks of visits say nothing of a year: no forecast, with the reason.
    assert {item.reason.split(":")[0] for item in made.forecasts} == {"too little history"}
    again = reader("admin@harbor").forecasts.make()
    assert not again.is_new
    assert (again.issue, again.forecasts) == (made.issue, made.forecasts)
    assert reader("admin@harbor").forecasts.verify().issues == 1


def test_figures_of_few_people_have_no_forecast_for_those_who_do_not_see_them(place, reader):
    made = planted(place)
    place.access.ensure_tenant("harbor", "Harbor", Deidentification(rule="limited", smallest_cell=4))
    ceo = reader("ceo@harbor")
    asked = MetricQuery(metrics=["visits"], by=["level_3"], grain="week", restated=True, date_from=date(2026, 2, 2))
    answer = ceo.query(asked)
    hidden = set(answer.filter(answer["visits"].is_null())["level_3"]) & {"imaging", "lab"}
    assert hidden
    shown = {item.service_unit_id: item for item in ceo.forecasts.current().forecasts if item.metric == "visits"}
    for unit in hidden:
        assert not shown[unit].is_shown
        assert shown[unit].reason == viewing.TOO_FEW_PEOPLE
        assert shown[unit].points == ()
    everything = reader("admin@harbor").forecasts.current()
    assert everything.issue == made
    assert all(item.is_shown for item in everything.forecasts)


# How earlier ones did


def test_earlier_forecasts_are_held_against_the_figures_of_the_registry(place, reader):
    admin = reader("admin@harbor")
    asked = MetricQuery(metrics=["visits"], by=["level_2"], grain="week", restated=True)
    outcomes = {(row["level_2"], row["metric_time"]): row["visits"] for row in admin.query(asked).iter_rows(named=True)}
    east = outcomes["east", MONDAY]
    later = MONDAY + timedelta(days=400)
    digest = definitions(place)["visits"]
    place.access.forecasts("harbor").add(
        issue(),
        [
            forecast("east", digest, points=(point(east + 1, 1), point(5, 1, later))),
            forecast("west", digest, points=(point(outcomes["west", MONDAY] + 9, 8),)),
            forecast("group", "another definition", points=(point(),)),
            forecast("lab", digest, is_shown=False, reason="too few", points=()),
            forecast("group", digest, points=(replace(point(), high=point().value),)),
        ],
    )
    scored = admin.forecasts.scored()
    assert [(item.service_unit_id, item.outcome, item.is_inside) for item in scored] == [
        ("east", east, True),
        ("west", outcomes["west", MONDAY], False),
    ]
    (record,) = record_of(scored)
    assert (record.outcomes, record.inside, record.error, record.obvious_error) == (2, 1, Decimal(5), Decimal(6))
    assert [item.service_unit_id for item in reader("east@harbor").forecasts.scored()] == ["east"]
    asked_as = ("--home", place.home.path, "--tenant", "harbor", "--as", "admin@harbor")
    said = json.loads(clinicmart_here("forecasts", "score", "--json", *asked_as).out)
    assert said["records"][0]["outcomes"] == 2
    assert [item["is_inside"] for item in said["outcomes"]] == [True, False]
    listed = json.loads(clinicmart_here("forecasts", "list", "--json", "--unit", "lab", *asked_as).out)
    assert [(item["service_unit_id"], item["reason"], item["points"]) for item in listed] == [("lab", "too few", [])]


def test_a_model_that_does_badly_on_record_is_switched_off(place, monkeypatch):
    digest = definitions(place)["visits"]
    log = place.access.forecasts("harbor")
    for number in range(LEAST_ON_RECORD):
        log.add(issue(f"v{number}"), [forecast("east", digest, points=(point(1000, 1),)), forecast("west", digest)])
    monkeypatch.setattr(
        making, "forecast_units", lambda _measure, _daily, below, digest, _problem: [forecast(u, digest) for u in below]
    )
    made = {item.service_unit_id: item for item in making.make(place.home, "harbor", "run").forecasts}
    assert made["east"].reason.startswith("switched off: since forecasts are on record its 90 % band held 0.0 % of 50")
    assert not made["east"].points
    assert made["imaging"].is_shown


def test_a_figure_that_is_defined_otherwise_has_no_forecast(place, reader, monkeypatch):
    planted(place)
    monkeypatch.setattr(viewing, "definitions", lambda *_: {"visits": "another"})
    shown = reader("admin@harbor").forecasts.current()
    assert {item.reason for item in shown.forecasts} == {viewing.REDEFINED}
    assert not any(item.points for item in shown.forecasts)


def test_verify_as_a_command_finds_what_was_changed(place):
    planted(place)
    asked_as = ("--home", place.home.path, "--tenant", "harbor", "--as", "admin@harbor")
    assert clinicmart_here("forecasts", "verify", *asked_as).code == 0
    with closing(sqlite3.connect(place.home.access)) as connection, connection:
        connection.execute("update forecast set points = replace(points, '10', '11')")
    verified = clinicmart_here("forecasts", "verify", "--json", *asked_as)
    assert verified.code == 1
    assert "are not what was written" in json.loads(verified.out)["problems"][0]
