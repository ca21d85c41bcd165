"""Whose records were reached, worked out from the audit log: "who saw this patient", "what did this person see", a breach.

An audit row of a drill names patients as its scope showed them: tokens, surrogates of the scope, or numbers of accounts where the
rows name no patient. Here they become the patient ids of the published file again: a surrogate is a keyed hash whose key the home
can derive, so that every patient's surrogate in a scope is worked out and compared.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from pathlib import Path

from foundation import duck
from foundation.errors import AccessError
from foundation.home import Home
from foundation.keys import Keys
from serving.metrics.registry import Registry
from serving.model import NothingPublished
from serving.people.audit_log import AuditRow
from serving.people.look_ups import ACTION as LOOK_UP
from serving.people.store import AccessStore
from serving.scope_files.deidentify import holds_patients, surrogate
from serving.scope_files.derive import UNKNOWN
from serving.versions.store import current_version, files_of
from serving.worklists.lists import LISTS

# Acts that show rows, and what they show.
DRILL, WORKLIST, SOURCE, EXTRACT, SQL = "drill", "worklist", "source opened", "extract", "sql"
ROW_ACTS = (DRILL, WORKLIST, SOURCE, EXTRACT, LOOK_UP, SQL)
# Acts that show figures of many people and no row.
FIGURE_ACTS = ("page", "figures", "query", "health", "lineage")
DONE = "done"


@dataclass(frozen=True, kw_only=True)
class Reached:
    """One act and the patients whose records it reached, as the published file names them.

    `tables` are the published tables whose rows were shown. `unresolved` counts names of the audit row that no patient of today's
    version has. `is_estimate`: the act does not say whose records it reached, and `patients` are all that it can have reached.
    """

    row: AuditRow
    patients: frozenset[str]
    tables: tuple[str, ...]
    unresolved: int = 0
    is_estimate: bool = False


class Patients:
    """The patients of a tenant's served version, and their surrogates in each scope. A context manager."""

    def __init__(self, home: Home, tenant_id: str) -> None:
        version = current_version(home, tenant_id)
        if version is None:
            raise NothingPublished("nothing is published yet; run the pipeline first")
        self._home, self._tenant, self._version = home, tenant_id, version
        files = files_of(home, tenant_id, version.version)
        self.registry = Registry.from_json(files.registry.read_bytes())
        self._connection = duck.connect(home)
        try:
            key = Keys.of(home).derive_all_hex("published", tenant_id)
            duck.attach(self._connection, files.base, alias="base", key=key, read_only=True)
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> "Patients":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @cached_property
    def all(self) -> frozenset[str]:
        """Every patient of the version."""
        rows = self._connection.execute("select patient_id from base.marts.dim_patients").fetchall()
        return frozenset(str(row[0]) for row in rows) - {UNKNOWN}

    @cached_property
    def zip3(self) -> Mapping[str, str]:
        """Patient to the first three digits of the ZIP code; empty where none is known."""
        rows = self._connection.execute("select patient_id, coalesce(zip3, '') from base.marts.dim_patients").fetchall()
        return {str(patient): str(area) for patient, area in rows}

    def named(self, names: Collection[str], scope_hash: str) -> tuple[frozenset[str], int]:
        """(patients, how many names are of none) of tokens, or of surrogates of a scope."""
        patients = frozenset(names) & self.all
        others = frozenset(names) - patients - {UNKNOWN}
        if not others:
            return patients, 0
        surrogates = self._surrogates(scope_hash)
        patients |= {surrogates[name] for name in others if name in surrogates}
        return patients, len(others - set(surrogates))

    @lru_cache(maxsize=64)  # noqa: B019 - as short-lived as the command that asks
    def _surrogates(self, scope_hash: str) -> Mapping[str, str]:
        return self._hashed(self.all, scope_hash)

    def _hashed(self, values: Collection[str], scope_hash: str) -> dict[str, str]:
        """Surrogate to value, as `serving.scope_files.deidentify` makes them, and as earlier releases did under another key."""
        keys = Keys.of(self._home)
        of_scope = keys.derive_for_scope("surrogate", self._tenant, scope_hash)
        of_earlier_releases = keys.derive_hex(f"surrogate/{scope_hash}", self._tenant)
        return {surrogate(key, value): value for key in (of_earlier_releases, of_scope) for value in values}

    def of_records(
        self, table: str, column: str, names: Collection[str], scope_hash: str
    ) -> tuple[frozenset[str], int]:
        """(ids of the patients of these records, number of names that no record has). `column` of the table holds the names."""
        held = self.registry.table(table)
        if held is None or not {column, "patient_id"} <= set(held.column_names):
            return frozenset(), len(names)
        rows = self._connection.execute(
            f'select distinct "{column}", patient_id from base."{held.schema}"."{table}" where "{column}" is not null'
        ).fetchall()
        patients: dict[str, set[str]] = {}
        for record, patient in rows:
            patients.setdefault(str(record), set()).add(str(patient))
        hashed = self._hashed(patients, scope_hash)
        owners, missing = set[str](), 0
        for name in names:
            record = name if name in patients else hashed.get(name)
            missing += record is None
            owners |= patients.get(record or "", set())
        return frozenset(owners) - {UNKNOWN}, missing

    def in_extract(self, version: str, scope_hash: str) -> frozenset[str] | None:
        """The patients in the file of a scope of a version; None where that file is gone."""
        path = files_of(self._home, self._tenant, version).scopes / f"{scope_hash}.duckdb"
        if not path.exists():
            return None
        key = Keys.of(self._home).of_scope_file(self._tenant, scope_hash)
        with duck.session(self._home) as connection:
            duck.attach(connection, Path(path), alias="extracted", key=key, read_only=True)
            rows = connection.execute("select patient_id from extracted.marts.dim_patients").fetchall()
        return self.named([str(row[0]) for row in rows], scope_hash)[0]


