"""Today's board: who waits, who is late, who is expected and how many beds are taken, from the live state of the tenant.

Rows are of the service units that the person sees. A row without such a unit is for nobody who sees a part. "Today" is the local day of
the row's unit. Patients are shown by a code of six digits, which is good for this scope alone: nobody can look it up in another way.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from data_contracts import INPATIENT_CLASSES
from foundation.live_state import LiveState
from serving.metrics.answers import Metrics
from serving.scope_files.deidentify import surrogate

_NOT_A_VISIT = frozenset({"cancelled", "entered_in_error", "planned", "finished"})
# A patient counts as late from so many minutes after the planned start on.
LATE_MINUTES = 1
# A state that was not renewed for so long is not followed any more; the listener renews it every two seconds.
STALE_SECONDS = 15
# A feed that sent nothing for so long is called silent.
SILENT_MINUTES = 15
CODE_DIGITS = 6
# Each list of patients ends here; the units say how many there are.
MOST_LISTED = 40


@dataclass(frozen=True, kw_only=True)
class Place:
    """A service unit of the board: its IANA time zone, and its staffed beds, None where it has none."""

    unit_id: str
    name: str
    time_zone: str
    staffed_beds: int | None = None


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Somebody who came and was not called yet: since when (UTC), and for how many minutes."""

    code: str
    unit_id: str
    since: datetime
    minutes: int


@dataclass(frozen=True, kw_only=True)
class Expected:
    """An appointment of today whose patient is not here: `late_minutes` is 0 for those that are not due yet."""

    code: str
    unit_id: str
    start_at: datetime
    late_minutes: int


@dataclass(frozen=True, kw_only=True)
class UnitDay:
    """The day of one unit so far. `seen` are visits that ended today, `expected` appointments that are not due yet."""

    place: Place
    waiting: int
    under_way: int
    late: int
    expected: int
    no_shows: int
    seen: int
    beds_taken: int


@dataclass(frozen=True, kw_only=True)
class FeedAge:
    """When a feed's last message came; `seconds` ago, None before the first one."""

    name: str
    last_message_at: datetime | None
    seconds: int | None

    @property
    def is_silent(self) -> bool:
        return self.seconds is None or self.seconds > SILENT_MINUTES * 60


@dataclass(frozen=True, kw_only=True)
class Board:
    """What one person sees of today. `age_seconds` is the age of the state itself. The lists of patients have at most MOST_LISTED each,
    the longest wait and the earliest start first; `units` count all. `people` are the patients of the lists, for the audit."""

    made_at: datetime
    age_seconds: int
    feeds: tuple[FeedAge, ...]
    units: tuple[UnitDay, ...]
    waiting: tuple[Waiting, ...]
    late: tuple[Expected, ...]
    expected: tuple[Expected, ...]
    people: tuple[str, ...]

    @property
    def is_followed(self) -> bool:
        """Whether somebody still listens."""
        return self.age_seconds <= STALE_SECONDS


def places(metrics: Metrics, time_zone: str) -> list[Place]:
    """The service units in scope, in the order of the tree. `time_zone` is that of units without one."""
    columns = metrics.registry.table("dim_service_units")
    held = columns.column_names if columns else ()
    beds = "staffed_beds" if "staffed_beds" in held else "cast(null as integer)"
    zone = "time_zone" if "time_zone" in held else "cast(null as varchar)"
    units = metrics.data.frame(
        f"select service_unit_id, name, {zone} as time_zone, {beds} as staffed_beds from warehouse.marts.dim_service_units "
        "where service_unit_id <> 'unknown' order by sort_order"
    )
    return [
        Place(
            unit_id=row["service_unit_id"],
            name=row["name"],
            time_zone=row["time_zone"] or time_zone,
            staffed_beds=row["staffed_beds"],
        )
        for row in units.iter_rows(named=True)
    ]


