"""Which mails are due: that of the last period of a subscription that has ended, once its delay is over. Also earlier ones that somebody
asked for again, or that were noted before a process was stopped."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from foundation.configured_zone import local_day
from foundation.home import Home
from serving.people.ended_periods import last_ended
from serving.people.store import AccessStore
from serving.people.subscriptions import Delivery, Subscription, Subscriptions


@dataclass(frozen=True, kw_only=True)
class Due:
    """A mail to be sent now. `delivery` is None where it was not noted yet. `is_last`: it is of the last period that has ended."""

    subscription: Subscription
    period_start: date
    period_end: date
    delivery: Delivery | None
    is_last: bool


def last_period(subscription: Subscription, today: date) -> tuple[date, date]:
    """(first day, last day) of the last whole week (Monday to Sunday) or month that ended at least the delay before `today`."""
    # With a delay of 0 a period is due the day after its end.
    return last_ended(subscription.every, today - timedelta(days=subscription.delay_days))


def due(home: Home, store: Subscriptions, now: datetime) -> Iterator[Due]:
    """What is due at a moment (UTC), by subscription, the earliest period first. Writes nothing."""
    days: dict[str, date] = {}
    for subscription in store.going_on():
        tenant_id = subscription.tenant_id
        if tenant_id not in days:
            days[tenant_id] = local_day(home, tenant_id, now)
        start, end = last_period(subscription, days[tenant_id])
        mails = store.up_to(subscription, start)
        for mail in mails:
            if mail.is_due(now):
                yield Due(
                    subscription=subscription,
                    period_start=mail.period_start,
                    period_end=mail.period_end,
                    delivery=mail,
                    is_last=mail.period_start == start,
                )
        if all(mail.period_start != start for mail in mails):
            yield Due(subscription=subscription, period_start=start, period_end=end, delivery=None, is_last=True)


def any_due(home: Home, now: datetime) -> bool:
    """Whether a mail is due at a moment (UTC)."""
    return next(due(home, AccessStore.open(home).subscriptions, now), None) is not None
