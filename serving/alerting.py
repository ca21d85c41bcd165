"""What a person may do with alerts: with the own ones alone. Administrators of the machine act for all by `clinicmart alerts`."""

from datetime import date

from foundation.errors import AccessError
from serving.people.alert_rules import Alert, Logged, Wanted
from serving.people.principal import Principal
from serving.people.store import AccessStore


class Alerting:
    """The alerts of a person. Every refusal is audited."""

    def __init__(self, access: AccessStore, principal: Principal) -> None:
        self._access, self._principal, self._store = access, principal, access.alerts
        self._tenant_id, self._email = principal.tenant_id, principal.email

    def alerts(self) -> tuple[Alert, ...]:
        """The alerts that go on."""
        return tuple(item for item in self.all_alerts() if item.ended_at is None)

    def all_alerts(self) -> tuple[Alert, ...]:
        """The same and those that have ended."""
        return self._store.of_tenant(self._tenant_id, self._email)

    def log(self) -> tuple[Logged, ...]:
        """The last evaluations, the newest first."""
        return self._store.logged(self._tenant_id, self._email)

    def open_alarms(self) -> tuple[Logged, ...]:
        """The alarms that nobody has acknowledged: the last period first, and in it the largest first."""
        alarms = self._store.open_alarms(self._tenant_id, self._email)
        return tuple(sorted(alarms, key=lambda item: (-item.period_end.toordinal(), -item.size)))

    def budget(self) -> int:
        """How many alarms the person gets in a week."""
        return self._store.budget(self._tenant_id, self._email)

    def mail_refusal(self) -> str:
        """Why no alarm goes to the person by mail; empty where it does."""
        rule = self._access.subscriptions.rule(self._tenant_id)
        if not rule.domains:
            return "your organization sends no mail yet"
        return rule.refusal(self._email)

    def add(self, wanted: Wanted) -> Alert:
        """Makes an alert. Raises as `Alerts.add`."""
        return self._store.add(self._principal, wanted, actor=self._email)

    def set_budget(self, alarms_a_week: int) -> None:
        """Sets the own budget. Raises as `Alerts.set_budget`."""
        self._store.set_budget(self._tenant_id, self._email, alarms_a_week, actor=self._email)

    def snooze(self, alert_id: int, until: date | None) -> None:
        """Pauses an alert until a day; None ends the pause. Raises AccessError for one of another person."""
        self._check_own(alert_id, "alert snoozed")
        self._store.snooze(self._tenant_id, alert_id, until, actor=self._email)

    def end(self, alert_id: int) -> None:
        """Ends an alert. Raises AccessError for one of another person."""
        self._check_own(alert_id, "alert ended")
        self._store.end(self._tenant_id, alert_id, because=f"ended by {self._email}", actor=self._email)

    def acknowledge(self, evaluation_id: int, note: str) -> None:
        """Notes that an alarm was seen. Raises AccessError for one of another person, ConfigurationError as the store."""
        if not self._store.is_of(self._tenant_id, self._email, evaluation_id):
            raise self._refused("alarm acknowledged", {"alarm": evaluation_id})
        self._store.acknowledge(self._tenant_id, evaluation_id, note, actor=self._email)

    def _check_own(self, alert_id: int, action: str) -> None:
        if all(item.alert_id != alert_id for item in self.alerts()):
            raise self._refused(action, {"alert": alert_id})

    def _refused(self, action: str, detail: dict[str, object]) -> AccessError:
        self._access.audit(self._tenant_id, self._email, action, detail=detail, result="refused")
        return AccessError("there is no such alert of yours")
