"""What people set, without a database: the same API as `ScopedTargets`, `ScopedAnnotations` and `Worklists`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from foundation.errors import ConfigurationError
from serving.annotations import Automatic, check_sentence
from serving.forecasts.record import Scored
from serving.forecasts.view import Current
from serving.model import MetricDefinition
from serving.people.annotations import Annotation
from serving.people.forecast_log import Forecast, Issue
from serving.people.targets import ADDITIVE_UNITS, WHOLE, Target, TargetTable
from serving.people.work_entries import Entry
from serving.worklists.lists import DONE, LISTS
from serving.worklists.work import TO_DO, Due, Work
from tests.dashboards.fake_visits import PARENT


@dataclass
class FakeTargets:
    """Targets of harbor, set by its administrator."""

    may_set: bool = True
    kept: list[Target] = field(default_factory=list)

    def versions(self) -> tuple[Target, ...]:
        return tuple(self.kept)

    def in_force(self, metric: MetricDefinition, service_unit: str | None, on: date) -> Target | None:
        path, unit = [], service_unit
        while unit:
            path.append(unit)
            unit = PARENT[unit]
        path = [*path, WHOLE]
        path = path[:1] if metric.unit in ADDITIVE_UNITS and len(path) > 2 else path
        return TargetTable(self.kept).in_force(metric.name, path, on)

    def set(self, metric: str, service_unit: str | None, valid_from: date, value: Decimal | None) -> None:
        self.kept.append(
            Target(
                tenant_id="harbor",
                metric=metric,
                service_unit_id=service_unit or WHOLE,
                valid_from=valid_from,
                value=value,
                set_by="admin@harbor",
                set_at=datetime(2026, 11, 15, tzinfo=UTC),
            )
        )


@dataclass
class FakeAnnotations:
    """Annotations of harbor, written by its administrator. `moved` follows from the data."""

    may_read: bool = True
    may_write: bool = True
    kept: list[Annotation] = field(default_factory=list)
    moved: tuple[Automatic, ...] = ()
    asked: int = 0

    def standing(self) -> tuple[Annotation, ...]:
        self.asked += 1
        return tuple(self.kept)

    def automatic(self) -> tuple[Automatic, ...]:
        return self.moved

    def path(self, service_unit: str) -> tuple[str, ...]:
        path: list[str] = []
        unit: str | None = service_unit
        while unit:
            path.insert(0, unit)
            unit = PARENT[unit]
        return tuple(path)

    def may_change(self, annotation: Annotation) -> bool:
        return annotation.author == "admin@harbor"

    def add(self, annotation: Annotation) -> Annotation:
        check_sentence(annotation.sentence)
        number = f"{len(self.kept) + 1:08x}"
        made = replace(annotation, annotation_id=number, author="admin@harbor", set_by="admin@harbor")
        self.kept.append(made)
        return made

    def change(self, annotation_id: str, annotation: Annotation) -> None:
        own = replace(annotation, annotation_id=annotation_id, author="admin@harbor", set_by="admin@harbor")
        self.kept = [own if item.annotation_id == annotation_id else item for item in self.kept]

    def remove(self, annotation_id: str) -> None:
        self.kept = [item for item in self.kept if item.annotation_id != annotation_id]


@dataclass
class FakeWorklists:
    """Lists over the rows that `rows_of` gives for filters and days. `names` are those that the person works on."""

    names: tuple[str, ...] = ()
    kept: list[Entry] = field(default_factory=list)
    kept_due: tuple[Due, ...] = ()
    rows_of: Callable[..., Any] = lambda *_: pl.DataFrame()

    def work(
        self, name: str, service_unit: str | None, today: date, *, show: str = TO_DO, limit: int = 25, offset: int = 0
    ) -> Work:
        """Denied claims of the fake visits, with what was set on them; nothing is ever solved."""
        item = LISTS[name]
        frame = self.rows_of({"service_unit": service_unit} if service_unit else {}, None, None).filter(
            pl.col("denied")
        )
        frame = frame.sort("billed", "appointment_id", descending=[True, False])
        standing = {entry.row_id: entry for entry in self.kept}
        entries = [standing.get(row_id, Entry(row_id=row_id, state="open")) for row_id in frame["appointment_id"]]
        rows = frame.select(
            pl.col("appointment_id").alias("row_id"),
            pl.col("billed").alias("amount"),
            pl.col("appointment_date").alias("decision_date"),
            pl.col("appointment_date").alias("service_date"),
            pl.col("leaf").alias("service_unit_id"),
            pl.col("payer").alias("payer_id"),
            "denial_category",
            pl.lit("CO-197").alias("carc"),
            *(
                pl.Series(column, [getattr(entry, column) for entry in entries], dtype=kind)
                for column, kind in (
                    ("state", pl.String),
                    ("owner", pl.String),
                    ("outcome", pl.String),
                    ("note", pl.String),
                    ("due", pl.Date),
                )
            ),
        )
        chosen = rows.filter((pl.col("state") == DONE) if show == "worked" else (pl.col("state") != DONE))
        return Work(
            work_list=item,
            rows=chosen.slice(offset, limit),
            shown_rows=chosen.height,
            open_rows=rows.height,
            open_amount=rows["amount"].sum(),
            mine=0,
            due_soon=0,
            since=today,
            worked=len([entry for entry in standing.values() if entry.state == DONE]),
            solved=0,
            recovered=Decimal(0),
        )

    def due(self, today: date) -> tuple[Due, ...]:
        return self.kept_due

    def set(self, name: str, entry: Entry) -> None:
        if entry.state == DONE and not entry.outcome:
            raise ConfigurationError("a row that is done needs an outcome")
        self.kept.append(entry)


@dataclass
class FakeForecasts:
    """Forecasts of harbor. Without `may_see` the page is absent."""

    may_see: bool = False
    issue: Issue | None = None
    kept: tuple[Forecast, ...] = ()
    outcomes: tuple[Scored, ...] = ()

    def newest(self) -> Issue | None:
        return self.issue

    def current(self) -> Current | None:
        return Current(issue=self.issue, forecasts=self.kept) if self.issue else None

    def scored(self) -> tuple[Scored, ...]:
        return self.outcomes
