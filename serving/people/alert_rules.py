"""What an alert is, and what an evaluation of it says: frozen values without behaviour."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from foundation.errors import ConfigurationError
from serving.people.ended_periods import EVERY
from serving.people.targets import WHOLE

THRESHOLD, CHANGE, MISSING = KINDS = ("threshold", "change", "missing")
ABOVE, BELOW = SIDES = ("above", "below")
# What an evaluation says. WAITING: the period is not over, or its figure still settles. NOT_JUDGED: too few cases, too short a past, or no
# value. QUIET: nothing is wrong. HELD_BACK: an alarm beyond the budget of the week. SNOOZED: an alarm of a rule that its owner paused.
WAITING, NOT_JUDGED, QUIET, ALARM, HELD_BACK, SNOOZED = VERDICTS = (
    "waiting",
    "not judged",
    "quiet",
    "alarm",
    "held back",
    "snoozed",
)
# Those in which the rule found something.
RAISED = (ALARM, HELD_BACK, SNOOZED)
ALARMS_A_WEEK = 5
MOST_ALARMS_A_WEEK = 100
MOST_LATE_DAYS = 90
LONGEST_NOTE = 500
# Of one person, that have not ended.
MOST_ALERTS = 50
PAGE = "alerts"


@dataclass(frozen=True, kw_only=True)
class Rule:
    """When a figure raises an alarm.

    `kind` is one of KINDS. `side` says where bad is: above or below; empty for missing data. `threshold` is in the metric's unit, for
    that kind alone. `least_volume`: below so many cases (of the alert's volume metric) nothing is judged, 0 for no limit. `late_days`:
    how many days after the end of a period its data may come, for missing data alone.
    """

    kind: str
    side: str = ""
    threshold: Decimal | None = None
    least_volume: int = 0
    late_days: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ConfigurationError(f"{self.kind!r} is not one of {', '.join(KINDS)}")
        if (self.side in SIDES) != (self.kind != MISSING):
            raise ConfigurationError(f"a rule of the kind {self.kind} cannot have the side {self.side!r}")
        if (self.threshold is not None) != (self.kind == THRESHOLD):
            raise ConfigurationError("a threshold is needed for the kind threshold, and for no other kind")
        if self.threshold is not None and not self.threshold.is_finite():
            raise ConfigurationError(f"{self.threshold} is not a threshold")
        if self.least_volume < 0:
            raise ConfigurationError("the least volume is 0 or more")
        if not 0 <= self.late_days <= (MOST_LATE_DAYS if self.kind == MISSING else 0):
            raise ConfigurationError(f"data may come 0 to {MOST_LATE_DAYS} days late, in a rule on missing data alone")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """An alert that is to be made: a rule on a metric, for a service unit (WHOLE for all that the owner sees) and, with
    `with_units_below`, each unit below it, after each week or month. `volume_metric` counts the cases; empty where there is none."""

    metric: str
    rule: Rule
    every: str
    service_unit_id: str = WHOLE
    with_units_below: bool = False
    volume_metric: str = ""

    def __post_init__(self) -> None:
        if self.every not in EVERY:
            raise ConfigurationError(f"{self.every!r} is not one of {', '.join(EVERY)}")
        if self.rule.least_volume and not self.volume_metric:
            raise ConfigurationError("a least volume needs the metric that counts the cases")


@dataclass(frozen=True, kw_only=True)
class Alert(Wanted):
    """An alert of a person. `made_at` and `ended_at` are UTC; `ended_because` is empty for one that goes on. `snoozed_until` is the first
    day on which it raises alarms again, None where it is not paused. `checked_for` is the mark of what it was last evaluated for
    (`serving.people.due_alerts`), `problem` why that failed; each is empty where there is none."""

    alert_id: int
    tenant_id: str
    email: str
    made_by: str
    made_at: datetime
    snoozed_until: date | None
    ended_at: datetime | None
    ended_because: str
    checked_for: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a rule says of a unit and a period (days, both included). `value`, `base` (the threshold, or the mean of the past) and
    `volume` are in their metrics' units, None where there is none. `size` ranks alarms: the distance from the base as a part of it.
    `figures_mark` is that of the owner's scope (`Scope.figures_mark`)."""

    service_unit_id: str
    period_start: date
    period_end: date
    verdict: str
    reason: str
    data_as_of: date
    value: Decimal | None = None
    base: Decimal | None = None
    volume: Decimal | None = None
    size: float = 0.0
    figures_mark: str = ""


@dataclass(frozen=True, kw_only=True)
class Logged(Evaluation):
    """An evaluation in the log. `mail_id` is the mail that brought the alarm; times in UTC."""

    evaluation_id: int
    alert_id: int
    evaluated_at: datetime
    mail_id: int | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    note: str
