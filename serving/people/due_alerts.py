"""Which alerts are to be evaluated: each once for each day and published version of its tenant, and hourly where that failed."""

from datetime import datetime

from foundation.configured_zone import local_day
from foundation.home import Home
from serving.people.alert_rules import Alert
from serving.people.store import AccessStore
from serving.versions.store import current_version


def mark_of(home: Home, tenant_id: str, now: datetime) -> str:
    """The served version and the tenant's day at a moment (UTC), for `Alert.checked_for`; empty where nothing is published."""
    version = current_version(home, tenant_id)
    return "" if version is None else f"{version.version} {local_day(home, tenant_id, now)}"


def failed_mark(mark: str, now: datetime) -> str:
    """The mark of an alert that could not be evaluated: it is tried again in the next hour."""
    return f"{mark} {now.hour}"


def any_alert_due(home: Home, now: datetime, *, with_mail: bool = True) -> bool:
    """Whether an alert is to be evaluated at a moment (UTC), or a mail with alarms is to be tried (not asked without `with_mail`)."""
    access = AccessStore.open(home)
    alerts = access.alerts.going_on()
    marks = {tenant_id: mark_of(home, tenant_id, now) for tenant_id in {alert.tenant_id for alert in alerts}}
    return (with_mail and access.alarm_mails.is_any_due(now)) or any(
        not is_checked(alert, marks[alert.tenant_id], now) for alert in alerts
    )


def is_checked(alert: Alert, mark: str, now: datetime) -> bool:
    """Whether an alert needs no evaluation at a moment (UTC). `mark` as of `mark_of`."""
    return not mark or alert.checked_for == (failed_mark(mark, now) if alert.problem else mark)
