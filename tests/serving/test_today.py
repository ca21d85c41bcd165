"""Today's board from a live state: units, local days, late and seen, codes of patients; and who may open it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from foundation.errors import AccessError, DamagedFileError
from foundation.keys import Keys
from foundation.live_state import LiveFeed, LiveState, live_path, read_live, write_live
from serving.people.rights import ROLES, TENANT_ROLES
from serving.today import MOST_LISTED, Board, Place, board
from tests.serving.conftest import PEOPLE

# Noon in New York, on the day in which clocks went back there.
NOON = datetime(2026, 11, 1, 17, tzinfo=UTC)
EAST = Place(unit_id="east", name="East", time_zone="America/New_York")
WARD = Place(unit_id="ward", name="Ward", time_zone="America/New_York", staffed_beds=4)
TOKYO = Place(unit_id="tokyo", name="Tokyo", time_zone="Asia/Tokyo")


def visit(number: int, unit: str, started_at: datetime, **values: Any) -> dict[str, Any]:
    row = {"encounter_id": f"v{number}", "patient_id": f"token{number}", "service_unit_id": unit, "provider_id": None}
    row |= {"encounter_class": "AMB", "status": "arrived", "started_at": started_at.isoformat(), "ended_at": None}
    return row | values


def appointment(number: int, unit: str, start_at: datetime, **values: Any) -> dict[str, Any]:
    row = {"appointment_id": f"a{number}", "patient_id": f"token{number}", "service_unit_id": unit}
    row |= {"encounter_id": None, "status": "scheduled", "scheduled_start_at": start_at.isoformat()}
    return row | values


def state(
    *, visits: list[dict[str, Any]] = (), appointments: list[dict[str, Any]] = (), at: datetime = NOON
) -> LiveState:  # type: ignore[assignment]
    feeds = [LiveFeed(name="adt", messages=9, last_message_at=at - timedelta(seconds=14))]
    return LiveState(written_at=at, feeds=feeds, rows={"encounter": list(visits), "appointment": list(appointments)})


def day_of(shown: Board, unit: str) -> Mapping[str, int]:
    found = next(item for item in shown.units if item.place.unit_id == unit)
    return {name: value for name, value in vars(found).items() if name != "place"}


def test_who_waits_is_under_way_was_seen_or_has_a_bed_is_counted_once_at_the_unit() -> None:
    visits = [
        visit(1, "east", NOON - timedelta(minutes=50)),
        visit(2, "east", NOON - timedelta(minutes=20)),
        visit(3, "east", NOON - timedelta(hours=2), status="in_progress"),
        visit(
            4, "east", NOON - timedelta(hours=3), status="finished", ended_at=(NOON - timedelta(hours=1)).isoformat()
        ),
        visit(5, "east", NOON - timedelta(minutes=5), status="cancelled"),
        visit(6, "ward", NOON - timedelta(days=9), encounter_class="IMP", status="in_progress"),
        visit(7, "ward", NOON, encounter_class="IMP", status="finished", ended_at=NOON.isoformat()),
        visit(8, "west", NOON),
    ]
    shown = board(state(visits=visits), [EAST, WARD], NOON, "key")
    east, ward = day_of(shown, "east"), day_of(shown, "ward")
    assert (east["waiting"], east["under_way"], east["seen"], east["beds_taken"]) == (2, 1, 1, 0)
    assert (ward["waiting"], ward["beds_taken"]) == (0, 1)
    assert [item.minutes for item in shown.waiting] == [50, 20]
    assert len(shown.units) == 2


def test_late_is_whose_time_has_passed_and_who_is_not_here() -> None:
    appointments = [
        appointment(1, "east", NOON - timedelta(minutes=30)),
        appointment(2, "east", NOON + timedelta(minutes=30)),
        # Here by the visit that the appointment names, and by the patient at the unit.
        appointment(3, "east", NOON - timedelta(minutes=15), encounter_id="v3"),
        appointment(4, "east", NOON - timedelta(minutes=15)),
        appointment(5, "east", NOON - timedelta(minutes=40), status="no_show"),
        appointment(6, "east", NOON - timedelta(minutes=40), status="cancelled"),
        appointment(7, "east", NOON + timedelta(days=1)),
    ]
    visits = [visit(30, "east", NOON, encounter_id="v3"), visit(4, "east", NOON)]
    shown = board(state(visits=visits, appointments=appointments), [EAST], NOON, "key")
    assert [(item.late_minutes, item.start_at) for item in shown.late] == [(30, NOON - timedelta(minutes=30))]
    assert [item.start_at for item in shown.expected] == [NOON + timedelta(minutes=30)]
    assert day_of(shown, "east")["no_shows"] == 1


@pytest.mark.parametrize(
    ("place", "first", "last"),
    [
        # The day has 25 hours: from 04:00 UTC to 04:59 UTC of the next day.
        (EAST, datetime(2026, 11, 1, 4, tzinfo=UTC), datetime(2026, 11, 2, 4, 59, tzinfo=UTC)),
        # It is the second of November there.
        (TOKYO, datetime(2026, 11, 1, 15, tzinfo=UTC), datetime(2026, 11, 2, 14, 59, tzinfo=UTC)),
    ],
)
def test_today_is_the_local_day_of_the_unit(place: Place, first: datetime, last: datetime) -> None:
    unit, minute = place.unit_id, timedelta(minutes=1)
    times = [first - minute, first, last, last + minute]
    appointments = [appointment(number, unit, at, status="no_show") for number, at in enumerate(times)]
    shown = board(state(appointments=appointments), [place], NOON, "key")
    assert day_of(shown, unit)["no_shows"] == 2


def test_the_age_of_the_state_and_of_each_feed_is_known() -> None:
    now = NOON + timedelta(seconds=5)
    shown = board(state(), [EAST], now, "key")
    assert (shown.age_seconds, shown.feeds[0].seconds, shown.is_followed, shown.feeds[0].is_silent) == (
        5,
        19,
        True,
        False,
    )
    later = board(state(), [EAST], NOON + timedelta(hours=1), "key")
    assert (later.is_followed, later.feeds[0].is_silent) == (False, True)


def test_patients_are_codes_that_differ_by_scope() -> None:
    visits = [visit(1, "east", NOON)]
    one, two = (board(state(visits=visits), [EAST], NOON, key) for key in ("one", "two"))
    assert one.waiting[0].code != two.waiting[0].code
    assert "token1" not in str(one)


# Who may open it

USERS = {role: name for name, role, _, _ in reversed(PEOPLE)}


@pytest.fixture
def live(place):  # type: ignore[no-untyped-def]
    """A live state in both tenants, with one visit at each unit; mesa has two at the lab."""
    keys = Keys.of(place.home)
    units = {"harbor": ("east", "west", "lab"), "mesa": ("east", "west", "lab", "lab")}
    for tenant, names in units.items():
        visits = [visit(number, unit, NOON) for number, unit in enumerate(names)]
        write_live(place.home, keys, tenant, state(visits=visits))
    return place


@pytest.mark.parametrize("role", TENANT_ROLES)
def test_roles_with_the_page_see_their_units_and_others_are_refused(live, reader, role) -> None:
    mine = reader(f"{USERS[role]}@harbor")
    if not ROLES[role].sees_today:
        with pytest.raises(AccessError):
            mine.today(NOON)
        assert live.access.audit_rows("harbor", action="today")[0].result == "refused"
        return
    shown = mine.today(NOON)
    assert {item.unit_id for item in shown.waiting} <= set(mine.tree()["service_unit_id"])
    assert {item.place.unit_id for item in shown.units} == set(mine.tree()["service_unit_id"]) - {"unknown"}


def test_front_desk_and_nurse_see_assigned_units_and_nothing_else(live, reader) -> None:
    desk, nurse = reader("desk@harbor"), reader("nurse@harbor")
    assert {item.unit_id for item in desk.today(NOON).waiting} == {"east", "lab"}
    assert {item.unit_id for item in nurse.today(NOON).waiting} == {"west"}
    assert len(reader("desk@mesa").today(NOON).waiting) == 3
    for mine in (desk, nurse):
        assert mine.metrics() == []
        held = mine._metrics.data.frame(
            "select table_name from information_schema.tables where table_catalog = 'warehouse'"
        )["table_name"].to_list()
        assert not [name for name in held if name.startswith("fct_")]
        for name in ("dim_patients", "dim_providers", "dim_payers"):
            assert mine._metrics.data.frame(f"select * from warehouse.marts.{name}").is_empty()


def test_each_patient_on_the_board_is_audited_once(live, reader) -> None:
    desk = reader("desk@harbor")
    shown = desk.today(NOON)
    desk.today(NOON, shown.people)
    (row,) = live.access.audit_rows("harbor", action="today")
    assert sorted(row.detail["people"]) == sorted(shown.people)
    assert len(shown.people) == 2


def test_who_is_not_listed_is_not_in_the_audit(live, reader) -> None:
    early = [visit(number, "east", NOON - timedelta(minutes=number)) for number in range(63)]
    called = [visit(100, "east", NOON, status="in_progress")]
    write_live(live.home, Keys.of(live.home), "harbor", state(visits=[*early, *called]))
    shown = reader("desk@harbor").today(NOON)
    assert [item.minutes for item in shown.waiting] == list(range(62, 62 - MOST_LISTED, -1))
    assert (day_of(shown, "east")["waiting"], day_of(shown, "east")["under_way"]) == (63, 1)
    (row,) = live.access.audit_rows("harbor", action="today")
    assert sorted(row.detail["people"]) == sorted(shown.people)
    assert len(shown.people) == MOST_LISTED


def test_a_board_that_is_drawn_again_is_audited_where_somebody_new_is_listed(live, reader) -> None:
    desk, keys = reader("desk@harbor"), Keys.of(live.home)
    write_live(live.home, keys, "harbor", state())
    noted: set[str] | None = None
    for _ in range(3):
        noted = {*(noted or ()), *desk.today(NOON, noted).people}
    rows = live.access.audit_rows("harbor", action="today")
    assert [row.detail["people"] for row in rows] == [[]]
    write_live(live.home, keys, "harbor", state(visits=[visit(1, "east", NOON)]))
    for _ in range(3):
        noted = {*noted, *desk.today(NOON, noted).people}
    assert len(live.access.audit_rows("harbor", action="today")) == 2


def test_the_state_of_another_tenant_or_an_altered_one_does_not_open(live, reader) -> None:
    harbor, mesa = (live_path(live.home, tenant) for tenant in ("harbor", "mesa"))
    keys = Keys.of(live.home)
    assert read_live(live.home, keys, "mesa") is not None
    assert b"token" not in mesa.read_bytes()
    for content in (mesa.read_bytes(), harbor.read_bytes()[:-1] + b"x", b"nothing"):
        harbor.write_bytes(content)
        with pytest.raises(DamagedFileError):
            reader("desk@harbor").today(NOON)


def test_the_serving_ring_opens_the_live_state(live, monkeypatch) -> None:
    from foundation.keys import serving_keys

    with serving_keys(live.home):
        opened = read_live(live.home, Keys.of(live.home), "harbor")
    assert opened is not None
    assert opened.feeds[0].messages == 9
