"""The weeks and months that have ended. Pure."""

from datetime import date, timedelta

WEEK, MONTH = EVERY = ("week", "month")


def last_ended(every: str, today: date) -> tuple[date, date]:
    """(first day, last day) of the last week (Monday to Sunday) or month that ended before a day."""
    if every == WEEK:
        end = today - timedelta(days=today.weekday() + 1)
        return end - timedelta(days=6), end
    end = today.replace(day=1) - timedelta(days=1)
    return end.replace(day=1), end
