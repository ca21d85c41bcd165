"""A reader without a warehouse: the same API as `serving.reader.Reader` over the frames of `fake_visits`, with life in them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any

import polars as pl

from dashboards import served_home
from foundation.errors import AccessError
from foundation.home import Home
from serving.lineage.metric import MetricLineage
from serving.model import (
    Drill,
    Health,
    LastRun,
    Listing,
    MetricDefinition,
    MetricQuery,
    RowDifference,
    RowPart,
    RowsAround,
    RowsAsked,
    RowsFile,
    Tenant,
    Version,
)
from serving.modules import MODULES
from serving.people.branding import PLAIN, Brand
from serving.people.shown import gathered
from serving.plausibility import Finding
from serving.reader import Reader
from serving.rows.compare import compare
from serving.rows.export import rows_file
from serving.today import Board
from tests.dashboards import fake_health, fake_visits
from tests.dashboards.fake_acts import FakeAnnotations, FakeForecasts, FakeTargets, FakeWorklists
from tests.dashboards.fake_metrics import DIMENSIONS, KNOWN_ON, MATURES, OUT_OF, RULES
from tests.dashboards.fake_visits import AS_OF, NAMES, TREE, below, child_of, is_under

PUBLISHED = LastRun(run_id="r1", at=datetime(2026, 11, 15, 6, 5, tzinfo=UTC), outcome="published", reason="")


@dataclass
class FakeReader:
    """Answers as a Reader does. `modules` and `can_see_rows` play with what a scope grants."""

    tenant_id: str = "harbor"
    tenant_name: str = "Harbor Health"
    modules: tuple[str, ...] = tuple(module.name for module in MODULES if module.pages)
    can_see_rows: bool = True
    sees_health: bool = True
    scope_hash: str = "0" * 64
    visits: pl.DataFrame = field(default_factory=fake_visits.visits)
    data_as_of: date | None = AS_OF
    published_at: datetime = datetime(2026, 11, 15, 6, 5, tzinfo=UTC)
    last_run: LastRun | None = PUBLISHED
    asked: int = 0
    targets: FakeTargets = field(default_factory=FakeTargets)
    annotations: FakeAnnotations = field(default_factory=FakeAnnotations)
    forecasts: FakeForecasts = field(default_factory=FakeForecasts)
    worklists: FakeWorklists = field(default_factory=FakeWorklists)
    stopped: bool = False
    doubted: bool = False
    refused: bool = False
    reorganised: bool = False
    is_live: bool = False
    brand: Brand = PLAIN
    told: list[bool] = field(default_factory=list)
    unit_ids: tuple[str, ...] = ()
    provider_id: str | None = None
    smallest_cell: int = 1
    may_extract: bool = False
    # (action, detail, result) of what would be audited.
    noted: list[tuple[str, Mapping[str, object], str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.worklists.rows_of = self._rows

    @property
    def home(self) -> Home:
        return served_home.home()

    def note(
        self, action: str, detail: Mapping[str, object], result: str, *, further: Sequence[Mapping[str, object]] = ()
    ) -> None:
        self.noted.append((action, detail, result))

    def saw(self, action: str, detail: Mapping[str, object]) -> None:
        shown = gathered()
        if shown is not None:
            shown.note(action, detail)

    def coworkers(self) -> tuple[str, ...]:
        return ("admin@harbor", "billing@harbor")

    def was_reorganised(self) -> bool:
        return self.reorganised

    @property
    def tenant(self) -> Tenant:
        return Tenant(tenant_id=self.tenant_id, name=self.tenant_name, time_zone="America/New_York")

    @property
    def scope(self) -> SimpleNamespace:
        return SimpleNamespace(
            hash=self.scope_hash,
            figures_mark=self.scope_hash[:16],
            tenant_id=self.tenant_id,
            sees_health=self.sees_health,
            unit_ids=self.unit_ids,
            provider_id=self.provider_id,
            partner_id=None,
            is_restricted=bool(self.unit_ids or self.provider_id),
            row_tables_allowed=self.can_see_rows,
            smallest_cell=self.smallest_cell,
            identity_level="identified",
            may_extract=self.may_extract,
            deidentification="",
        )

    @property
    def follows_credentials(self) -> bool:
        return False

    @property
    def version(self) -> Version:
        return Version(
            tenant_id=self.tenant_id,
            version="20261115T060500-r1",
            published_at=self.published_at,
            run_id="r1",
            rows=self.visits.height,
            data_as_of=self.data_as_of,
        )

    def versions(self) -> tuple[Version, ...]:
        return (self.version,)

    def compare_rows(self, asked: RowsAsked, other: Reader, theirs: RowsAsked) -> RowDifference:
        return compare(
            *(
                side.drill(rows.metric, rows.where, rows.date_from, rows.date_to, limit=10_000)
                for side, rows in ((self, asked), (other, theirs))
            )
        )

    def metrics(self) -> list[MetricDefinition]:
        return [
            MetricDefinition(
                name=name,
                label=label,
                description=f"{label}, as the tests define it.",
                unit=unit,
                direction=direction,
                module=module,
                numerator=label,
                denominator="Appointments that were expected" if rule.bottom is not None else "",
                exclusions="Appointments entered in error",
                date_basis="Local day of the scheduled start",
                null_rule="Empty where nothing was expected",
                source="definition of this project",
                dimensions=DIMENSIONS,
                can_drill=unit in ("count", "usd") or name == "no_show_rate",
                out_of=OUT_OF.get(name, ""),
                matures_after_days=MATURES.get(name, (None, ""))[0],
                matures_by=MATURES.get(name, (None, ""))[1],
                known_on=KNOWN_ON.get(name, ""),
            )
            for name, (label, unit, direction, module, rule) in RULES.items()
            if module in self.modules
        ]

    def lineage(self, metric: str) -> MetricLineage | None:
        """As a version that was published before lineage was kept."""
        return None

    def tree(self) -> pl.DataFrame:
        seen = [row for row in TREE if not self.unit_ids or any(is_under(row[0], unit) for unit in self.unit_ids)]
        return pl.DataFrame(
            seen, schema=["service_unit_id", "parent_service_unit_id", "name", "unit_type", "depth"], orient="row"
        )

    def dimension_values(self, name: str, where: Mapping[str, Any] | None = None) -> pl.DataFrame:
        found = NAMES.get(name) or {str(value): str(value) for value in sorted(self.visits[name].drop_nulls().unique())}
        return pl.DataFrame(
            {"id": list(found), "name": list(found.values())}, schema={"id": pl.String, "name": pl.String}
        )

    def _rows(self, where: Mapping[str, Any], start: date | None, end: date | None) -> pl.DataFrame:
        frame = self.visits
        if start:
            frame = frame.filter(pl.col("appointment_date") >= start)
        if end:
            frame = frame.filter(pl.col("appointment_date") <= end)
        for name, value in where.items():
            values = [value] if isinstance(value, str) else list(value)
            if name == "service_unit":
                frame = frame.filter(pl.col("leaf").is_in([leaf for unit in values for leaf in below(unit)]))
            else:
                frame = frame.filter(pl.col(name).cast(pl.String).is_in(values))
        return frame

    def today(self, now: datetime, noted: Collection[str] | None = None) -> Board | None:
        """No listener has written a board."""
        return None

    def query(self, query: MetricQuery) -> pl.DataFrame:
        self.told.append(query.restated)
        self.asked += 1
        known = {metric.name for metric in self.metrics()}
        if not set(query.metrics) <= known:
            raise AccessError("not granted")
        frame = self._rows(query.where, query.date_from, query.date_to)
        if query.known_by:
            assert set(query.metrics) <= set(KNOWN_ON)
            frame = frame.filter(pl.col("answered_date") <= query.known_by)
        keys = list(query.by)
        if "service_unit_children" in keys:
            unit = str(query.where["service_unit"])
            frame = frame.with_columns(
                pl.col("leaf")
                .map_elements(lambda leaf: child_of(leaf, unit), return_dtype=pl.String)
                .alias("service_unit_children")
            )
        if "service_unit" in keys:
            frame = frame.with_columns(pl.col("leaf").alias("service_unit"))
        if query.grain:
            frame = frame.with_columns(
                pl.col("appointment_date")
                .dt.truncate({"month": "1mo", "week": "1w", "day": "1d"}[query.grain])
                .alias("metric_time")
            )
            keys.insert(0, "metric_time")
        values = []
        for name in query.metrics:
            rule = RULES[name][4]
            value = rule.top
            if rule.bottom is not None:
                value = pl.when(rule.bottom != 0).then(rule.top.cast(pl.Float64) / rule.bottom.cast(pl.Float64))
            values.append(value.alias(name))
        shares = [name for name in query.metrics if RULES[name][4].share]
        if shares and not {"payer_class", "payer"} & {*keys, *query.where}:
            values = [
                pl.lit(1.0).alias(name) if name in shares else v for name, v in zip(query.metrics, values, strict=True)
            ]
            shares = []
        answer = frame.group_by(keys).agg(values).sort(keys) if keys else frame.select(values)
        if keys and self.smallest_cell > 1:
            people = frame.group_by(keys).agg(pl.len().alias("people")).sort(keys)["people"]
            answer = answer.with_columns(
                pl.when(people >= self.smallest_cell).then(pl.col(name)).alias(name) for name in query.metrics
            )
        for name in shares:
            answer = self._shared(query, answer, name)
        for key in query.by:
            names = NAMES.get(key.removesuffix("_children"))
            if names:
                answer = answer.with_columns(pl.col(key).replace_strict(names, default=None).alias(f"{key}_name"))
        return answer

    def _shared(self, query: MetricQuery, answer: pl.DataFrame, name: str) -> pl.DataFrame:
        """The share of all payers' sum: by the other dimensions asked, without the filter by payer."""
        over = {"payer_class", "payer"}
        where = {key: value for key, value in query.where.items() if key not in over}
        rest = [key for key in query.by if key not in over]
        column = {"payer_mix_billed": "billed_amount", "payer_mix_paid": "payer_paid_amount"}[name]
        whole = self.query(replace(query, metrics=[column], by=rest, where=where, order_by=()))
        whole, column = whole.rename({column: "whole"}), "whole"
        on = [*(["metric_time"] if query.grain else []), *rest]
        joined = answer.join(whole.select(*on, column), on=on, how="left") if on else answer.join(whole, how="cross")
        divided = pl.when(pl.col(column) != 0).then(pl.col(name).cast(pl.Float64) / pl.col(column).cast(pl.Float64))
        return joined.with_columns(divided.alias(name)).drop(column)

    def drill(
        self,
        metric: str,
        where: Mapping[str, Any] | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        limit: int = 100,
        offset: int = 0,
        restated: bool = False,
        counted_only: bool = False,
        listing: Listing | None = None,
    ) -> Drill:
        self.told.append(restated)
        if not self.can_see_rows:
            raise AccessError("Your role shows figures, not the rows behind them.")
        column = {"no_shows": "no_show", "no_show_rate": "no_show", "billed_amount": "billed"}.get(metric)
        frame = self._rows(where or {}, date_from, date_to)
        base_rows = None
        if metric == "no_show_rate":
            base_rows, missed = frame.filter("expected").height, frame.filter("no_show")
            frame = missed if counted_only else frame.filter("expected")
        elif column == "no_show":
            frame = frame.filter("no_show")
        shown = ["appointment_id", "appointment_date", "leaf", "visit_type", "payer_class", "lead_time_days", "billed"]
        total = frame["billed"].sum() if column == "billed" else frame.height
        listed = frame.select(shown).rename({"leaf": "service_unit", "billed": "billed_amount"})
        asked = listing or Listing()
        if asked.search:
            texts = [pl.col(name).cast(pl.String).str.contains(asked.search, literal=True) for name in listed.columns]
            listed = listed.filter(pl.any_horizontal(texts))
        name = asked.order_by.removeprefix("-") or "appointment_id"
        return Drill(
            metric=metric,
            frame=listed.sort(name, descending=asked.order_by.startswith("-")).slice(offset, limit),
            total_rows=frame.height,
            listed_rows=listed.height,
            total_value=missed.height / base_rows if base_rows else total,
            counted_rows=missed.height if base_rows else None,
            base_rows=base_rows,
            value_column="billed_amount" if column == "billed" else None,
        )

    def rows_around(
        self,
        metric: str,
        where: Mapping[str, Any] | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        restated: bool = False,
    ) -> tuple[RowsAround, ...]:
        frame = self._rows(where or {}, date_from, date_to)
        if metric != "no_show_rate":
            return ()
        missed, expected = frame.filter("no_show").height, frame.filter("expected").height
        parts = (
            RowPart(kind="counted", words="Missed appointments", rows=missed),
            RowPart(kind="below_alone", words="The patient came", rows=expected - missed),
            RowPart(kind="left_out", words="Cancelled", rows=frame.height - expected, unripe=1),
        )
        if self.smallest_cell > 1:
            parts = tuple(
                replace(part, rows=None if (part.rows or 0) < self.smallest_cell else part.rows) for part in parts
            )
        is_whole = all(part.rows is not None for part in parts)
        return (
            RowsAround(
                metric=metric,
                label="No-show rate",
                table="fct_appointments",
                rows=frame.height if is_whole else None,
                parts=parts,
            ),
        )

    def export_rows(
        self,
        metric: str,
        where: Mapping[str, Any] | None = None,
        date_from: date | None = None,
        date_to: date | None = None,
        *,
        file_format: str,
        columns: Sequence[str] = (),
        restated: bool = False,
        counted_only: bool = False,
        listing: Listing | None = None,
    ) -> RowsFile:
        found = self.drill(
            metric,
            where,
            date_from,
            date_to,
            limit=10_000,
            restated=restated,
            counted_only=counted_only,
            listing=listing,
        )
        self.note("export", {"metric": metric, "format": file_format, "rows": found.frame.height}, "done")
        return rows_file(found.frame.select(columns) if columns else found.frame, file_format)

    def health(self) -> Health:
        return fake_health.health(stopped=self.stopped, doubted=self.doubted)

    def findings(self) -> tuple[Finding, ...]:
        return (fake_health.finding(),) if self.doubted else ()

    def refusals(self) -> pl.DataFrame:
        return fake_health.refusals(refused=self.refused)

    def alerts(self) -> pl.DataFrame:
        return fake_health.alerts(stopped=self.stopped)
