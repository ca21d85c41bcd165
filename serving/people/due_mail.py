"""Which mails are due: the last period of a subscription that has ended, once its delay is over. Pure but for `any_due`."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from foundation.configured_zone import configured_time_zone
from foundation.home import Home
from serving.people.store import AccessStore
from serving.people.subscriptions import WEEK, Subscription


def last_period(subscription: Subscription, today: date) -> tuple[date, date]:
    """(first day, last day) of the last whole week (Monday to Sunday) or month that ended at least the delay before `today`."""
    # With a delay of 0 a period is due the day after its end.
    reached = today - timedelta(days=subscription.delay_days)
    if subscription.every == WEEK:
        end = reached - timedelta(days=reached.weekday() + 1)
        return end - timedelta(days=6), end
    end = reached.replace(day=1) - timedelta(days=1)
    return end.replace(day=1), end


def local_day(home: Home, tenant_id: str, now: datetime) -> date:
    """The day of a moment (UTC) where the tenant is."""
    return now.astimezone(ZoneInfo(configured_time_zone(home, tenant_id))).date()


def any_due(home: Home, now: datetime) -> str:
    """What is due, as a text that stays the same until something else is due; empty where nothing is."""
    store = AccessStore.open(home).subscriptions
    due = []
    for subscription in store.going_on():
        start, _ = last_period(subscription, local_day(home, subscription.tenant_id, now))
        mails = [
            mail
            for mail in store.deliveries(subscription.tenant_id, subscription.email)
            if (mail.subscription_id, mail.period_start) == (subscription.subscription_id, start)
        ]
        if not mails or mails[0].is_due(now):
            due.append(f"{subscription.subscription_id}/{start}/{mails[0].attempts if mails else 0}")
    return " ".join(due)
