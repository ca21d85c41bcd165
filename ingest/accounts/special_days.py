"""Days on which clinics work differently. A feed's rows on them are learned by the name of the day, not by weekday.

US federal holidays with the days on which they are observed (package `holidays`), Good Friday, and the days around
them on which many clinics close or work half: those before Independence Day and Thanksgiving, Christmas Eve, the days between
the years, New Year's Eve, and the day after any of them. A name alone decides nothing: `ingest.accounts.rhythm` uses the feed's
rows on earlier days of the same name.
"""

from datetime import date, timedelta
from functools import lru_cache

import holidays
from dateutil.easter import easter  # type: ignore[import-untyped]

# What answers the work of the day before (acknowledgements, remittances) is quiet the day after.
_BEFORE = ("Thanksgiving Day", "Independence Day", "Christmas Day", "New Year's Day")
_BETWEEN = "between Christmas and New Year"


@lru_cache(maxsize=64)
def _of_year(year: int) -> dict[date, str]:
    names: dict[date, str] = {date(year, 12, day): _BETWEEN for day in range(26, 31)}
    names[easter(year) - timedelta(days=2)] = "Good Friday"
    # A year's holidays may be observed in the year before, and New Year's Eve belongs to the next year's New Year.
    # A plain dictionary: theirs works out further years when asked for a day of one.
    named = dict(holidays.country_holidays("US", years=[year - 1, year, year + 1]))
    for day, text in named.items():
        name = text.removesuffix(" (observed)")
        for offset in (-1, 1) if name in _BEFORE else (1,):
            near = day + timedelta(days=offset)
            if near not in named:
                names[near] = f"{'day before' if offset < 0 else 'day after'} {name}"
    for day, text in named.items():
        names[day] = text.removesuffix(" (observed)")
    return {day: name for day, name in names.items() if day.year == year}


def special_day(day: date) -> str | None:
    """The name of a day on which clinics work differently, None for any other; the same name every year."""
    return _of_year(day.year).get(day)
