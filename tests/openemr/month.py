"""A known month in an OpenEMR database: what the rows are, and what the metrics must say of them.

The truths are added up while the rows are made, from what is being planted, and share nothing with the profile or the marts.
Two months of different seeds use the same ids for different people and outcomes.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from tests.openemr.accounts import BLUE, EAST, MAIN, MEDICARE, SELF_PAY, Accounts, Row
from tests.openemr.series import MONTH, WEEK, WEEKDAYS, WORKDAY, Series
from tests.openemr.truths import Visit

FIRST_DAY, LAST_DAY = date(2026, 10, 1), date(2026, 10, 31)
NO_SERIES = 'a:6:{s:17:"event_repeat_freq";s:0:"";s:6:"exdate";s:0:"";}'
ADAMS, BAKER = 11, 12
OFFICE, ESTABLISHED, NEW = 5, 9, 10
# Status on the calendar -> weight, and what it comes to: attended ones have an encounter.
OUTCOMES = {
    ">": (50, "completed"),
    "$": (15, "completed"),
    "@": (8, "completed"),
    "!": (3, "arrived"),
    "?": (9, "no_show"),
    "x": (7, "cancelled"),
    "%": (5, "cancelled_late"),
    "-": (3, "unresolved"),
    "AVM": (2, "unresolved"),
    "^": (2, "proposed"),
}


@dataclass
class Month(Accounts):
    """The rows by table, and what they come to. `quarantined` counts appointments that must be held back."""

    quarantined: int = 0
    patients: int = 24

    def __post_init__(self) -> None:
        super().__post_init__()
        self._site()
        self._people()
        self._single_appointments()
        self._series()
        self._not_visits()
        self._edges()
        self._walk_ins()

    # --- what a site is set up with -------------------------------------------------------------------------

    def _site(self) -> None:
        for number, name, npi, inactive in (
            (MAIN, "Main", "1234567893", 0),
            (EAST, "East", "", 0),
            (6, "Old", "12", 1),
        ):
            self.add("facility", id=number, name=name, facility_npi=npi, pos_code=11, inactive=inactive,
                     primary_business_entity=int(number == MAIN))  # fmt: skip
        for number, name, npi, authorized in (
            (1, "admin", "", 0),
            (ADAMS, "Adams", "1234567893", 1),
            (BAKER, "Baker", "", 1),
        ):
            self.add("users", id=number, username=name.lower(), lname=name, fname="Pat", npi=npi, authorized=authorized)
        self.add("users", id=13, username="", lname="Referrer", fname="Kim", npi="1245319599", authorized=0)
        for number, name, kind, identifier in ((MEDICARE, "Medicare", 2, "00430"), (BLUE, "Blue Plan", 6, "BP001")):
            self.add("insurance_companies", id=number, name=name, ins_type_code=kind, cms_id=identifier)
        for number, (constant, name, kind) in enumerate(
            (
                ("no_show", "No Show", 0), ("in_office", "In Office", 1), ("out_of_office", "Out Of Office", 1),
                ("vacation", "Vacation", 1), ("office_visit", "Office Visit", 0), ("holidays", "Holidays", 2),
                ("closed", "Closed", 2), ("lunch", "Lunch", 1), ("established_patient", "Established Patient", 0),
                ("new_patient", "New Patient", 0), ("reserved", "Reserved", 1), (None, "Group Therapy", 3),
            ), start=1,
        ):  # fmt: skip
            self.add("openemr_postcalendar_categories", pc_catid=number, pc_constant_id=constant, pc_catname=name,
                     pc_cattype=kind, pc_duration=900)  # fmt: skip
        for number, (key, fee) in enumerate((("CPT4", 1), ("HCPCS", 1), ("ICD10", 0)), start=1):
            self.add("code_types", ct_key=key, ct_id=number, ct_fee=fee, ct_claim=1)
        for code, check_in, check_out in (("@", 1, 0), ("~", 1, 0), ("!", 0, 1), (">", 0, 1), ("<", 0, 0), ("-", 0, 0)):
            self.add("list_options", list_id="apptstat", option_id=code, title=code, toggle_setting_1=check_in,
                     toggle_setting_2=check_out)  # fmt: skip

    def _people(self) -> None:
        for pid in range(1, self.patients + 1):
            self.add(
                "patient_data", pid=pid, pubpid="" if pid == 2 else f"MRN-{self.seed}-{pid:03d}", lname=f"Family{pid}",
                fname="Given", DOB="0000-00-00" if pid == 3 else date(1950 + pid, 1, pid), sex="Female" if pid % 2 else "Male",
                postal_code="04101-1234", language="english",
            )  # fmt: skip
            if pid % 3:
                payer = MEDICARE if pid % 3 == 1 else BLUE
                self.add("insurance_data", type="primary", provider=str(payer), policy_number=f"P{pid}", pid=pid,
                         date=None if pid == 4 else "0000-00-00" if pid == 5 else "2020-01-01")  # fmt: skip
        # One changes payer in the middle of the month, one loses the coverage, one has a coverage with an end.
        self.add("insurance_data", type="primary", provider=str(MEDICARE), policy_number="P8", pid=8, date="2026-10-15")
        self.add("insurance_data", type="primary", provider="", policy_number="", pid=11, date="2026-10-12")
        self.rows["insurance_data"][-3]["date_end"] = "2026-10-20"
        self.ended = int(str(self.rows["insurance_data"][-3]["pid"]))

    def payer(self, pid: int, day: date) -> int:
        """Who is expected to pay for a patient on a day."""
        if pid == 8:
            return MEDICARE if day >= date(2026, 10, 15) else BLUE
        if pid == 11:
            return SELF_PAY if day >= date(2026, 10, 12) else BLUE
        if pid == self.ended and day > date(2026, 10, 20):
            return SELF_PAY
        return {0: SELF_PAY, 1: MEDICARE, 2: BLUE}[pid % 3]

    # --- appointments ---------------------------------------------------------------------------------------

    def event(
        self,
        pid: int | str,
        day: date | str,
        start: time | str,
        unit: int,
        category: int,
        status: str = "-",
        **more: object,
    ) -> Row:
        """A row of the calendar."""
        values: Row = {
            "pc_eid": len(self.rows["openemr_postcalendar_events"]) + 1, "pc_pid": str(pid), "pc_eventDate": day,
            "pc_endDate": None, "pc_startTime": start, "pc_duration": 900, "pc_facility": unit, "pc_catid": category,
            "pc_aid": str(ADAMS if unit == MAIN else BAKER), "pc_apptstatus": status, "pc_recurrtype": 0,
            "pc_recurrspec": NO_SERIES, "pc_time": datetime(2026, 9, 1, 12, 0),
        }  # fmt: skip
        return self.add("openemr_postcalendar_events", **(values | more))

    def _single_appointments(self) -> None:
        days = [FIRST_DAY + timedelta(days=n) for n in range(31)]
        for day in (day for day in days if day.isoweekday() < 6):
            for unit in (MAIN, EAST):
                for hour in (9, 10, 14):
                    status = self.random.choices(list(OUTCOMES), [weight for weight, _ in OUTCOMES.values()])[0]
                    self.appointment(day, datetime.combine(day, time(hour, 15)), unit, status)

    def appointment(self, day: date, start: datetime, unit: int, status: str, pid: int | None = None) -> Row:
        """One appointment with its flow board, its encounter where somebody came, and what that was charged and paid."""
        pid = pid or self.random.randint(1, self.patients)
        category = self.random.choice((OFFICE, ESTABLISHED, NEW))
        visit = Visit(
            pid=pid,
            day=day,
            unit=unit,
            provider=ADAMS if unit == MAIN else BAKER,
            category=category,
            payer=self.payer(pid, day),
        )
        event = self.event(pid, day, start.time(), unit, category, status)
        outcome = OUTCOMES[status][1]
        self._count(outcome, visit)
        steps = [(start - timedelta(days=9), "-")]
        encounter = 0
        if outcome in ("completed", "arrived"):
            arrived = start + timedelta(minutes=self.random.randint(-15, 10))
            encounter, steps = self._attended(visit, status, start, arrived, steps)
        elif outcome == "cancelled":
            steps.append((start - timedelta(days=3), status))
        elif outcome == "cancelled_late":
            steps.append((start - timedelta(hours=2), status))
        elif outcome == "no_show":
            steps.append((start + timedelta(hours=1), status))
        self._board(event, encounter, steps)
        return event

    def _count(self, outcome: str, visit: Visit) -> None:
        if outcome == "proposed":
            return
        self.truths.add("appointments", 1, visit)
        if outcome in ("completed", "arrived", "no_show", "unresolved"):
            self.truths.add("expected_appointments", 1, visit)
        self.truths.add("scheduled_appointments", 1, visit)
        metric = {
            "completed": "completed_appointments", "no_show": "no_shows", "cancelled_late": "late_cancels",
            "unresolved": "unresolved_appointments",
        }.get(outcome)  # fmt: skip
        if metric:
            self.truths.add(metric, 1, visit)

    def _attended(
        self, visit: Visit, status: str, start: datetime, arrived: datetime, steps: list[tuple[datetime, str]]
    ) -> tuple[int, list[tuple[datetime, str]]]:
        steps = [*steps, (arrived, "@" if arrived <= start else "~")]
        clock = max(arrived, start)
        if status != "!":
            roomed = arrived + timedelta(minutes=self.random.randint(3, 40))
            steps.append((roomed, "<"))
            self.truths.minutes("wait_time_minutes", max(timedelta(), roomed - clock), visit)
        if status != "@":
            left = clock + timedelta(minutes=self.random.randint(45, 90))
            steps.append((left, "!" if status == "!" else ">"))
            self.truths.minutes("cycle_time_minutes", left - clock, visit)
        if status == "$":
            steps.append((left + timedelta(hours=5), "$"))
        return self.encounter(visit, arrived, is_charged=status != "!"), steps

    def _board(self, event: Row, encounter: int, steps: list[tuple[datetime, str]]) -> None:
        tracker = len(self.rows["patient_tracker"]) + 1
        self.add("patient_tracker", id=tracker, date=steps[0][0], apptdate=event["pc_eventDate"], encounter=encounter,
                 appttime=event["pc_startTime"], eid=event["pc_eid"], pid=event["pc_pid"], lastseq=str(len(steps)))  # fmt: skip
        for number, (moment, status) in enumerate(steps, start=1):
            self.add(
                "patient_tracker_element", pt_tracker_id=tracker, start_datetime=moment, status=status, seq=str(number)
            )

    def _series(self) -> None:
        """Series of patients: their days in the month are appointments that nobody has said the outcome of."""
        moved = date(2026, 10, 12)
        for pid, unit, series in (
            (6, MAIN, Series(first_day=date(2026, 9, 7), last_day=date(2026, 10, 30), unit=WEEK, every="1", days_out=(moved,))),
            (7, EAST, Series(first_day=date(2026, 9, 9), last_day=date(2026, 12, 31), nth=(2, 3, 1))),
            (9, MAIN, Series(first_day=date(2026, 10, 1), last_day=date(2026, 10, 20), unit=WEEKDAYS, every="3,5")),
            (10, EAST, Series(first_day=date(2026, 8, 31), last_day=date(2026, 10, 30), unit=MONTH, every="1")),
            (12, MAIN, Series(first_day=date(2026, 10, 2), last_day=date(2026, 10, 16), unit=WORKDAY, every="2")),
        ):  # fmt: skip
            self.event(pid, series.first_day, time(16, 30), unit, OFFICE, pc_endDate=series.last_day,
                       pc_recurrtype=series.recurrence_type, pc_recurrspec=series.specification)  # fmt: skip
            for day in series.days():
                visit = Visit(
                    pid=pid,
                    day=day,
                    unit=unit,
                    provider=ADAMS if unit == MAIN else BAKER,
                    category=OFFICE,
                    payer=self.payer(pid, day),
                )
                if FIRST_DAY <= day <= LAST_DAY:
                    self._count("unresolved", visit)
        # The occurrence that was taken out of the first series, changed by itself: a separate event.
        self.appointment(moved, datetime.combine(moved, time(17, 0)), EAST, ">", pid=6)

    def _not_visits(self) -> None:
        """Time of providers, and categories that are no visits though they name a patient."""
        for category in (2, 3, 4, 6, 7, 8, 11):
            series = Series(first_day=FIRST_DAY, last_day=LAST_DAY, unit=WORKDAY, every="1")
            self.event("", FIRST_DAY, time(8, 0), MAIN, category, pc_endDate=LAST_DAY, pc_recurrtype=1,
                       pc_recurrspec=series.specification)  # fmt: skip
        self.event(5, date(2026, 10, 7), time(11, 0), MAIN, 11)
        self.event(5, date(2026, 10, 8), time(11, 0), MAIN, 1)
        self.event("", date(2026, 10, 9), time(11, 0), MAIN, 12)

    def _edges(self) -> None:
        """Rows that cannot be used, and that must not be lost either: starts beyond 24 h, days that are none, series without
        an end or a rule; and a status that nobody knows, which is an appointment all the same."""
        self.event(1, date(2026, 10, 6), "25:30:00", MAIN, OFFICE)
        self.event(2, date(2026, 10, 6), "838:00:00", MAIN, OFFICE)
        self.event(3, "0000-00-00", time(9, 0), MAIN, OFFICE)
        self.event(4, date(2026, 10, 6), None, MAIN, OFFICE)  # type: ignore[arg-type]
        endless = Series(first_day=date(2026, 10, 6), last_day=LAST_DAY, unit=WEEK, every="1")
        self.event(5, endless.first_day, time(9, 0), MAIN, OFFICE, pc_recurrtype=1, pc_recurrspec=endless.specification)
        self.event(
            6, endless.first_day, time(9, 0), MAIN, OFFICE, pc_recurrtype=1, pc_endDate=LAST_DAY, pc_recurrspec="a:0:{}"
        )
        day = date(2026, 10, 6)
        self.event(7, day, time(9, 0), MAIN, OFFICE, "ZZ")
        visit = Visit(pid=7, day=day, unit=MAIN, provider=ADAMS, category=OFFICE, payer=self.payer(7, day))
        self.truths.add("appointments", 1, visit)
        self.quarantined = 6

    def _walk_ins(self) -> None:
        for n in range(6):
            day = date(2026, 10, 5 + n)
            pid = 13 + n
            unit = EAST if n % 2 else MAIN
            visit = Visit(
                pid=pid,
                day=day,
                unit=unit,
                provider=ADAMS if unit == MAIN else BAKER,
                category=OFFICE,
                payer=self.payer(pid, day),
            )
            self.encounter(visit, datetime.combine(day, time(12, 0)), is_charged=True)
