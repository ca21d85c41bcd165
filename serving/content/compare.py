"""What an import would change, and what is wrong with it. Pure: what the tenant has and what the files say, in.

Only what would change is checked, so that an import of an export changes nothing and has no errors.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TypeVar

from foundation.errors import ConfigurationError
from foundation.near_names import near
from serving.alert_checks import check_period, side_of
from serving.content.files import AlertLine, Content, Located, QueryFile, ReportFile, TargetLine
from serving.model import MetricDefinition
from serving.modules import PAGES
from serving.people.reports import FILTERS_OF_THE_PAGE, LONGEST_NAME
from serving.report_definition import SERVICE_UNIT, located_problems
from serving.target_rules import check_target

ADDED, CHANGED, ENDED = "added", "changed", "ended"
Item = ReportFile | QueryFile | TargetLine | AlertLine


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change: `action` is ADDED, CHANGED or ENDED; `item` is what the files say, or of what ends what the tenant has."""

    action: str
    item: Item

    @property
    def words(self) -> str:
        """added report Ours of admin@harbor."""
        item = self.item
        if isinstance(item, TargetLine):
            what = f"target of {item.metric} for {item.unit or 'the whole tenant'} from {item.valid_from}"
            value = "" if item.value is None else f": {item.value:f}"
            return f"{self.action} {what}{value}"
        if isinstance(item, AlertLine):
            limit = "" if item.threshold is None else f" {item.threshold:f}"
            rule = " ".join(word for word in (item.alarm, item.side) if word) + limit
            return f"{self.action} alert of {item.owner} on {item.metric}: {rule}, each {item.every}"
        return f"{self.action} {item.kind} {item.name!r} of {item.owner}"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The changes of an import in a fixed order, and what is wrong: a sentence with file and line each. With errors nothing is applied."""

    changes: tuple[Change, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """What the tenant has. `metrics` are those of the administrator, `units` ids of the service units, `people` user names, `private` the
    (kind, owner, name) of what people keep for themselves. `sight_of` says what a person sees, None where the person has no alerts."""

    content: Content
    metrics: Mapping[str, MetricDefinition]
    units: Collection[str]
    people: Collection[str]
    private: Collection[tuple[str, str, str]]
    sight_of: Callable[[str], "Sight | None"]


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What a person sees: metrics by name, and ids of service units."""

    metrics: Mapping[str, MetricDefinition]
    units: Collection[str]


def compare(tenant: Tenant, files: Located) -> Plan:
    """What an import of the files changes."""
    wanted, held = files.content, tenant.content
    changes: list[Change] = []
    if wanted.reports is not None and held.reports is not None:
        changes += _by_name(held.reports, wanted.reports)
    if wanted.queries is not None and held.queries is not None:
        changes += _by_name(held.queries, wanted.queries)
    errors = [error for change in changes for error in _errors(tenant, files, change)]
    if wanted.queries and held.queries is None:
        errors.append(
            f"{files.place('query', wanted.queries[0].key)}: your role asks no SQL, so that you cannot import queries"
        )
    if wanted.targets is not None and held.targets is not None:
        targets = list(_targets(held.targets, wanted.targets))
        changes += targets
        errors += [error for change in targets for error in _target_errors(tenant, files, change)]
    if wanted.alerts is not None and held.alerts is not None:
        alerts = list(_alerts(held.alerts, wanted.alerts))
        changes += alerts
        errors += [error for change in alerts for error in _alert_errors(tenant, files, change)]
    return Plan(changes=tuple(changes), errors=tuple(errors))


_T = TypeVar("_T", ReportFile, QueryFile)


def _by_name(held: tuple[_T, ...], wanted: tuple[_T, ...]) -> Iterator[Change]:
    """Items by owner and name."""
    before, after = ({item.key: item for item in items} for items in (held, wanted))
    for key in sorted(before.keys() | after.keys()):
        if key not in after:
            yield Change(action=ENDED, item=before[key])
        elif key not in before:
            yield Change(action=ADDED, item=after[key])
        elif before[key].as_content() != after[key].as_content():
            yield Change(action=CHANGED, item=after[key])


def _targets(held: tuple[TargetLine, ...], wanted: tuple[TargetLine, ...]) -> Iterator[Change]:
    """Targets are steps in time: on each day on which the tenant's or the files' targets begin, the files say the value.

    A day that stands in the tenant alone gets the value of the files' last day before it, or ends.
    """
    before, after = _steps(held), _steps(wanted)
    for metric, unit in sorted(before.keys() | after.keys()):
        steps, new = dict(before.get((metric, unit), {})), after.get((metric, unit), {})
        for day in sorted(steps.keys() | new.keys()):
            value, stands = _on(new, day), day in steps
            if _on(steps, day) == value and (stands or value is None):
                continue
            steps[day] = value
            line = TargetLine(metric=metric, unit=unit, valid_from=day, value=value)
            yield Change(action=ENDED if value is None else CHANGED if stands else ADDED, item=line)


