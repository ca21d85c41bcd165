"""The extent of a breach: whose records were reached by a person, a session or anybody of a tenant, and whom to notify by which date.

Deadlines are those of the HIPAA breach notification rule (45 CFR 164.404 to 164.408), counted in calendar days from the day of
discovery: letters without unreasonable delay and within 60 days; with 500 people or more the Secretary at the same time, and the
media where more than 500 live in one state; with fewer the Secretary within 60 days of the end of the year.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from foundation.home import Home
from serving.disclosures.reached import DONE, FIGURE_ACTS, Patients, Reached, reached
from serving.people.audit_log import AuditRow
from serving.people.store import AccessStore

NOTICE_DAYS = 60
LARGE = 500


@dataclass(frozen=True, kw_only=True)
class ReachedPatient:
    """One patient whose records were reached: how often, when (UTC), by which acts, in rows of which tables.

    `is_estimate`: no act names the patient; the records were in an extract whose content is no longer known."""

    patient_id: str
    zip3: str
    times: int
    first_at: datetime
    last_at: datetime
    actions: tuple[str, ...]
    tables: tuple[str, ...]
    is_estimate: bool


@dataclass(frozen=True, kw_only=True)
class Breach:
    """The extent. `figures_only` counts acts that showed figures and no rows, `refused` acts that were refused, `unresolved` names in
    the audit log that no patient of today's version has: look at those rows by hand."""

    patients: tuple[ReachedPatient, ...]
    acts: int
    actors: tuple[str, ...]
    addresses: tuple[str, ...]
    figures_only: int
    refused: int
    unresolved: int
    discovered_on: date
    by_area: tuple[tuple[str, int], ...] = field(default=())

    @property
    def is_large(self) -> bool:
        """500 people or more: 164.408(b)."""
        return len(self.patients) >= LARGE

    @property
    def letters_by(self) -> date:
        """The last day for the letters: 164.404(b)."""
        return self.discovered_on + timedelta(days=NOTICE_DAYS)

    @property
    def secretary_by(self) -> date:
        """The last day for the notice to the Secretary: 164.408(b) and (c)."""
        return self.letters_by if self.is_large else date(self.discovered_on.year, 12, 31) + timedelta(days=NOTICE_DAYS)

    @property
    def may_need_media(self) -> bool:
        """Whether more than 500 people may live in one state: 164.406. ZIP areas do not tell states apart for certain."""
        return len(self.patients) > LARGE


def breach(
    home: Home,
    tenant_id: str,
    *,
    since: datetime,
    until: datetime,
    discovered_on: date,
    actor: str | None = None,
    session: str | None = None,
) -> Breach:
    """Whose records were reached from `since` to before `until` (UTC), by one person, by one session, or by anybody of the tenant."""
    acts = reached(home, tenant_id, since=since, until=until, actor=actor, session=session)
    rows = AccessStore.open(home).audit_between(tenant_id, since=since, until=until, actor=actor, session=session)
    with Patients(home, tenant_id) as patients:
        patients_reached = _patients(acts, patients)
    return Breach(
        patients=patients_reached,
        acts=len(acts),
        actors=tuple(sorted({act.row.actor for act in acts})),
        addresses=tuple(sorted({row.address for row in rows if row.address})),
        figures_only=sum(row.action in FIGURE_ACTS and row.result == DONE for row in rows),
        refused=_refused(rows),
        unresolved=sum(act.unresolved for act in acts),
        discovered_on=discovered_on,
        by_area=tuple(sorted(Counter(item.zip3 or "unknown" for item in patients_reached).items())),
    )


def _refused(rows: Sequence[AuditRow]) -> int:
    return sum(row.result == "refused" for row in rows)


def _patients(acts: Sequence[Reached], patients: Patients) -> tuple[ReachedPatient, ...]:
    by_patient: dict[str, list[Reached]] = {}
    for act in acts:
        for patient in act.patients:
            by_patient.setdefault(patient, []).append(act)
    return tuple(
        ReachedPatient(
            patient_id=patient,
            zip3=patients.zip3.get(patient, ""),
            times=len(own),
            first_at=min(act.row.at for act in own),
            last_at=max(act.row.at for act in own),
            actions=tuple(sorted({act.row.action for act in own})),
            tables=tuple(sorted({table for act in own for table in act.tables})),
            is_estimate=all(act.is_estimate for act in own),
        )
        for patient, own in sorted(by_patient.items())
    )
