"""The only way to rows: opens what a person may see, and answers questions to it.

    reader = open_reader(home, principal)
    reader.query(MetricQuery(metrics=["no_show_rate"], by=["clinic"], grain="month"))
    reader.drill("no_shows", {"clinic": "imaging"}, limit=50)

A reader belongs to one person and one published version. Rights are those of this moment: the scope is computed again each
time, and only the open file behind it is shared, by tenant, scope and version.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import cached_property, partial

import polars as pl

from foundation.errors import AccessError, ConfigurationError, DamagedFileError
from foundation.home import Home
from foundation.keys import Keys
from foundation.live_state import live_path, read_live
from serving import open_files
from serving.annotations import ScopedAnnotations
from serving.audited import DONE, REFUSED, refusals_noted
from serving.counters import QUERY_SECONDS
from serving.forecasts.view import ScopedForecasts
from serving.lineage.metric import MetricLineage, metric_lineage
from serving.metrics.dimensions import DimensionIndex
from serving.metrics.mart_data import TREE_COLUMNS
from serving.metrics.members import dimension_members
from serving.metrics.registry import Registry, RegistryMetric
from serving.model import (
    Drill,
    Filter,
    Health,
    LastRun,
    Listing,
    MetricDefinition,
    MetricQuery,
    NothingPublished,
    RowDifference,
    RowsAround,
    RowsAsked,
    RowsFile,
    Version,
)
from serving.open_files import Opened
from serving.people.branding import Brand
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.scope import Scope
from serving.people.shown import gathered
from serving.people.store import AccessStore
from serving.plausibility import Finding, published_findings
from serving.rows import drill as drilling
from serving.rows.compare import MOST_COMPARED, compare
from serving.rows.exclusions import exclusions
from serving.rows.export import MOST_ROWS, chosen_columns, rows_file
from serving.rows.people import PEOPLE_A_ROW, people_in
from serving.rows.row_sources import RowSources, row_sources
from serving.scope_files.derive import CREDENTIALS
from serving.target_rules import ScopedTargets
from serving.today import Board, board, places
from serving.versions.health import published_alerts, published_health, published_refusals
from serving.versions.integrity import last_sound_version
from serving.versions.retention import kept_versions, version_as_of
from serving.versions.store import outcome
from serving.worklists.work import Worklists


class Reader:
    """What one person may see of one published version. Made by `open_reader`; usable as a context manager."""

    def __init__(
        self, *, home: Home, access: AccessStore, principal: Principal, scope: Scope, version: Version, opened: Opened
    ) -> None:
        self._home, self._access, self._principal = home, access, principal
        self._metrics = opened.metrics
        self.tenant = opened.tenant
        self.scope = scope
        self.version = version

    @property
    def home(self) -> Home:
        """The home that is read."""
        return self._home

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the file. It stays open for the next reader of the same scope."""
        self.__dict__.pop("_metrics", None)

    # What it is about

    @property
    def brand(self) -> Brand:
        """How the organization shows itself now."""
        return self._access.brandings.shown(self.tenant.tenant_id)

    @property
    def published_at(self) -> datetime:
        """When the version was published (UTC)."""
        return self.version.published_at

    @property
    def data_as_of(self) -> date | None:
        """The last day that the data reach, None where no feed has a date."""
        return self.version.data_as_of

    @property
    def registry(self) -> Registry:
        """Tables and metrics of the version; `metrics()` are those of the scope."""
        return self._metrics.registry

    @property
    def last_run(self) -> LastRun | None:
        """How the last run ended, published or not."""
        return outcome(self._home, self.tenant.tenant_id)

    @cached_property
    def follows_credentials(self) -> bool:
        """Whether a provider's rows are cut to the units where a credential holds: where a feed of the tenant brings credentials."""
        tenants = self.registry.table("dim_tenants")
        if self.scope.provider_id is None or tenants is None or CREDENTIALS not in tenants.column_names:
            return False
        return bool(self._metrics.data.frame(f"select bool_or({CREDENTIALS}) from warehouse.marts.dim_tenants").item())

    def metrics(self) -> list[MetricDefinition]:
        """The metrics this person may ask for, by name."""
        return self._definitions

    def visible_metrics(self) -> list[RegistryMetric]:
        """The same as the registry holds them."""
        return self._metrics.visible()

    @property
    def dimension_index(self) -> DimensionIndex:
        """The dimensions of the version's facts."""
        return self._metrics.index

    @cached_property
    def _definitions(self) -> list[MetricDefinition]:
        visible = [item.definition for item in self._metrics.visible()]
        names = {item.name for item in visible}
        may_drill = self.scope.row_tables_allowed
        return [
            replace(
                item,
                variants=tuple(name for name in item.variants if name in names),
                can_drill=item.can_drill and may_drill,
            )
            for item in visible
        ]

    # Questions

    def query(self, query: MetricQuery) -> pl.DataFrame:
        """Answers a question: `metric_time`, the dimensions as asked with `<dimension>_name`, then one column a metric.

        Money is Decimal, counts are integers, rates are fractions; null means no denominator. Raises ConfigurationError
        for an unknown metric or dimension (with close matches), AccessError for what the person may not use. Every question is
        audited, a refused one too.
        """
        asked: dict[str, object] = {"metrics": list(query.metrics), "by": list(query.by), "where": dict(query.where)}
        asked |= {"from": query.date_from, "to": query.date_to}
        with refusals_noted(self.note, "query", asked), QUERY_SECONDS.labels("query").time():
            answer = self._metrics.query(query)
        self.saw("query", asked)
        return answer

    def saw(self, action: str, detail: Mapping[str, object]) -> None:
        """Notes the data shown to the person: within a page in the audit row of the page, else as a row of its kind. Pages call this
        for answers that they have kept."""
        shown = gathered()
        if shown is not None:
            shown.note(action, detail)
        else:
            self.note(action, detail, DONE)

    def drill(
        self,
        metric: str,
        where: Mapping[str, Filter] | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        limit: int = 100,
        offset: int = 0,
        restated: bool = False,
        counted_only: bool = False,
        listing: Listing | None = None,
    ) -> Drill:
        """One page of the rows behind a figure, and the figure worked out from all of them. Every call is audited.

        `restated` as in MetricQuery. `counted_only` lists, of a share of rows, only those above the line. `listing` searches and
        sorts; what was searched for is not kept in the audit, as it may name a person.
        """
        asked = {"metric": metric, "where": dict(where or {}), "from": date_from, "to": date_to, "offset": offset}
        if listing is not None and listing.search:
            asked["searched"] = True
        metrics = self._metrics.restated if restated else self._metrics
        with refusals_noted(self.note, "drill", asked), QUERY_SECONDS.labels("drill").time():
            drilled = drilling.drill(
                metrics,
                metric,
                where or {},
                date_from,
                date_to,
                limit=limit,
                offset=offset,
                counted_only=counted_only,
                listing=listing,
            )
        self._note_rows("drill", asked, drilled)
        return drilled

    def rows_around(
        self,
        metric: str,
        where: Mapping[str, Filter] | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        restated: bool = False,
    ) -> tuple[RowsAround, ...]:
        """How many rows count in a figure and how many do not, by reason. Numbers and no rows: everybody who sees the figure sees them,
        without those of too few people. Audited as a question; raises as `query`."""
        asked: dict[str, object] = {"metrics": [metric], "where": dict(where or {}), "from": date_from, "to": date_to}
        metrics = self._metrics.restated if restated else self._metrics
        with refusals_noted(self.note, "query", asked), QUERY_SECONDS.labels("query").time():
            lists = exclusions(metrics, metric, where or {}, date_from, date_to, as_of=self.data_as_of)
        self.saw("query", asked)
        return lists

    def _note_rows(self, action: str, asked: Mapping[str, object], drilled: Drill) -> None:
        """Audits whose rows were shown: the first people with the act, the others in further rows of it."""
        first, *further = people_in(drilled.frame, self.registry.table(drilled.table)) or [{}]
        counts = {"rows": drilled.frame.height, "of": drilled.total_rows}
        more = [{"metric": asked["metric"]} | part for part in further]
        self.note(action, {**asked, **counts, **first}, DONE, further=more)

    def export_rows(
        self,
        metric: str,
        where: Mapping[str, Filter] | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        *,
        file_format: str,
        columns: Sequence[str] = (),
        restated: bool = False,
        counted_only: bool = False,
        listing: Listing | None = None,
    ) -> RowsFile:
        """The rows behind a figure as a file (`serving.rows.export.FORMATS`), of the columns named or of all. The same gate as `drill`;
        one audit row names format, columns and count.

        Raises AccessError and ConfigurationError as `drill`, ConfigurationError too for more than MOST_ROWS rows.
        """
        asked: dict[str, object] = {"metric": metric, "where": dict(where or {}), "from": date_from, "to": date_to}
        asked |= {"format": file_format, "columns": list(columns)}
        if listing is not None and listing.search:
            asked["searched"] = True
        with refusals_noted(self.note, "export", asked):
            drilled = drilling.drill(
                self._metrics.restated if restated else self._metrics,
                metric,
                where or {},
                date_from,
                date_to,
                limit=MOST_ROWS,
                offset=0,
                counted_only=counted_only,
                listing=listing,
                most=MOST_ROWS,
            )
            file = rows_file(chosen_columns(drilled, columns), file_format)
        self._note_rows("export", asked, drilled)
        return file

    def compare_rows(self, asked: RowsAsked, other: "Reader", theirs: RowsAsked) -> RowDifference:
        """How the rows of a figure differ from those of another, which may be read from another version. The same gate as `drill`; an
        audit row names whose rows are shown.

        Raises as `drill`, and ConfigurationError where the rows have no record in common or are too many.
        """
        detail: dict[str, object] = {
            "metric": asked.metric,
            "where": dict(asked.where),
            "from": asked.date_from,
            "to": asked.date_to,
        }
        detail |= {"with": theirs.metric, "with_where": dict(theirs.where), "with_version": other.version.version}
        with refusals_noted(self.note, "compare", detail):
            mine, others = self._all_rows(asked), other._all_rows(theirs)
            difference = compare(mine, others)
        parts = (difference.only_mine, difference.only_theirs, difference.differing)
        shown = [part.frame for part in parts if part.frame.height]
        people = [who for frame in shown for who in people_in(frame, self.registry.table(mine.table))]
        first, *further = people or [{}]
        counts = {name: part.rows for name, part in zip(("only_mine", "only_theirs", "differing"), parts, strict=True)}
        self.note(
            "compare", {**detail, **counts, **first}, DONE, further=[{"metric": asked.metric} | p for p in further]
        )
        return difference

    def _all_rows(self, asked: RowsAsked) -> Drill:
        return drilling.drill(
            self._metrics.restated if asked.restated else self._metrics,
            asked.metric,
            asked.where,
            asked.date_from,
            asked.date_to,
            limit=MOST_COMPARED,
            offset=0,
            most=MOST_COMPARED,
        )

    def versions(self) -> tuple[Version, ...]:
        """The published versions that can be asked for with `as_of`, the oldest first, the served one last."""
        return kept_versions(self._home, self.tenant.tenant_id)

    def sources(self, table: str, key: str) -> RowSources:
        """Which source records a row was made of: `key` is the row's id as a drill shows it. Every refusal is audited; who opens a
        message writes a separate audit row.

        Raises AccessError for a scope without rows and a row that is not in it, ConfigurationError for a table without source records.
        """
        with refusals_noted(self.note, "source", {"table": table}):
            return row_sources(self._home, self.version, self._metrics, table, key)

    def dimension_values(self, name: str, where: Mapping[str, Filter] | None = None) -> pl.DataFrame:
        """(id, name) of a dimension's members, `parent_id` too for service units, by name.

        With `where`, those that occur in rows under the filter. Raises ConfigurationError for an unknown dimension.
        """
        return dimension_members(self._metrics, name, where or {})

    def tree(self) -> pl.DataFrame:
        """The service units in scope: service_unit_id, parent_service_unit_id, name, unit_type, depth; tree order."""
        return self._metrics.data.units.select(*TREE_COLUMNS)

    def was_reorganised(self) -> bool:
        """Whether a service unit in scope stood elsewhere once, or rows hold a payer class that is not the payer's today."""
        moved = "select 1 from warehouse.marts.dim_service_unit_versions where not is_current"
        classed = (
            "select 1 from warehouse.marts.fct_payer_mix mix join warehouse.marts.dim_payers payer using (payer_key) "
            "where mix.payer_class <> payer.current_payer_class"
        )
        # A version that was published before there was such a table cannot say.
        held = {table for item in self._metrics.visible() for table in item.tables}
        questions = [moved] if self.registry.table("dim_service_unit_versions") else []
        questions += [classed] if "fct_payer_mix" in held else []
        return any(self._metrics.data.frame(f"{question} limit 1").height for question in questions)

    def lineage(self, metric: str) -> MetricLineage | None:
        """What a metric's figure rests on; None where the version was published without its lineage. Like the alerts for everybody
        who sees the figure. Raises ConfigurationError for a metric that the person may not ask for, AccessError
        for a role without the page."""
        if "lineage" not in ROLES[self.scope.role].pages:
            self.note("lineage", {"metric": metric}, REFUSED)
            raise AccessError("your role does not see what a figure rests on")
        if all(item.name != metric for item in self.metrics()):
            self.note("lineage", {"metric": metric}, REFUSED)
            raise ConfigurationError(f"no metric is named {metric!r}")
        self.saw("lineage", {"metric": metric})
        return metric_lineage(self._home, self.version, metric)

    def health(self) -> Health:
        """What the feeds delivered; for a part of the tenant no rows and money of the whole, and unknown words for roles that see
        patients' identity alone. Raises AccessError for roles that do not see it."""
        if not self.scope.sees_health:
            self.note("health", {}, REFUSED)
            raise AccessError("your role does not see the state of the feeds")
        self.saw("health", {})
        health = published_health(self._home, self.version)
        if self.scope.identity_level != "identified":
            health = health.without_words()
        return health.of_a_part() if self.scope.is_restricted else health

    def alerts(self) -> pl.DataFrame:
        """Feeds that stopped, bring too little or could not be read: feed, kind, since, newest_day, message, entities.

        Everybody who sees figures must know when they lack a feed, so this is for every role.
        """
        return published_alerts(self._home, self.version)

    def refusals(self) -> pl.DataFrame:
        """Feeds of which files were refused whole: feed, files, entities. Like the alerts for every role."""
        return published_refusals(self._home, self.version)

    def findings(self) -> tuple[Finding, ...]:
        """Contradictions in the feeds, with the affected metrics. Every role sees them; a person who sees a part of the tenant gets
        no amounts, since they are of the whole."""
        findings = published_findings(self._home, self.version)
        return tuple(replace(item, amount=None) for item in findings) if self.scope.is_restricted else findings

    # Today

    @property
    def is_live(self) -> bool:
        """Whether the tenant's senders were ever followed, so that there is a board of today."""
        return live_path(self._home, self.tenant.tenant_id).exists()

    def today(self, now: datetime, noted: Collection[str] | None = None) -> Board | None:
        """Today's board of the units that the person sees at a moment (UTC); None where no listener has written it yet.

        An audit row names the patients that it lists. A caller that draws the board again says whom it has `noted`: then there is a
        row only where somebody new is listed. Raises AccessError, audited, for roles without the page, DamagedFileError where the live
        state was altered.
        """
        if not ROLES[self.scope.role].sees_today:
            self.note("today", {}, REFUSED)
            raise AccessError("your role does not see the board of today")
        keys, tenant_id = Keys.of(self._home), self.tenant.tenant_id
        state = read_live(self._home, keys, tenant_id)
        if state is None:
            return None
        shown = board(
            state,
            places(self._metrics, self.tenant.time_zone),
            now,
            keys.derive_for_scope("surrogate", tenant_id, self.scope.hash),
        )
        new = sorted(set(shown.people) - set(noted or ()))
        if new or noted is None:
            first, *further = [new[at : at + PEOPLE_A_ROW] for at in range(0, len(new), PEOPLE_A_ROW)] or [[]]
            more = [{"column": "patient_id", "people": part} for part in further]
            self.note("today", {"column": "patient_id", "people": first}, DONE, further=more)
        return shown

    # What people set

    @cached_property
    def targets(self) -> ScopedTargets:
        """The tenant's targets, as far as they concern the scope."""
        return ScopedTargets(self._metrics, self._access.targets, self._principal, self.note)

    @cached_property
    def annotations(self) -> ScopedAnnotations:
        """What people wrote about days, and what follows from the published data, as far as it concerns the scope."""
        return ScopedAnnotations(
            home=self._home,
            version=self.version,
            metrics=self._metrics,
            kept=self._access.annotations(Keys.of(self._home), self.tenant.tenant_id),
            principal=self._principal,
            note=self.note,
            saw=self.saw,
        )

    @cached_property
    def forecasts(self) -> ScopedForecasts:
        """Forecasts of what the person sees, and how earlier ones did."""
        return ScopedForecasts(
            home=self._home,
            version=self.version,
            metrics=self._metrics,
            log=self._access.forecasts(self.tenant.tenant_id),
            principal=self._principal,
            note=self.note,
            saw=self.saw,
        )

    @cached_property
    def worklists(self) -> Worklists:
        """The lists of rows that the person works on."""
        return Worklists(
            self._metrics,
            partial(self._access.work_entries, Keys.of(self._home), self.tenant.tenant_id),
            self._principal.email,
            self.note,
        )

    def coworkers(self) -> tuple[str, ...]:
        """User names of the tenant's people who work on worklists: to whom a row can be given."""
        people = self._access.users(self.tenant.tenant_id)
        return tuple(person.email for person in people if ROLES[person.role].works_lists)

    def note(
        self, action: str, detail: Mapping[str, object], result: str, *, further: Sequence[Mapping[str, object]] = ()
    ) -> None:
        """Writes an audit row: action, detail and result (`done` or `refused`) under the person and the scope. `further` are
        more rows of the same act, for people that do not fit into one row."""
        self._access.audit(
            self.tenant.tenant_id,
            self._principal.email,
            action,
            self.scope.hash,
            detail=detail,
            result=result,
            further=further,
        )