def _steps(lines: tuple[TargetLine, ...]) -> dict[tuple[str, str], dict[date, Decimal | None]]:
    steps: dict[tuple[str, str], dict[date, Decimal | None]] = {}
    for line in lines:
        steps.setdefault((line.metric, line.unit), {})[line.valid_from] = line.value
    return steps


def _on(steps: Mapping[date, Decimal | None], day: date) -> Decimal | None:
    """The value in force on a day."""
    begun = [first for first in steps if first <= day]
    return steps[max(begun)] if begun else None


def _errors(tenant: Tenant, files: Located, change: Change) -> Iterator[str]:
    """What is wrong with a report or query that is added or changed, each with file and line."""
    item = change.item
    if change.action == ENDED or isinstance(item, TargetLine | AlertLine):
        return

    def at(*location: str | int) -> str:
        return files.place(item.kind, item.key, location)

    name = item.name
    if name != name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        yield f"{at('name')}: name: it must have 1 to {LONGEST_NAME} characters, and no space around it"
    if item.owner not in tenant.people:
        yield f"{at('owner')}: owner: {item.owner!r} is not a user of the tenant{near(item.owner, tenant.people)}"
    if change.action == ADDED and (item.kind, item.owner, name) in tenant.private:
        yield f"{at('name')}: {item.owner} keeps a {item.kind} of this name that is not shared; choose another name"
    if isinstance(item, ReportFile):
        if item.pinned_to and item.pinned_to not in PAGES:
            yield f"{at('pinned_to')}: pinned_to: there is no page of figures {item.pinned_to!r}{near(item.pinned_to, PAGES)}"
        elif item.pinned_to and item.report.filters:
            yield f"{at('pinned_to')}: pinned_to: {FILTERS_OF_THE_PAGE}"
        for location, sentence in located_problems(item.report, tenant.metrics):
            yield f"{at('report', *location)}: {'.'.join(str(part) for part in location)}: {sentence}"
        for index, unit in enumerate(item.report.filters.get(SERVICE_UNIT, ())):
            if unit not in tenant.units:
                where = at("report", "filters", SERVICE_UNIT, index)
                yield f"{where}: there is no service unit {unit!r}{near(unit, tenant.units)}"


def _target_errors(tenant: Tenant, files: Located, change: Change) -> Iterator[str]:
    line = change.item
    assert isinstance(line, TargetLine)
    try:
        where = files.place("target", line.key)
    except KeyError:
        where = f"targets.yaml lacks {line.metric} from {line.valid_from}"
    if line.unit and line.unit not in tenant.units:
        yield f"{where}: there is no service unit {line.unit!r}{near(line.unit, tenant.units)}"
    if line.metric not in tenant.metrics:
        yield f"{where}: no metric is named {line.metric!r}{near(line.metric, tenant.metrics)}"
        return
    try:
        check_target(list(tenant.metrics.values()), line.metric, line.value)
    except ConfigurationError as error:
        yield f"{where}: {error}"


def _alerts(held: tuple[AlertLine, ...], wanted: tuple[AlertLine, ...]) -> Iterator[Change]:
    """Alerts that the files lack end first, so that a person has room for the others."""
    before, after = ({line.key: line for line in lines} for lines in (held, wanted))
    for action, lines, others in ((ENDED, before, after), (ADDED, after, before)):
        for key in sorted(lines.keys() - others.keys(), key=str):
            yield Change(action=action, item=lines[key])


def _alert_errors(tenant: Tenant, files: Located, change: Change) -> Iterator[str]:
    line = change.item
    assert isinstance(line, AlertLine)
    if change.action == ENDED:
        return
    where = files.place("alert", line.key)
    if line.owner not in tenant.people:
        yield f"{where}: owner: {line.owner!r} is not a user of the tenant{near(line.owner, tenant.people)}"
        return
    sight = tenant.sight_of(line.owner)
    if sight is None:
        yield f"{where}: owner: the role of {line.owner} does not include the page Alerts"
        return
    for name in (line.metric, line.volume_metric):
        if name and name not in sight.metrics:
            yield f"{where}: {line.owner} sees no metric {name!r}{near(name, sight.metrics)}"
    if line.unit and line.unit not in sight.units:
        yield f"{where}: {line.owner} sees no service unit {line.unit!r}{near(line.unit, sight.units)}"
    if line.metric not in sight.metrics:
        return
    metric = sight.metrics[line.metric]
    try:
        check_period(metric, line.wanted())
        side_of(metric, line.alarm, line.side)
    except ConfigurationError as error:
        yield f"{where}: {error}"
    if (line.unit or line.with_units_below) and SERVICE_UNIT not in metric.dimensions:
        yield f"{where}: {metric.label} is not counted by service unit; leave the unit out"
