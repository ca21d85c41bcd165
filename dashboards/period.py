"""Periods: presets relative to the day the data reach, their names, and what each is compared with. Pure."""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dashboards.format import day, month

PRESETS = {
    "last_month": "Last full month",
    "last_quarter": "Last full quarter",
    "last_3_months": "Last 3 full months",
    "last_12_months": "Last 12 full months",
    "year_to_date": "Year to date",
}
DEFAULT = "last_quarter"
COMPARISONS = {"before": "Period before", "year": "Same period last year"}
_RANGE = re.compile(r"(\d{4}-\d{2}-\d{2})_(\d{4}-\d{2}-\d{2})")
LONGEST_DAYS = 3700


def month_start(value: date) -> date:
    """The first day of the month of a day."""
    return value.replace(day=1)


def month_end(value: date) -> date:
    """The last day of the month of a day."""
    return value.replace(day=monthrange(value.year, value.month)[1])


def day_of(value: date) -> date:
    """The day of a date or a moment: answers have the first day of a month or week as either."""
    return value.date() if isinstance(value, datetime) else value


def add_months(value: date, months: int) -> date:
    """The same day some months later or earlier; the last day where that month is shorter."""
    index = value.year * 12 + value.month - 1 + months
    year, number = divmod(index, 12)
    return date(year, number + 1, min(value.day, monthrange(year, number + 1)[1]))


@dataclass(frozen=True)
class Period:
    """An inclusive range of local dates. `key` is its form in the URL: a preset or `2026-01-01_2026-03-12`."""

    start: date
    end: date
    key: str

    @property
    def whole_months(self) -> int:
        """How many calendar months it covers exactly; 0 where it does not."""
        if self.start.day != 1 or self.end != month_end(self.end):
            return 0
        return (self.end.year - self.start.year) * 12 + self.end.month - self.start.month + 1

    @property
    def name(self) -> str:
        """Q1 2026, March 2026, 2026, Jan to Mar 2026, or 3 Jan 2026 to 12 Mar 2026."""
        months = self.whole_months
        if months == 1:
            return f"{self.start:%B %Y}"
        if months == 3 and self.start.month % 3 == 1:
            return f"Q{self.start.month // 3 + 1} {self.start.year}"
        if months == 12 and self.start.month == 1:
            return str(self.start.year)
        if months:
            first = f"{self.start:%b}" if self.start.year == self.end.year else month(self.start)
            return f"{first} to {month(self.end)}"
        return f"{day(self.start)} to {day(self.end)}" if self.start != self.end else day(self.start)

    @property
    def dates(self) -> str:
        """1 Jan 2026 to 31 Mar 2026."""
        return f"{day(self.start)} to {day(self.end)}"

    def before(self) -> "Period":
        """The range of the same length that ends the day before this one starts."""
        end = self.start - timedelta(days=1)
        months = self.whole_months
        start = add_months(self.start, -months) if months else end - (self.end - self.start)
        return Period(start, end, range_key(start, end))

    def year_earlier(self) -> "Period":
        """The same dates one year earlier; whole months stay whole."""
        start = add_months(self.start, -12)
        end = add_months(self.end, -12)
        if self.whole_months:
            end = month_end(end)
        return Period(start, end, range_key(start, end))

    def compared(self, comparison: str) -> "Period":
        return self.year_earlier() if comparison == "year" else self.before()


def range_key(start: date, end: date) -> str:
    return f"{start.isoformat()}_{end.isoformat()}"


def last_full_month_end(as_of: date) -> date:
    """The last day of the last month that the data cover whole."""
    return as_of if as_of == month_end(as_of) else month_start(as_of) - timedelta(days=1)


def preset(key: str, as_of: date) -> Period:
    """A preset relative to the last day with data. Raises KeyError for an unknown one."""
    end = last_full_month_end(as_of)
    if key == "last_month":
        return Period(month_start(end), end, key)
    if key == "last_quarter":
        end = month_end(add_months(month_start(end), -(end.month % 3)))
        return Period(add_months(month_start(end), -2), end, key)
    if key == "last_3_months":
        return Period(add_months(month_start(end), -2), end, key)
    if key == "last_12_months":
        return Period(add_months(month_start(end), -11), end, key)
    if key == "year_to_date":
        return Period(date(as_of.year, 1, 1), as_of, key)
    raise KeyError(key)


def parse(key: str | None, as_of: date) -> Period:
    """A period from its URL form. What cannot be read, ends before it starts or is absurdly long is the default."""
    if key in PRESETS:
        return preset(key, as_of)
    return explicit(key) or preset(DEFAULT, as_of)


def explicit(key: str | None) -> Period | None:
    """A period that is written as its two days; None for what cannot be read, ends before it starts or is absurdly long."""
    days = _RANGE.fullmatch(key or "")
    if days is None:
        return None
    try:
        start, end = date.fromisoformat(days[1]), date.fromisoformat(days[2])
    except ValueError:
        return None
    return Period(start, end, range_key(start, end)) if start <= end and (end - start).days <= LONGEST_DAYS else None


def months_of(start: date, end: date) -> list[date]:
    """First days of all months that the range touches."""
    months = [month_start(start)]
    while add_months(months[-1], 1) <= end:
        months.append(add_months(months[-1], 1))
    return months


def ended_months(start: date, end: date, as_of: date) -> list[date]:
    """First days of the months that the range touches and that data until `as_of` cover to their last day."""
    return [month for month in months_of(start, end) if month_end(month) <= as_of]


def trend_window(period: Period, compared: Period, months: int = 13) -> tuple[date, date]:
    """The months a trend shows: thirteen up to the period's end, more where the period or comparison reaches back."""
    end = month_end(period.end)
    start = min(add_months(month_start(period.end), 1 - months), month_start(period.start), month_start(compared.start))
    return max(start, add_months(month_start(period.end), -35)), end