def board(state: LiveState, places: Sequence[Place], now: datetime, surrogate_key: str) -> Board:
    """The board of some units at a moment (UTC)."""
    by_id = {place.unit_id: place for place in places}
    visits = [row for row in state.rows.get("encounter", ()) if row["service_unit_id"] in by_id]
    appointments = [row for row in state.rows.get("appointment", ()) if row["service_unit_id"] in by_id]
    people: dict[str, None] = {}

    def code(row: Mapping[str, Any]) -> str:
        if not row["patient_id"]:
            return "not known"
        name = surrogate(surrogate_key, row["patient_id"])
        people[name] = None
        return name[:CODE_DIGITS].upper()

    def is_today(text: str | None, row: Mapping[str, Any]) -> bool:
        return text is not None and _day(_moment(text), by_id[row["service_unit_id"]]) == _day(
            now, by_id[row["service_unit_id"]]
        )

    outpatient = [row for row in visits if row["encounter_class"] not in INPATIENT_CLASSES]
    here = [
        row
        for row in outpatient
        if row["status"] not in _NOT_A_VISIT and row["ended_at"] is None and is_today(row["started_at"], row)
    ]
    called = [row for row in here if row["status"] != "arrived"]
    waiting = sorted((row for row in here if row["status"] == "arrived"), key=lambda row: _moment(row["started_at"]))
    came = {
        row["encounter_id"] for row in outpatient if row["status"] not in ("planned", "cancelled", "entered_in_error")
    }
    came_people = {
        (row["patient_id"], row["service_unit_id"])
        for row in outpatient
        if row["encounter_id"] in came and is_today(row["started_at"], row) and row["patient_id"]
    }
    todays = [row for row in appointments if is_today(row["scheduled_start_at"], row)]
    missing = sorted(
        (
            row
            for row in todays
            if row["status"] == "scheduled"
            and row["encounter_id"] not in came
            and (row["patient_id"], row["service_unit_id"]) not in came_people
        ),
        key=lambda row: _moment(row["scheduled_start_at"]),
    )
    late = [row for row in missing if _late(now, _moment(row["scheduled_start_at"]))]
    expected = [row for row in missing if not _late(now, _moment(row["scheduled_start_at"]))]
    ended_today = [row for row in outpatient if row["status"] == "finished" and is_today(row["ended_at"], row)]
    beds = [row for row in visits if _is_in_bed(row)]
    no_shows = [row for row in todays if row["status"] == "no_show"]
    rows_by_name = {
        "waiting": waiting,
        "under_way": called,
        "late": late,
        "expected": expected,
        "no_shows": no_shows,
        "seen": ended_today,
        "beds_taken": beds,
    }
    counts = {name: Counter(row["service_unit_id"] for row in rows) for name, rows in rows_by_name.items()}
    units = tuple(
        UnitDay(place=place, **{name: by_unit[place.unit_id] for name, by_unit in counts.items()}) for place in places
    )

    def planned(row: Mapping[str, Any]) -> Expected:
        start_at = _moment(row["scheduled_start_at"])
        return Expected(
            code=code(row), unit_id=row["service_unit_id"], start_at=start_at, late_minutes=_late(now, start_at)
        )

    def waits(row: Mapping[str, Any]) -> Waiting:
        since = _moment(row["started_at"])
        return Waiting(
            code=code(row), unit_id=row["service_unit_id"], since=since, minutes=max(0, _minutes(now - since))
        )

    return Board(
        made_at=now,
        age_seconds=max(0, int((now - state.written_at).total_seconds())),
        feeds=tuple(_age(feed.name, feed.last_message_at, now) for feed in state.feeds),
        units=units,
        waiting=tuple(waits(row) for row in waiting[:MOST_LISTED]),
        late=tuple(planned(row) for row in late[:MOST_LISTED]),
        expected=tuple(planned(row) for row in expected[:MOST_LISTED]),
        people=tuple(sorted(people)),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _day(moment: datetime, place: Place) -> date:
    """The local day of a moment at a unit."""
    return moment.astimezone(ZoneInfo(place.time_zone)).date()


def _minutes(length: timedelta) -> int:
    return int(length.total_seconds() // 60)


def _late(now: datetime, start: datetime) -> int:
    minutes = _minutes(now - start)
    return minutes if minutes >= LATE_MINUTES else 0


def _is_in_bed(row: Mapping[str, Any]) -> bool:
    return row["encounter_class"] in INPATIENT_CLASSES and row["status"] not in _NOT_A_VISIT and row["ended_at"] is None


def _age(name: str, last: datetime | None, now: datetime) -> FeedAge:
    return FeedAge(
        name=name, last_message_at=last, seconds=None if last is None else max(0, int((now - last).total_seconds()))
    )
