"""What days OpenEMR's calendar shows a series on: worked out step by step, as its calendar does it, and not as the profile does.

A rule is what `pc_recurrspec` holds: PHP's serialisation of a map. Days are stepped from one to the next; a month that is too
short runs over into the next (PHP's mktime), and the series goes on from there.
"""

from dataclasses import dataclass
from datetime import date, timedelta

DAY, WEEK, MONTH, YEAR, WORKDAY, WEEKDAYS = "0", "1", "2", "3", "4", "6"


@dataclass(frozen=True, kw_only=True)
class Series:
    """A series of the calendar. `unit` and `every` are a frequency; `nth` is (number, weekday with Sunday 0, every n months)."""

    first_day: date
    last_day: date
    unit: str = "0"
    every: str = "0"
    nth: tuple[int, int, int] | None = None
    days_out: tuple[date, ...] = ()

    @property
    def recurrence_type(self) -> int:
        """The value of `pc_recurrtype`."""
        if self.nth:
            return 2
        return 3 if self.unit == WEEKDAYS else 1

    @property
    def specification(self) -> str:
        """The value of `pc_recurrspec`."""
        number, weekday, months = self.nth or (1, 0, 0)
        return php_map(
            event_repeat_freq=self.every,
            event_repeat_freq_type=self.unit,
            event_repeat_on_num=str(number),
            event_repeat_on_day=str(weekday),
            event_repeat_on_freq=str(months),
            exdate=",".join(day.strftime("%Y%m%d") for day in self.days_out),
        )

    def days(self) -> list[date]:
        """Every day on which it is shown."""
        shown = self._nth_weekdays() if self.nth else self._stepped()
        return [day for day in shown if self.first_day <= day <= self.last_day and day not in self.days_out]

    def _stepped(self) -> list[date]:
        day, found = self.first_day, []
        while day <= self.last_day:
            found.append(day)
            day = self._next(day)
        return found

    def _next(self, day: date) -> date:
        if self.unit == WEEKDAYS:
            wanted = {int(number) for number in self.every.split(",")}
            return next(later for later in _days_after(day) if later.isoweekday() % 7 + 1 in wanted)
        step = int(self.every)
        if self.unit == WORKDAY:
            workdays = (later for later in _days_after(day) if later.isoweekday() < 6)
            return [next(workdays) for _ in range(step)][-1]
        if self.unit in (DAY, WEEK):
            return day + timedelta(days=step * (7 if self.unit == WEEK else 1))
        return first_of_month(day, step * (12 if self.unit == YEAR else 1)) + timedelta(days=day.day - 1)

    def _nth_weekdays(self) -> list[date]:
        number, weekday, months = self.nth or (1, 0, 1)
        month, found = first_of_month(self.first_day, 0), []
        while month <= self.last_day:
            in_month = [
                month + timedelta(days=n) for n in range(31) if (month + timedelta(days=n)).month == month.month
            ]
            matching = [day for day in in_month if day.isoweekday() % 7 == weekday]
            found.append(matching[min(number, len(matching)) - 1])
            month = first_of_month(month, months)
        return found


def php_map(**values: str) -> str:
    """A map of texts as PHP's `serialize` writes it."""
    items = "".join(f's:{len(key)}:"{key}";s:{len(value)}:"{value}";' for key, value in values.items())
    return f"a:{len(values)}:{{{items}}}"


def first_of_month(day: date, later: int) -> date:
    """The first of the month that lies `later` months after a day's."""
    months = day.year * 12 + day.month - 1 + later
    return date(months // 12, months % 12 + 1, 1)


def _days_after(day: date):
    while True:
        day += timedelta(days=1)
        yield day
