"""Export and import of a tenant's content by an administrator. Every act is a row of the audit, a refused one too."""

from collections import Counter
from collections.abc import Mapping, Sized
from pathlib import Path

from foundation.errors import AccessError, ClinicmartError, ConfigurationError
from foundation.home import Home
from foundation.keys import Keys
from serving.content.compare import ADDED, CHANGED, ENDED, Change, Plan, Sight, Tenant, compare
from serving.content.files import AlertLine, Content, Located, QueryFile, ReportFile, TargetLine, write
from serving.people.alert_rules import PAGE, Alert
from serving.people.principal import Principal
from serving.people.reports import Reports
from serving.people.rights import ROLES
from serving.people.saved_queries import Queries
from serving.people.store import AccessStore
from serving.people.targets import TargetTable
from serving.reader import Reader, open_reader

EXPORTED, IMPORTED, CHECKED = "content exported", "content imported", "content compared"


class ContentDesk:
    """What an administrator does with the content of the own tenant."""

    def __init__(self, home: Home, access: AccessStore, principal: Principal, reader: Reader) -> None:
        """Raises AccessError, audited, for a person who does not administer the tenant."""
        self._home, self._keys, self._access = home, Keys.of(home), access
        self._principal, self._reader = principal, reader
        self._tenant_id = principal.tenant_id
        if not ROLES[principal.role].administers:
            reader.note("content", {"reason": "AccessError"}, "refused")
            raise AccessError("only an administrator of the organization exports and imports its content")

    def export(self, folder: Path) -> tuple[Path, ...]:
        """Writes the content into a folder and returns the files. Audited before anything is written."""
        content = self._content()
        self._note(EXPORTED, _counts(content))
        return write(content, folder)

    def plan(self, folder: Path) -> Plan:
        """What an import of a folder would change. Raises ConfigurationError, audited, for a file that cannot be read."""
        plan = self._plan(folder)
        self._note(CHECKED, _summary(plan))
        return plan

    def apply(self, folder: Path) -> Plan:
        """Imports a folder: all of it or, where something is wrong, nothing. Returns what was changed, or the errors.

        Raises ConfigurationError where a change could not be made; the message says how many were made before. The same import makes
        the others.
        """
        plan = self._plan(folder)
        self._note(IMPORTED, _summary(plan), "refused" if plan.errors else "done")
        for done, change in enumerate(() if plan.errors else plan.changes):
            try:
                self._apply(change)
            except ClinicmartError as error:
                self._note(IMPORTED, {"made": done, "reason": type(error).__name__}, "refused")
                count = len(plan.changes)
                raise ConfigurationError(
                    f"{change.words}: {error}. Of {count} changes {done} are made; mend this and import again"
                ) from None
        return plan

    def _note(self, action: str, detail: Mapping[str, object], result: str = "done") -> None:
        self._reader.note(action, detail, result)

    def _plan(self, folder: Path) -> Plan:
        try:
            return compare(self._tenant(), Located(folder))
        except ConfigurationError:
            self._note(CHECKED, {"reason": "ConfigurationError"}, "refused")
            raise

    # What the tenant has

    def _content(self) -> Content:
        lines = (
            TargetLine(
                metric=target.metric, unit=target.service_unit_id, valid_from=target.valid_from, value=target.value
            )
            for target in TargetTable(self._access.targets.all(self._tenant_id)).standing
        )
        return Content(
            reports=tuple(
                ReportFile(name=report.name, owner=report.email, pinned_to=report.pinned_to, report=report.definition)
                for report in self._reports(self._principal.email).all()
                if report.is_shared
            ),
            queries=self._shared_queries(),
            targets=tuple(sorted(lines, key=lambda line: line.key)),
            alerts=tuple(AlertLine.of(alert) for alert in self._alerts()),
        )

    def _alerts(self) -> list[Alert]:
        return [alert for alert in self._access.alerts.of_tenant(self._tenant_id) if alert.ended_at is None]

    def _shared_queries(self) -> tuple[QueryFile, ...] | None:
        """None for an administrator who may not ask SQL."""
        if not self._reader.scope.may_extract:
            return None
        saved = self._queries(self._principal.email).saved()
        return tuple(QueryFile(name=item.name, owner=item.email, sql=item.sql) for item in saved if item.is_shared)

    def _tenant(self) -> Tenant:
        people = tuple(person.email for person in self._access.users(self._tenant_id))
        me = self._principal.email
        private = {("report", *names) for names in self._reports(me).private_names()}
        private |= {("query", *names) for names in self._queries(me).private_names()}
        return Tenant(
            content=self._content(),
            metrics={metric.name: metric for metric in self._reader.metrics()},
            units=frozenset(self._reader.tree()["service_unit_id"].to_list()),
            people=people,
            private=private,
            sight_of=self._sight_of,
        )

    def _sight_of(self, owner: str) -> Sight | None:
        """What a person sees, through the reader of that person; None for a role without alerts."""
        person = self._access.principal(self._tenant_id, owner)
        if PAGE not in ROLES[person.role].pages:
            return None
        with open_reader(self._home, person) as reader:
            return Sight(
                metrics={metric.name: metric for metric in reader.metrics()},
                units=frozenset(reader.tree()["service_unit_id"].to_list()),
            )

    def _reports(self, owner: str) -> Reports:
        return self._access.reports(self._keys, self._tenant_id, owner, actor=self._principal.email)

    def _queries(self, owner: str) -> Queries:
        return self._access.queries(self._keys, self._tenant_id, owner, actor=self._principal.email)

    # What an import does

    def _apply(self, change: Change) -> None:
        item = change.item
        if isinstance(item, TargetLine):
            self._reader.targets.set(item.metric, item.unit or None, item.valid_from, item.value)
        elif isinstance(item, AlertLine):
            self._apply_alert(change.action, item)
        elif isinstance(item, ReportFile):
            self._apply_report(change.action, item)
        else:
            self._apply_query(change.action, item)

    def _apply_report(self, action: str, item: ReportFile) -> None:
        reports = self._reports(item.owner)
        if action != ENDED:
            reports.save(item.name, item.report, is_shared=True, pinned_to=item.pinned_to)
            return
        for report in reports.all():
            if (report.email, report.name) == item.key:
                reports.keep_private(report.report_id)

    def _apply_alert(self, action: str, item: AlertLine) -> None:
        actor = self._principal.email
        if action != ENDED:
            owner = self._access.principal(self._tenant_id, item.owner)
            self._access.alerts.add(owner, item.wanted(), actor=actor)
            return
        for alert in self._alerts():
            if AlertLine.of(alert).key == item.key:
                self._access.alerts.end(self._tenant_id, alert.alert_id, because=f"ended by {actor}", actor=actor)

    def _apply_query(self, action: str, item: QueryFile) -> None:
        self._queries(item.owner).save(item.name, item.sql, is_shared=action != ENDED)


def _counts(content: Content) -> Mapping[str, object]:
    parts: dict[str, Sized | None] = {
        "reports": content.reports,
        "queries": content.queries,
        "targets": content.targets,
        "alerts": content.alerts,
    }
    return {name: len(items) for name, items in parts.items() if items is not None}


def _summary(plan: Plan) -> Mapping[str, object]:
    counts = Counter(change.action for change in plan.changes)
    return {action: counts[action] for action in (ADDED, CHANGED, ENDED)} | {"errors": len(plan.errors)}
