"""The weeks and months of alerts. Pure."""

from datetime import date, timedelta

from serving.people.ended_periods import last_ended

# A rule never looks further back than this, however long nobody evaluated it.
MOST_PERIODS = 60

Days = tuple[date, date]


def earlier(every: str, period: Days, count: int) -> list[Days]:
    """So many periods before one, the oldest first."""
    before: list[Days] = []
    start = period[0]
    for _ in range(count):
        before.insert(0, last_ended(every, start))
        start = before[0][0]
    return before


def looked_at(every: str, made_on: date, matures_after_days: int, today: date) -> list[Days]:
    """The ended periods that an alert looks at, the oldest first: from the last one whose figure was settled by its age when the alert
    was made."""
    first = last_ended(every, made_on - timedelta(days=matures_after_days))
    newest = last_ended(every, today)
    ended = [*earlier(every, newest, MOST_PERIODS - 1), newest]
    return [period for period in ended if period[0] >= first[0]]
