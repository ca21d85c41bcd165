"""Alerts: rules on metrics, and what each of them said of a service unit and a period. Kept in `access.sqlite`.

An alert belongs to one person, its owner, and is evaluated with the owner's rights (`dashboards.alerts`). A period is judged once: of its
evaluation only `WAITING` is replaced. An alarm goes out by mail (`serving.people.alarm_mails`) and stands on the page Alerts.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, RowMapping, func, insert, select, update

from foundation.errors import AccessError, ConfigurationError
from serving.people.alert_rules import (
    ALARM,
    ALARMS_A_WEEK,
    LONGEST_NOTE,
    MOST_ALARMS_A_WEEK,
    MOST_ALERTS,
    PAGE,
    RAISED,
    VERDICTS,
    WAITING,
    Alert,
    Evaluation,
    Logged,
    Rule,
    Wanted,
)
from serving.people.holders import is_of_holder
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.sealed import seal, unseal
from serving.people.tables import ALERT, ALERT_BUDGET, ALERT_EVALUATION
from serving.people.targets import Audits


class Alerts:
    """The alerts of all tenants of a home. Each change is an audit row; values of figures stand in none."""

    def __init__(
        self,
        *,
        reading: Engine,
        writing: Callable[[], AbstractContextManager[Connection]],
        audit: Audits,
        key: bytes,
    ) -> None:
        self._reading, self._writing, self._audit, self._key = reading, writing, audit, key

    # The rules

    def add(self, owner: Principal, wanted: Wanted, *, actor: str, made_at: datetime | None = None) -> Alert:
        """Makes an alert, which looks at periods from `made_at` on (UTC; without it from now).

        Raises AccessError (audited) for an owner whose role has no alerts, ConfigurationError for one that is there already and for
        more than MOST_ALERTS. Whether the owner may see metric and unit was checked by the caller (`dashboards.alerts.wanted`).
        """
        values = _columns(wanted)
        detail = {
            "user": owner.email,
            **{name: str(value) for name, value in values.items() if value not in ("", None)},
        }
        is_refused = PAGE not in ROLES[owner.role].pages
        with self._writing() as connection:
            if not is_refused:
                mine = (
                    (ALERT.c.tenant_id == owner.tenant_id) & (ALERT.c.email == owner.email) & ALERT.c.ended_at.is_(None)
                )
                same = [
                    ALERT.c[name].is_(None) if value is None else ALERT.c[name] == value
                    for name, value in values.items()
                ]
                if connection.execute(select(ALERT.c.alert_id).where(mine, *same)).first() is not None:
                    raise ConfigurationError(f"{owner.email} already has this alert")
                if connection.execute(select(func.count()).where(mine)).scalar_one() >= MOST_ALERTS:
                    raise ConfigurationError(f"{owner.email} already has {MOST_ALERTS} alerts; end one first")
                made = connection.execute(
                    insert(ALERT).values(
                        tenant_id=owner.tenant_id,
                        email=owner.email,
                        **values,
                        made_by=actor,
                        made_at=made_at or datetime.now(UTC),
                        ended_because="",
                        checked_for="",
                        problem="",
                    )
                )
                (identifier,) = made.inserted_primary_key or (0,)
            result = "refused" if is_refused else "done"
            self._audit(connection, owner.tenant_id, actor, "alert made", detail, result=result)
        if is_refused:
            raise AccessError(f"the role of {owner.email} does not include the page Alerts")
        return self.alert(owner.tenant_id, int(identifier))

    def alert(self, tenant_id: str, alert_id: int) -> Alert:
        """An alert of a tenant. Raises AccessError where there is none."""
        mine = (ALERT.c.tenant_id == tenant_id) & (ALERT.c.alert_id == alert_id)
        with self._reading.connect() as connection:
            row = connection.execute(select(ALERT).where(mine)).mappings().first()
        if row is None:
            raise AccessError(f"there is no alert {alert_id}")
        return _alert(row)

    def of_tenant(self, tenant_id: str, email: str | None = None) -> tuple[Alert, ...]:
        """The alerts of a tenant, or of one person of it, by person; also those that have ended."""
        wanted = select(ALERT).where(ALERT.c.tenant_id == tenant_id)
        wanted = wanted if email is None else wanted.where(is_of_holder(ALERT, email))
        with self._reading.connect() as connection:
            rows = connection.execute(wanted.order_by(ALERT.c.email, ALERT.c.alert_id)).mappings()
            return tuple(_alert(row) for row in rows)

    def going_on(self) -> tuple[Alert, ...]:
        """The alerts of all tenants that have not ended, by tenant and person."""
        wanted = select(ALERT).where(ALERT.c.ended_at.is_(None))
        with self._reading.connect() as connection:
            rows = connection.execute(wanted.order_by(ALERT.c.tenant_id, ALERT.c.email, ALERT.c.alert_id)).mappings()
            return tuple(_alert(row) for row in rows)

    def snooze(self, tenant_id: str, alert_id: int, until: date | None, *, actor: str) -> None:
        """Pauses an alert until a day, on which it raises alarms again; None ends the pause. Raises AccessError as `end`."""
        self._change(tenant_id, alert_id, "alert snoozed", {"until": str(until)}, actor, snoozed_until=until)

    def end(self, tenant_id: str, alert_id: int, *, because: str, actor: str) -> None:
        """Ends an alert. Raises AccessError where the tenant has no such alert that goes on."""
        values = {"ended_at": datetime.now(UTC), "ended_because": because}
        self._change(tenant_id, alert_id, "alert ended", {"because": because}, actor, **values)

    def checked(self, alert: Alert, mark: str, problem: str = "") -> None:
        """Notes what an alert was evaluated for, and why it could not be evaluated."""
        values = {"checked_for": mark, "problem": problem}
        with self._writing() as connection:
            connection.execute(update(ALERT).where(ALERT.c.alert_id == alert.alert_id).values(**values))

    def _change(
        self, tenant_id: str, alert_id: int, action: str, detail: dict[str, object], actor: str, **values: object
    ) -> None:
        mine = (ALERT.c.tenant_id == tenant_id) & (ALERT.c.alert_id == alert_id) & ALERT.c.ended_at.is_(None)
        with self._writing() as connection:
            row = connection.execute(select(ALERT).where(mine)).mappings().first()
            if row is None:
                raise AccessError(f"there is no alert {alert_id} that goes on")
            connection.execute(update(ALERT).where(mine).values(**values))
            whole = {"user": row["email"], "alert": alert_id, "metric": row["metric"], **detail}
            self._audit(connection, tenant_id, actor, action, whole)

    # The budget

    def budget(self, tenant_id: str, email: str) -> int:
        """How many alarms a person gets in a week."""
        mine = (ALERT_BUDGET.c.tenant_id == tenant_id) & (ALERT_BUDGET.c.email == email)
        with self._reading.connect() as connection:
            kept = connection.execute(select(ALERT_BUDGET.c.alarms_a_week).where(mine)).scalar()
        return ALARMS_A_WEEK if kept is None else int(kept)

    def set_budget(self, tenant_id: str, email: str, alarms_a_week: int, *, actor: str) -> None:
        """Sets how many alarms a person gets in a week. Raises ConfigurationError for what is not a number from 0 to 100."""
        if not 0 <= alarms_a_week <= MOST_ALARMS_A_WEEK:
            raise ConfigurationError(f"a week has 0 to {MOST_ALARMS_A_WEEK} alarms, not {alarms_a_week}")
        mine = (ALERT_BUDGET.c.tenant_id == tenant_id) & (ALERT_BUDGET.c.email == email)
        values = {"alarms_a_week": alarms_a_week}
        with self._writing() as connection:
            if connection.execute(update(ALERT_BUDGET).where(mine).values(**values)).rowcount == 0:
                connection.execute(insert(ALERT_BUDGET).values(tenant_id=tenant_id, email=email, **values))
            self._audit(connection, tenant_id, actor, "alert budget set", {"user": email, **values})

    # The log

    def log(self, alert: Alert, evaluations: Iterable[Evaluation], now: datetime) -> int:
        """Adds evaluations of an alert; how many were written. What was judged before stays as it is."""
        written = 0
        with self._writing() as connection:
            for item in evaluations:
                mine = (
                    (ALERT_EVALUATION.c.alert_id == alert.alert_id)
                    & (ALERT_EVALUATION.c.service_unit_id == item.service_unit_id)
                    & (ALERT_EVALUATION.c.period_start == item.period_start)
                )
                verdict = connection.execute(select(ALERT_EVALUATION.c.verdict).where(mine)).scalar()
                if verdict is not None and verdict != WAITING:
                    continue
                values = _logged_columns(item) | {"evaluated_at": now}
                if verdict is None:
                    values |= {"alert_id": alert.alert_id, "tenant_id": alert.tenant_id}
                    connection.execute(insert(ALERT_EVALUATION).values(**values))
                else:
                    connection.execute(update(ALERT_EVALUATION).where(mine).values(**values))
                written += 1
                if item.verdict in RAISED:
                    detail = {
                        "user": alert.email,
                        "alert": alert.alert_id,
                        "metric": alert.metric,
                        "unit": item.service_unit_id,
                        "period": f"{item.period_start} to {item.period_end}",
                        "verdict": item.verdict,
                    }
                    self._audit(connection, alert.tenant_id, "system", "alarm raised", detail)
        return written

    def judged(self, alert: Alert) -> frozenset[tuple[str, date]]:
        """(service unit, first day of the period) of what needs no evaluation any more."""
        mine = (ALERT_EVALUATION.c.alert_id == alert.alert_id) & (ALERT_EVALUATION.c.verdict != WAITING)
        wanted = select(ALERT_EVALUATION.c.service_unit_id, ALERT_EVALUATION.c.period_start).where(mine)
        with self._reading.connect() as connection:
            return frozenset((row.service_unit_id, row.period_start) for row in connection.execute(wanted))

    def alarms_since(self, tenant_id: str, email: str, since: datetime) -> int:
        """How many alarms a person got since a moment (UTC)."""
        mine = (
            (ALERT.c.tenant_id == tenant_id)
            & is_of_holder(ALERT, email)
            & (ALERT_EVALUATION.c.verdict == ALARM)
            & (ALERT_EVALUATION.c.evaluated_at >= since)
        )
        joined = select(func.count()).select_from(ALERT_EVALUATION.join(ALERT)).where(mine)
        with self._reading.connect() as connection:
            return int(connection.execute(joined).scalar_one())

    def logged(
        self, tenant_id: str, email: str | None = None, *, verdicts: Iterable[str] = VERDICTS, limit: int = 200
    ) -> tuple[Logged, ...]:
        """Evaluations of a tenant's alerts, or of those of one person, the newest first."""
        return self._logged(tenant_id, email, ALERT_EVALUATION.c.verdict.in_(list(verdicts)), limit=limit)

    def open_alarms(self, tenant_id: str, email: str) -> tuple[Logged, ...]:
        """The alarms of a person that nobody has acknowledged, the newest first."""
        is_open = ALERT_EVALUATION.c.verdict.in_(RAISED) & ALERT_EVALUATION.c.acknowledged_at.is_(None)
        return self._logged(tenant_id, email, is_open, limit=200)

    def is_of(self, tenant_id: str, email: str, evaluation_id: int) -> bool:
        """Whether an evaluation is of an alert of a person."""
        return bool(self._logged(tenant_id, email, ALERT_EVALUATION.c.evaluation_id == evaluation_id, limit=1))

    def not_mailed(self, tenant_id: str, email: str) -> tuple[Logged, ...]:
        """The alarms of a person that are in no mail yet, the largest first."""
        is_open = (ALERT_EVALUATION.c.verdict == ALARM) & ALERT_EVALUATION.c.mail_id.is_(None)
        alarms = self._logged(tenant_id, email, is_open, limit=MOST_ALARMS_A_WEEK)
        return tuple(sorted(alarms, key=lambda item: (-item.size, item.evaluation_id)))

    def of_mail(self, tenant_id: str, mail_id: int) -> tuple[Logged, ...]:
        """The alarms of a mail, the largest first."""
        alarms = self._logged(tenant_id, None, ALERT_EVALUATION.c.mail_id == mail_id, limit=MOST_ALARMS_A_WEEK)
        return tuple(sorted(alarms, key=lambda item: (-item.size, item.evaluation_id)))

    def _logged(
        self, tenant_id: str, email: str | None, condition: ColumnElement[bool], *, limit: int
    ) -> tuple[Logged, ...]:
        joined = select(ALERT_EVALUATION).select_from(ALERT_EVALUATION.join(ALERT))
        joined = joined.where(ALERT.c.tenant_id == tenant_id, condition)
        joined = joined if email is None else joined.where(is_of_holder(ALERT, email))
        joined = joined.order_by(ALERT_EVALUATION.c.evaluation_id.desc()).limit(limit)
        with self._reading.connect() as connection:
            return tuple(self._entry(row) for row in connection.execute(joined).mappings())

    def acknowledge(self, tenant_id: str, evaluation_id: int, note: str, *, actor: str) -> None:
        """Notes that somebody has seen an alarm, and what was done. The note is kept sealed, and is in no audit row. Raises AccessError
        where the tenant has no such alarm, ConfigurationError for a note that is too long."""
        text = note.strip()
        if len(text) > LONGEST_NOTE:
            raise ConfigurationError(f"a note has at most {LONGEST_NOTE} characters")
        mine = (
            (ALERT_EVALUATION.c.tenant_id == tenant_id)
            & (ALERT_EVALUATION.c.evaluation_id == evaluation_id)
            & ALERT_EVALUATION.c.verdict.in_(RAISED)
        )
        values = {
            "acknowledged_by": actor,
            "acknowledged_at": datetime.now(UTC),
            "sealed_note": seal(self._key, tenant_id, _bound(evaluation_id), text) if text else None,
        }
        with self._writing() as connection:
            if connection.execute(update(ALERT_EVALUATION).where(mine).values(**values)).rowcount == 0:
                raise AccessError(f"there is no alarm {evaluation_id}")
            detail = {"alarm": evaluation_id, "with_note": bool(text)}
            self._audit(connection, tenant_id, actor, "alarm acknowledged", detail)

    def _entry(self, row: RowMapping) -> Logged:
        sealed = row["sealed_note"]
        note = unseal(self._key, row["tenant_id"], _bound(row["evaluation_id"]), sealed) if sealed else ""
        kept: dict[str, Any] = {name: row[name] for name in Logged.__dataclass_fields__ if name != "note"}
        for name in ("value", "base", "volume"):
            kept[name] = None if row[name] is None else Decimal(row[name])
        return Logged(**kept, note=note)