def open_reader(home: Home, principal: Principal, *, as_of: str | None = None) -> Reader:
    """Opens what a person may see of the served version; writes the scope's file on first use.

    `as_of` opens another one instead: `2026-10-05` what was served at the end of that day, a version's name, or
    `close:2026-09`. It answers with the definitions it was published with; rights are still those of this moment.
    Raises AccessError where the role sees nothing (the refusal is audited), NothingPublished before the first version,
    ConfigurationError for an `as_of` that is not kept.
    """
    access = AccessStore.open(home)
    try:
        scope = Scope.of(principal, access.policy(principal.tenant_id))
    except AccessError as error:
        access.audit(principal.tenant_id, principal.email, "open", detail={"reason": str(error)}, result=REFUSED)
        raise
    version = last_sound_version(home, principal.tenant_id)
    if version is None:
        raise NothingPublished("nothing is published yet; run the pipeline first")
    try:
        opened = open_files.shared(home, scope, version)
    except DamagedFileError:
        if as_of is None and last_sound_version(home, principal.tenant_id) not in (None, version):
            return open_reader(home, principal)
        raise
    if as_of is not None:
        version = version_as_of(home, principal.tenant_id, as_of, time_zone=opened.tenant.time_zone)
        opened = open_files.shared(home, scope, version)
    return Reader(
        home=home,
        access=access,
        principal=principal,
        scope=scope,
        version=version,
        opened=opened,
    )
