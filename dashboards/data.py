"""The pages' only way to data: one cached function over `serving`, keyed by tenant, scope, version and question.

Streamlit's caches are process-wide, so what is missing from a key leaks from one person to another. That is why no
other module may use `st.cache_data` or `st.cache_resource` (a test reads the source), and why the key holds the
scope's hash and the published version: two people share an answer only where they may see the same rows.
"""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import polars as pl
import streamlit as st

from dashboards import served_home
from dashboards.view import View
from foundation.errors import AccessError
from serving.administration import Administration
from serving.annotations import Automatic
from serving.closed_months.view import Change, ClosedMonths
from serving.extracts import extract_bytes
from serving.forecasts.record import Scored
from serving.forecasts.view import Current
from serving.lineage.metric import MetricLineage
from serving.model import Drill, ExtractReport, Health, LastRun, Listing, MetricDefinition, MetricQuery, RowsAround
from serving.people.annotations import Annotation
from serving.people.branding import Brand
from serving.people.caller import caller as current_caller
from serving.people.caller import set_caller
from serving.people.principal import Principal
from serving.people.rights import ROLES
from serving.people.shown import gathering
from serving.plausibility import Finding
from serving.reader import Reader, open_reader
from serving.versions.closes import Close
from serving.workbench import Bench, Result

# The cache is made at import, before there is a runtime, which Streamlit warns of; it is in memory either way.
logging.getLogger("streamlit.runtime.caching.cache_data_api").setLevel(logging.ERROR)

ROWS_A_PAGE = 25
# So many units of a person's own are named one by one.
MOST_UNITS_NAMED = 3
# Every dimension has a member of this id for rows that name none, so that breakdowns add up to the total.
UNKNOWN = "unknown"


T = TypeVar("T")


@st.cache_data(max_entries=4000, show_spinner=False)
def _answer(tenant_id: str, scope_hash: str, version: str, question: str, _ask: Callable[[], Any]) -> Any:  # noqa: ARG001
    """Asks once for each tenant, scope, version and question. The parameters are the key, which is why none is unused."""
    return _ask()


@dataclass(frozen=True)
class Place:
    """One node of the service-unit tree as the person may see it."""

    id: str
    name: str
    unit_type: str
    depth: int
    parent_id: str | None