def _bound(evaluation_id: int) -> str:
    """What a sealed note is bound to."""
    return f"note on alarm {evaluation_id}"


def _columns(wanted: Wanted) -> dict[str, object]:
    rule = wanted.rule
    return {
        "metric": wanted.metric,
        "service_unit_id": wanted.service_unit_id,
        "with_units_below": wanted.with_units_below,
        "every": wanted.every,
        "kind": rule.kind,
        "side": rule.side,
        "threshold": None if rule.threshold is None else str(rule.threshold),
        "volume_metric": wanted.volume_metric,
        "least_volume": rule.least_volume,
        "late_days": rule.late_days,
    }


def _alert(row: RowMapping) -> Alert:
    rule = Rule(
        kind=row["kind"],
        side=row["side"],
        threshold=None if row["threshold"] is None else Decimal(row["threshold"]),
        least_volume=row["least_volume"],
        late_days=row["late_days"],
    )
    return Alert(**{name: row[name] for name in Alert.__dataclass_fields__ if name != "rule"}, rule=rule)


def _logged_columns(item: Evaluation) -> dict[str, object]:
    numbers = {name: getattr(item, name) for name in ("value", "base", "volume")}
    kept = {name: getattr(item, name) for name in Evaluation.__dataclass_fields__ if name not in numbers}
    return kept | {name: None if number is None else str(number) for name, number in numbers.items()}