def reached(
    home: Home,
    tenant_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    actor: str | None = None,
    session: str | None = None,
) -> list[Reached]:
    """What acts that show rows reached, the oldest first, of one person, of one session, or of everybody in the tenant.

    `since` and `until` bound the time of the act (UTC; `until` is not included). Raises NothingPublished before the first version.
    """
    rows = AccessStore.open(home).audit_between(tenant_id, since=since, until=until, actor=actor, session=session)
    shown = [row for row in rows if row.action in ROW_ACTS and row.result == DONE]
    with Patients(home, tenant_id) as patients:
        return [_reached(patients, row) for row in shown]


def _reached(patients: Patients, row: AuditRow) -> Reached:
    detail = row.detail
    if row.action == EXTRACT:
        held = patients.in_extract(str(detail.get("version", "")), row.scope_hash)
        return Reached(
            row=row, patients=patients.all if held is None else held, tables=("extract",), is_estimate=held is None
        )
    if row.action == SQL:
        return _by_sql(patients, row)
    if row.action == SOURCE:
        table = str(detail.get("table", ""))
    else:
        work_list = LISTS.get(str(detail.get("list", "")))
        name = work_list.metric if work_list is not None else str(detail.get("metric", ""))
        metric = patients.registry.metrics.get(name)
        table = metric.drill.model if metric is not None and metric.drill is not None else ""
    named = detail.get("people")
    names = [str(name) for name in named] if isinstance(named, Sequence) and not isinstance(named, str) else []
    if row.action == SOURCE and not names:
        # Rows of earlier releases, and of records about no patient, do not say whose message was opened.
        return Reached(row=row, patients=frozenset(), tables=(table,), unresolved=1)
    column = str(detail.get("column", ""))
    held_table = patients.registry.table(table)
    marks = {item.name: item.identity for item in held_table.columns} if held_table else {}
    if column == "patient_id" or marks.get(column) == "patient":
        patients_reached, missing = patients.named(names, row.scope_hash)
    else:
        patients_reached, missing = patients.of_records(table, column, names, row.scope_hash)
    return Reached(row=row, patients=patients_reached, tables=(table,) if table else (), unresolved=missing)


def _by_sql(patients: Patients, row: AuditRow) -> Reached:
    """A query may show any row of the tables that it reads: everybody in the scope, where one of these names patients or accounts."""
    asked = row.detail.get("tables")
    names = [str(name).removeprefix("marts.") for name in asked] if isinstance(asked, list) else []
    tables = [table for name in names if (table := patients.registry.table(name)) is not None]
    about_people = tuple(
        table.name
        for table in tables
        if holds_patients(table) or any(column.identity == "account" for column in table.columns)
    )
    if not about_people:
        return Reached(row=row, patients=frozenset(), tables=tuple(names))
    held = patients.in_extract(str(row.detail.get("version", "")), row.scope_hash)
    everybody = patients.all if held is None else held
    return Reached(row=row, patients=everybody, tables=about_people, is_estimate=True)


def who_saw(acts: Sequence[Reached], patient_id: str) -> Iterator[Reached]:
    """The acts that reached one patient. Raises AccessError for an empty id."""
    if not patient_id:
        raise AccessError("name a patient")
    return (act for act in acts if patient_id in act.patients)
