"""Forecasts as they were made, before their outcome. Kept in the access database; nothing is changed or removed.

    log.add(issue)            all forecasts of one moment, in one transaction with an audit row that holds their digest
    log.issues()              what was made, the newest first
    log.forecasts(issue_id)   the forecasts of one issue
    log.verify()              whether each issue is what was written

The audit log is a chain of keyed hashes. It holds the digest of each issue, so that a forecast that is changed, removed or added later
contradicts it, and its place in the chain shows what was written before.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy import Connection, Engine, RowMapping, insert, select

from foundation.comparing import is_same
from serving.people.tables import AUDIT, FORECAST, FORECAST_ISSUE
from serving.people.targets import Audits

ACTION = "forecasts made"
# What a digest covers; the number that the database gives is no part of it.
_ISSUE_SIGNED = ("tenant_id", "issue_id", "version", "data_as_of", "model", "made_by", "made_at")
_SIGNED = (
    "metric",
    "grain",
    "service_unit_id",
    "definition",
    "is_shown",
    "reason",
    "origins",
    "outcomes",
    "held",
    "scaled_error",
    "obvious_scaled_error",
    "points",
)


@dataclass(frozen=True, kw_only=True)
class Point:
    """What is forecast of one period, and the 90 % band from `low` to `high`. `first_day` is the first day of the period. `obvious` is the
    mean of the last four same weekdays, which the forecast is held against. In the metric's unit. On a day of the week on which the unit is
    closed there is no band: `high` is the value."""

    first_day: date
    value: Decimal
    low: Decimal
    high: Decimal
    obvious: Decimal

    @property
    def has_band(self) -> bool:
        """Whether something is forecast that can be right or wrong."""
        return self.high > self.value


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """The forecast of one metric at a grain (day or week) for one service unit, WHOLE for the tenant.

    `points` are in order of time, and empty where none `is_shown`; `reason` then says why. `definition` is a digest of the metric's
    definition. The back-test: `origins` were judged with `outcomes` values, of which the share `held` lay in the band; `scaled_error` is
    the mean absolute scaled error, `obvious_scaled_error` that of the obvious forecast. None where nothing could be judged.
    """

    metric: str
    grain: str
    service_unit_id: str
    definition: str
    is_shown: bool
    reason: str
    origins: int
    outcomes: int
    held: Decimal | None
    scaled_error: Decimal | None
    obvious_scaled_error: Decimal | None
    points: tuple[Point, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Issue:
    """All forecasts that were made at one moment, from one published version whose data reach to `data_as_of`. `made_at` is UTC."""

    version: str
    data_as_of: date
    model: str
    made_by: str
    made_at: datetime
    issue_id: str = ""


@dataclass(frozen=True, kw_only=True)
class LogCheck:
    """The outcome of `verify`: how many issues there are, and a sentence for each that is not what was written."""

    issues: int
    problems: tuple[str, ...] = ()

    @property
    def is_intact(self) -> bool:
        return not self.problems


class ForecastLog:
    """The forecasts of one tenant."""

    def __init__(
        self,
        *,
        tenant_id: str,
        reading: Engine,
        writing: Callable[[], AbstractContextManager[Connection]],
        audit: Audits,
    ) -> None:
        self._tenant_id = tenant_id
        self._reading, self._writing, self._audit = reading, writing, audit

    def add(self, issue: Issue, forecasts: Sequence[Forecast]) -> Issue | None:
        """Writes an issue and its forecasts. Returns it with its id; None, and writes nothing, where the same model has made forecasts from
        the same version already."""
        made = replace(issue, issue_id=secrets.token_hex(8), made_at=issue.made_at.astimezone(UTC))
        head = {"tenant_id": self._tenant_id, **vars(made)}
        rows = [
            {"tenant_id": self._tenant_id, "issue_id": made.issue_id, "position": place, **_values(forecast)}
            for place, forecast in enumerate(forecasts, start=1)
        ]
        is_same_source = (
            (FORECAST_ISSUE.c.tenant_id == self._tenant_id)
            & (FORECAST_ISSUE.c.version == issue.version)
            & (FORECAST_ISSUE.c.model == issue.model)
        )
        with self._writing() as connection:
            if connection.execute(select(FORECAST_ISSUE.c.issue_id).where(is_same_source)).first() is not None:
                return None
            connection.execute(insert(FORECAST_ISSUE).values(**head))
            if rows:
                connection.execute(insert(FORECAST), rows)
            detail = {
                "issue": made.issue_id,
                "version": made.version,
                "model": made.model,
                "forecasts": len(rows),
                "shown": sum(forecast.is_shown for forecast in forecasts),
                "digest": _digest(head, rows),
            }
            self._audit(connection, self._tenant_id, made.made_by, ACTION, detail)
        return made

    def issues(self) -> tuple[Issue, ...]:
        """Every issue, the newest first."""
        query = (
            select(FORECAST_ISSUE)
            .where(FORECAST_ISSUE.c.tenant_id == self._tenant_id)
            .order_by(FORECAST_ISSUE.c.issue_number.desc())
        )
        with self._reading.connect() as connection:
            return tuple(_issue(row) for row in connection.execute(query).mappings())

    def forecasts(self, issue_id: str) -> tuple[Forecast, ...]:
        """The forecasts of an issue, in the order in which they were made."""
        with self._reading.connect() as connection:
            return tuple(_forecast(row) for row in self._rows(connection, issue_id))

    def since(self, data_as_of: date) -> tuple[tuple[Issue, Forecast], ...]:
        """Every forecast that was shown, of issues whose data reach to a day or later, the oldest first."""
        query = (
            select(FORECAST, *(FORECAST_ISSUE.c[name] for name in Issue.__dataclass_fields__ if name != "issue_id"))
            .join_from(
                FORECAST,
                FORECAST_ISSUE,
                (FORECAST_ISSUE.c.tenant_id == FORECAST.c.tenant_id)
                & (FORECAST_ISSUE.c.issue_id == FORECAST.c.issue_id),
            )
            .where(
                FORECAST.c.tenant_id == self._tenant_id,
                FORECAST.c.is_shown,
                FORECAST_ISSUE.c.data_as_of >= data_as_of,
            )
            .order_by(FORECAST_ISSUE.c.issue_number, FORECAST.c.position)
        )
        with self._reading.connect() as connection:
            return tuple((_issue(row), _forecast(row)) for row in connection.execute(query).mappings())

    def verify(self) -> LogCheck:
        """Holds every issue against the digest in its audit row. Whether the audit itself is intact is for `AccessStore.verify_audit`."""
        own = (AUDIT.c.tenant_id == self._tenant_id) & (AUDIT.c.action == ACTION)
        problems = []
        with self._reading.connect() as connection:
            details: Sequence[str] = (
                connection.execute(select(AUDIT.c.detail).where(own).order_by(AUDIT.c.sequence)).scalars().all()
            )
            noted: list[dict[str, str]] = [json.loads(detail) for detail in details]
            digests = {detail["issue"]: detail["digest"] for detail in noted if "digest" in detail}
            query = select(FORECAST_ISSUE).where(FORECAST_ISSUE.c.tenant_id == self._tenant_id)
            heads = {row["issue_id"]: row for row in connection.execute(query).mappings()}
            for issue_id, row in heads.items():
                if issue_id not in digests:
                    problems.append(f"the issue {issue_id} was added and is in no audit row")
                elif not is_same(
                    _digest(dict(row), [dict(item) for item in self._rows(connection, issue_id)]), digests[issue_id]
                ):
                    problems.append(f"the forecasts of the issue {issue_id} are not what was written")
        problems += [f"the issue {issue_id} was removed" for issue_id in digests if issue_id not in heads]
        return LogCheck(issues=len(heads), problems=tuple(problems))

    def _rows(self, connection: Connection, issue_id: str) -> Sequence[RowMapping]:
        query = (
            select(FORECAST)
            .where(FORECAST.c.tenant_id == self._tenant_id, FORECAST.c.issue_id == issue_id)
            .order_by(FORECAST.c.position)
        )
        return connection.execute(query).mappings().all()


def _values(forecast: Forecast) -> dict[str, object]:
    points = [[str(value) for value in vars(point).values()] for point in forecast.points]
    values = {name: None if value is None else str(value) for name, value in vars(forecast).items()}
    return {
        **values,
        "is_shown": forecast.is_shown,
        "origins": forecast.origins,
        "outcomes": forecast.outcomes,
        "points": json.dumps(points),
    }


def _digest(head: Mapping[str, object], rows: Sequence[Mapping[str, object]]) -> str:
    """SHA-256 over an issue and its forecasts in order."""
    signed = [[_written(head[name]) for name in _ISSUE_SIGNED]]
    signed += [[_written(row[name]) for name in _SIGNED] for row in rows]
    return hashlib.sha256(json.dumps(signed).encode()).hexdigest()


def _written(value: object) -> object:
    return value.isoformat() if isinstance(value, date) else value


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _issue(row: RowMapping) -> Issue:
    return Issue(**{name: row[name] for name in Issue.__dataclass_fields__})


def _forecast(row: RowMapping) -> Forecast:
    points = (
        Point(
            first_day=date.fromisoformat(first_day),
            value=Decimal(value),
            low=Decimal(low),
            high=Decimal(high),
            obvious=Decimal(obvious),
        )
        for first_day, value, low, high, obvious in json.loads(row["points"])
    )
    return Forecast(
        metric=row["metric"],
        grain=row["grain"],
        service_unit_id=row["service_unit_id"],
        definition=row["definition"],
        is_shown=row["is_shown"],
        reason=row["reason"],
        origins=row["origins"],
        outcomes=row["outcomes"],
        held=_number(row["held"]),
        scaled_error=_number(row["scaled_error"]),
        obvious_scaled_error=_number(row["obvious_scaled_error"]),
        points=tuple(points),
    )