class Source:
    """A reader and the key of its scope."""

    def __init__(
        self, reader: Reader, principal: Principal, *, restated: bool = False, asked_as_of: str | None = None
    ) -> None:
        """`asked_as_of` is the earlier version that the reader was opened for, None for the served one."""
        self.reader = reader
        self.principal = principal
        self.restated = restated
        self.asked_as_of = asked_as_of
        self.tenant_id = reader.tenant.tenant_id
        self.key = (self.tenant_id, reader.scope.hash, reader.version.version)
        self._changes: dict[tuple[Close, str | None], list[Change]] = {}

    def _cached(self, question: Mapping[str, Any], ask: Callable[[], T]) -> T:
        answer: T = _answer(*self.key, json.dumps(question, sort_keys=True, default=str), ask)
        return answer

    def telling(self, restated: bool) -> "Source":
        """The same data with the units and payer classes of each day, or (restated) with those of today."""
        if restated == self.restated:
            return self
        return Source(self.reader, self.principal, restated=restated, asked_as_of=self.asked_as_of)

    def opened_later(self) -> Callable[[], "Source"]:
        """What opens the same data when somebody takes a file. It runs outside the page: the person's rights are looked up again, and the
        audit names the caller of the page."""
        who, principal, as_of, restated = current_caller(), self.principal, self.asked_as_of, self.restated

        def opened() -> Source:
            set_caller(who)
            now = served_home.access().principal(principal.tenant_id, principal.email)
            return source_of(now, as_of).telling(restated)

        return opened

    @cached_property
    def was_reorganised(self) -> bool:
        """Whether a unit was moved or a payer got another class, so that the past can be shown in two ways."""
        return bool(self._cached({"ask": "reorganised"}, self.reader.was_reorganised))

    @cached_property
    def brand(self) -> Brand:
        """How the organization shows itself."""
        return self.reader.brand

    @property
    def tenant_name(self) -> str:
        """The name that the organization chose to be shown, else its name in the published version."""
        return self.brand.display_name or self.reader.tenant.name

    @property
    def sees_health(self) -> bool:
        return self.reader.scope.sees_health

    @property
    def time_zone(self) -> str:
        """The tenant's time zone, an IANA name: all times on the pages are in it."""
        return self.reader.tenant.time_zone

    @property
    def sees_rows(self) -> bool:
        """Whether this person's role shows the rows behind figures."""
        return self.reader.scope.row_tables_allowed

    @property
    def administers(self) -> bool:
        """Whether this person administers the people of the organization."""
        return ROLES[self.principal.role].administers

    @cached_property
    def administration(self) -> Administration:
        """The acts of an administrator. Raises AccessError for everybody else. Nothing of it is cached."""
        units = [place for place in self.places if place != UNKNOWN]
        providers = [provider for provider in self.names("provider") if provider != UNKNOWN]
        return Administration(
            served_home.home(),
            served_home.access(),
            self.principal,
            units=units,
            providers=providers,
            partners=self.partners,
        )

    @property
    def partners(self) -> list[str]:
        """Ids of the referral partners that referrals name; none where no referral was read or the plan has none."""
        if "referrals" not in self.metrics:
            return []
        return [partner for partner in self.names("referral_partner") if partner != UNKNOWN]

    @property
    def hides_few(self) -> bool:
        """Whether this person does not get figures about few people: then a missing figure may be hidden, and is not 0."""
        return bool(self.reader.scope.smallest_cell > 1)

    @property
    def hidden_note(self) -> str:
        """Says which figures this person does not get because too few people are behind them; empty where all are shown."""
        smallest = self.reader.scope.smallest_cell
        if smallest <= 1:
            return ""
        return f"Figures about fewer than {smallest} people, and figures that would reveal them, are not shown."

    @property
    def as_of(self) -> date:
        """The last day that the data reach; the local day of publication where no feed has a date."""
        zone = ZoneInfo(self.reader.tenant.time_zone)
        return self.reader.data_as_of or self.reader.published_at.astimezone(zone).date()

    @cached_property
    def metrics(self) -> dict[str, MetricDefinition]:
        """The metrics this person may see, by name. Anything absent here is absent from the pages."""
        definitions = self._cached({"ask": "metrics"}, lambda: list(self.reader.metrics()))
        return {metric.name: metric for metric in definitions}

    @cached_property
    def modules(self) -> frozenset[str]:
        return frozenset(metric.module for metric in self.metrics.values())

    @cached_property
    def places(self) -> dict[str, Place]:
        """The service-unit tree by id, parents before children, in the order of the tree."""
        frame: pl.DataFrame = self._cached({"ask": "tree"}, self.reader.tree)
        places = [
            Place(
                row["service_unit_id"], row["name"], row["unit_type"] or "", row["depth"], row["parent_service_unit_id"]
            )
            for row in frame.iter_rows(named=True)
        ]
        below: dict[str | None, list[Place]] = {}
        place_ids = {place.id for place in places}
        for place in places:
            below.setdefault(place.parent_id if place.parent_id in place_ids else None, []).append(place)
        ordered: dict[str, Place] = {}
        waiting = list(reversed(below.get(None, [])))
        while waiting:
            place = waiting.pop()
            ordered[place.id] = place
            waiting.extend(reversed(below.get(place.id, [])))
        return ordered

    @cached_property
    def tops(self) -> tuple[Place, ...]:
        """The units at the top of what the person sees, the member for rows without a unit left out."""
        return tuple(p for p in self.places.values() if p.parent_id not in self.places and p.id != UNKNOWN)

    @property
    def root(self) -> Place | None:
        """The one unit above all others; None where a person sees several parts of the tree."""
        return self.tops[0] if len(self.tops) == 1 else None

    @cached_property
    def scope_label(self) -> str:
        """The name of the part that this person sees, such as `Elm Street Clinic (your unit)`; empty for the whole organization."""
        scope = self.reader.scope
        if scope.provider_id:
            name = self.names("provider").get(scope.provider_id, "One provider")
            return f"{name} (your own patients)"
        if scope.partner_id:
            return "Your referrals"
        if not scope.unit_ids:
            return ""
        names = [place.name for place in self.tops]
        if len(names) <= 1:
            return f"{names[0] if names else 'One unit'} (your unit)"
        if len(names) <= MOST_UNITS_NAMED:
            return f"{', '.join(names[:-1])} and {names[-1]} (your units)"
        named = ", ".join(names[:MOST_UNITS_NAMED])
        return f"{len(names)} of your units: {named} and {len(names) - MOST_UNITS_NAMED} more"

    def children(self, place_id: str | None) -> list[Place]:
        """Units right below a place; for None those at the top of what the person sees."""
        if place_id is not None:
            return [place for place in self.places.values() if place.parent_id == place_id]
        return list(self.tops)

    def path(self, place_id: str | None) -> list[Place]:
        """A place and its ancestors, from the top."""
        path: list[Place] = []
        while place_id in self.places:
            path.insert(0, self.places[place_id])
            place_id = self.places[place_id].parent_id
        return path

    def names(self, dimension: str) -> dict[str, str]:
        """Names of a dimension's members by id."""
        frame: pl.DataFrame = self._cached(
            {"ask": "values", "name": dimension}, lambda: self.reader.dimension_values(dimension)
        )
        return dict(zip(frame["id"].to_list(), frame["name"].to_list(), strict=True))

    def query(
        self,
        metrics: Sequence[str],
        *,
        by: Sequence[str] = (),
        grain: str | None = None,
        where: Mapping[str, Any] | None = None,
        start: date | None = None,
        end: date | None = None,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        known_by: date | None = None,
    ) -> pl.DataFrame:
        """One question to the registry; the answer's columns are those of `Reader.query`."""
        asked = MetricQuery(
            metrics=list(metrics),
            by=list(by),
            grain=grain,
            where=dict(where or {}),
            date_from=start,
            date_to=end,
            order_by=list(order_by),
            limit=limit,
            restated=self.restated,
            known_by=known_by,
        )
        self.reader.saw("query", {"metrics": asked.metrics, "by": asked.by})
        return self._cached({"ask": "query", **vars(asked)}, lambda: self.reader.query(asked))

    def drill(
        self,
        metric: str,
        where: Mapping[str, Any],
        start: date,
        end: date,
        page: int,
        *,
        counted_only: bool,
        listing: Listing | None = None,
    ) -> Drill:
        """One page of the rows behind a figure, as `Reader.drill`. Never cached: every look at rows is an audit row."""
        offset = (page - 1) * ROWS_A_PAGE
        return self.reader.drill(
            metric,
            dict(where),
            start,
            end,
            limit=ROWS_A_PAGE,
            offset=offset,
            restated=self.restated,
            counted_only=counted_only,
            listing=listing,
        )

    def rows_around(self, metric: str, where: Mapping[str, Any], start: date, end: date) -> tuple[RowsAround, ...]:
        """How many rows count in a figure and how many do not, by reason, as `Reader.rows_around`."""
        self.reader.saw("query", {"metrics": [metric], "by": []})
        asked = {"ask": "rows around", "metric": metric, "where": dict(where), "from": start, "to": end}
        return self._cached(
            {**asked, "restated": self.restated},
            lambda: self.reader.rows_around(metric, where, start, end, restated=self.restated),
        )

    def rows_file(
        self,
        metric: str,
        where: Mapping[str, Any],
        start: date,
        end: date,
        *,
        file_format: str,
        columns: Sequence[str],
        counted_only: bool,
        listing: Listing | None,
    ) -> Callable[[], bytes]:
        """What makes a file of the rows behind a figure when somebody takes it, as `Reader.export_rows` and `opened_later`."""
        opened_again = self.opened_later()

        def make() -> bytes:
            reader = opened_again().reader
            return reader.export_rows(
                metric,
                dict(where),
                start,
                end,
                file_format=file_format,
                columns=columns,
                restated=self.restated,
                counted_only=counted_only,
                listing=listing,
            ).content

        return make

    def make_extract(self, file_format: str) -> tuple[bytes, ExtractReport]:
        """The person's extract (`serving.extracts`) of the version that the page shows, with the rights of this moment. One audit row."""
        return extract_bytes(served_home.home(), self.principal, file_format=file_format, as_of=self.asked_as_of)

    @cached_property
    def bench(self) -> Bench:
        """SQL on the rows of the person's extract. Raises AccessError for a person who takes no extracts. Nothing of it is cached here."""
        return Bench(served_home.home(), served_home.access(), self.principal, self.reader)

    @cached_property
    def dictionary(self) -> Mapping[str, pl.DataFrame]:
        """`Bench.dictionary`, kept for each scope and version: drawing the page needs no rows. Who may ask no SQL has no `bench`."""
        bench = self.bench
        kept: dict[str, pl.DataFrame] = self._cached({"ask": "dictionary"}, lambda: dict(bench.dictionary))
        return kept

    def sql_file(self, result: Result, file_format: str) -> Callable[[], bytes]:
        """What makes a file of a result when somebody takes it: outside the page, with the person's rights of that moment."""
        source, opened_again = self, self.opened_later()

        def make() -> bytes:
            now = opened_again()
            if now.key[:2] != source.key[:2]:
                raise AccessError("your rights have changed; run the query again")
            return now.bench.file(result, file_format).content

        return make

    @cached_property
    def health(self) -> Health:
        """As `Reader.health`, kept for the run of the script."""
        self.reader.saw("health", {})
        return self._cached({"ask": "health"}, self.reader.health)

    def lineage(self, metric: str) -> MetricLineage | None:
        """The sources of a figure, None if the version does not hold them."""
        self.reader.saw("lineage", {"metric": metric})
        return self._cached({"ask": "lineage", "metric": metric}, lambda: self.reader.lineage(metric))

    @cached_property
    def alerts(self) -> pl.DataFrame:
        """Feeds that stopped, bring too little or could not be read, with the entities they brought so far."""
        frame: pl.DataFrame = self._cached({"ask": "alerts"}, self.reader.alerts)
        return frame

    @cached_property
    def refusals(self) -> pl.DataFrame:
        """Feeds of which files were refused, how many, and the entities that the feeds brought so far."""
        frame: pl.DataFrame = self._cached({"ask": "refusals"}, self.reader.refusals)
        return frame

    @cached_property
    def annotations(self) -> tuple[Annotation, ...]:
        """What people wrote about days, as far as this person sees it. Asked once for each run of a page, and never kept."""
        return self.reader.annotations.standing() if self.reader.annotations.may_read else ()

    @cached_property
    def forecasts(self) -> Current | None:
        """The newest forecasts of what this person sees; None before the first ones. Kept as long as they are the newest."""
        newest = self.reader.forecasts.newest()
        if newest is None:
            return None
        self.reader.saw("forecasts", {})
        return self._cached({"ask": "forecasts", "issue": newest.issue_id}, self.reader.forecasts.current)

    @cached_property
    def scored_forecasts(self) -> tuple[Scored, ...]:
        """Earlier forecasts of what this person sees, beside their outcomes."""
        newest = self.reader.forecasts.newest()
        if newest is None:
            return ()
        self.reader.saw("forecasts scored", {})
        return self._cached({"ask": "forecasts scored", "issue": newest.issue_id}, self.reader.forecasts.scored)

    @cached_property
    def automatic_annotations(self) -> tuple[Automatic, ...]:
        """Gaps of feeds and moves of service units."""
        if not self.reader.annotations.may_read:
            return ()
        kept: tuple[Automatic, ...] = self._cached({"ask": "annotations"}, self.reader.annotations.automatic)
        return kept

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        """Contradictions between feeds and gaps that no feed explains, with the metrics that they affect."""
        findings: tuple[Finding, ...] = self._cached({"ask": "findings"}, self.reader.findings)
        return findings

    def doubts(self, metric: str, until: date) -> tuple[str, ...]:
        """Titles of the findings that touch a metric in periods that end on `until`."""
        touching = (f for f in self.findings if metric in f.metrics and f.touches_period(until))
        return tuple(dict.fromkeys(finding.title for finding in touching))

    @contextmanager
    def recorded(self, page: str, shown: Mapping[str, object], *, is_refused: bool) -> Iterator[None]:
        """Audits one run of a page: a row before anything is shown, with the view in the address, and a row with the
        metrics that it asked for, once all is drawn. Where the first cannot be written, nothing is shown."""
        self.reader.note("page", {"page": page, "view": dict(shown)}, "refused" if is_refused else "done")
        with gathering() as seen:
            try:
                yield
            finally:
                if detail := seen.detail():
                    self.reader.note("figures", {"page": page} | detail, "done")

    @cached_property
    def closed(self) -> ClosedMonths:
        """The tenant's closed months as this person may see them."""
        return ClosedMonths(self.reader.home, self.reader)

    @cached_property
    def closed_months(self) -> frozenset[date]:
        """First days of the months that are closed."""
        return frozenset(close.month for close in self.closed.standing)

    def changes_in(self, first: date, last: date, place_id: str | None) -> list[Change]:
        """The changes of the closed months that begin within days; `place_id` as of `closed_changes`. None of an earlier version: it
        shows the figures of its day."""
        if self.asked_as_of is not None:
            return []
        inside = (close for close in self.closed.standing if first <= close.month <= last)
        return [change for close in inside for change in self.closed_changes(close, place_id)]

    def closes_are_wider(self, view: View) -> bool:
        """Whether the figures of closes are of more than a view shows: a close keeps none of payers, providers and the like, none with
        today's units, and none of a provider at one place."""
        is_own_place = bool(view.place and self.reader.scope.provider_id)
        return bool(view.payer or view.provider or view.filters or self.restated or is_own_place)

    def closed_changes(self, close: Close, place_id: str | None) -> list[Change]:
        """The changes of the figures of a closed month at a place; for None in all, or at the top units of the scope. Asked once for each
        run of a page."""
        asked = (close, place_id)
        if asked not in self._changes:
            self._changes[asked] = self._closed_changes(close, place_id)
        return self._changes[asked]

    def _closed_changes(self, close: Close, place_id: str | None) -> list[Change]:
        if place_id is None and self.reader.scope.unit_ids:
            tops = self.tops
            of_all_places = [(top, change) for top in tops for change in self.closed_changes(close, top.id)]
            is_one = len(tops) == 1
            return [
                change if is_one else replace(change, label=f"{change.label}, {top.name}")
                for top, change in of_all_places
            ]
        # A provider sees only own figures, which are not split by place.
        unit = None if self.reader.scope.provider_id else place_id
        question = {"ask": "closed", "month": close.name, "number": close.number, "unit": unit, "at": self.closed.stamp}
        changes: list[Change] = self._cached(question, lambda: self.closed.changes(close, unit=unit))
        return changes

    @property
    def last_run(self) -> LastRun | None:
        """Never cached: a run that published nothing leaves the version, and so the key, as it was."""
        return self.reader.last_run


def time_zone_of(principal: Principal) -> str:
    """The time zone of a person's tenant: of the published version, else of the configuration."""
    try:
        return open_reader(served_home.home(), principal).tenant.time_zone
    except AccessError:
        return served_home.time_zone(principal.tenant_id)


def source_of(principal: Principal, as_of: str | None = None) -> Source:
    """The data of one person, of the served version or of the one that `as_of` means. Raises AccessError, NothingPublished, and
    ConfigurationError for an `as_of` that is not kept."""
    if as_of is None:
        return Source(open_reader(served_home.home(), principal), principal)
    return Source(open_reader(served_home.home(), principal, as_of=as_of), principal, asked_as_of=as_of)
