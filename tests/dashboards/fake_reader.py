"""A reader without a warehouse: the same API as `serving.reader.Reader` over frames made here, with life in them.

Units: Harbor Health -> Primary Care (Elm Street, Dock Road) and Behavioral (Bayview), Inpatient (Ward 3). No-shows jump
at Bayview in the last full quarter; one payer's denials rise in the same months. Deterministic.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import polars as pl

from foundation.errors import AccessError, ConfigurationError
from serving.lineage.metric import MetricLineage
from serving.model import (
    Drill,
    Health,
    LastRun,
    Listing,
    MetricDefinition,
    MetricQuery,
    RowDifference,
    RowsAsked,
    RowsFile,
    Tenant,
    Version,
)
from serving.modules import MODULES
from serving.people.shown import gathered
from serving.people.targets import ADDITIVE_UNITS, WHOLE, Target, TargetTable
from serving.people.work_entries import Entry
from serving.plausibility import Finding
from serving.reader import Reader
from serving.rows.compare import compare
from serving.rows.export import rows_file
from serving.worklists.lists import DONE, LISTS
from serving.worklists.work import TO_DO, Due, Work

AS_OF = date(2026, 11, 14)
START = date(2025, 1, 1)
TREE = [
    ("org", None, "Harbor Health", "organization", 0),
    ("primary", "org", "Primary Care", "business_unit", 1),
    ("elm", "primary", "Elm Street Clinic", "clinic", 2),
    ("dock", "primary", "Dock Road Clinic", "clinic", 2),
    ("behavioral", "org", "Harbor Behavioral", "business_unit", 1),
    ("bayview", "behavioral", "Bayview Clinic", "clinic", 2),
    ("north", "behavioral", "North Pier Clinic", "clinic", 2),
    ("surgery", "org", "Specialty & Surgery", "business_unit", 1),
    ("imaging", "surgery", "Imaging Center", "clinic", 2),
]
LEAVES = ("elm", "dock", "bayview", "north", "imaging")
PROVIDERS = {leaf: [f"{leaf}-{n}" for n in range(1, 4)] for leaf in LEAVES}
PEOPLE = (
    "Okafor",
    "Lindqvist",
    "Marsh",
    "Ibarra",
    "Chen",
    "Novak",
    "Reyes",
    "Haddad",
    "Stone",
    "Silva",
    "Byrne",
    "Kaur",
    "Ito",
    "Weiss",
    "Adler",
)
PROVIDER_NAMES = {pid: f"Dr. {PEOPLE[i]}" for i, pid in enumerate(pid for ids in PROVIDERS.values() for pid in ids)}
CLASSES = ("commercial", "medicare", "medicaid", "medicare_advantage", "self_pay", "tricare", "workers_compensation")
CLASS_WEIGHTS = (41, 22, 16, 10, 6, 3, 2)
PAYERS = {
    "commercial": "Northwind Health",
    "medicare": "Medicare",
    "medicaid": "State Medicaid",
    "medicare_advantage": "Anchor Advantage",
    "self_pay": "Self-pay",
    "tricare": "Tricare East",
    "workers_compensation": "Harbor Comp",
}
VISIT_TYPES = {"new": "New patient", "follow_up": "Follow-up", "therapy": "Therapy session", "procedure": "Procedure"}
BANDS = ("0 same day", "1 to 7", "8 to 14", "15 to 30", "31 to 60", "61 and more")
CATEGORIES = (
    "Eligibility",
    "Authorization",
    "Coding",
    "Timely filing",
    "Duplicate",
    "Medical necessity",
    "Missing information",
)


def _visits() -> pl.DataFrame:
    """One row per appointment, completed ones with an encounter and a charge."""
    rng = random.Random(20261114)
    rows = []
    day = START
    number = 0
    while day <= AS_OF + timedelta(days=20):
        season = 1 + 0.1 * math.sin(day.timetuple().tm_yday / 58)
        jump = date(2026, 7, 1) <= day <= date(2026, 9, 30)
        for leaf in LEAVES:
            if day.isoweekday() > 5:
                continue
            for _ in range(int(rng.gauss(7, 1.5) * season) + (2 if leaf in ("elm", "dock") else 0)):
                number += 1
                hour = min(max(int(rng.gauss(12.5, 2.7)), 8), 17)
                payer = rng.choices(CLASSES, CLASS_WEIGHTS)[0]
                band = rng.choice(BANDS)
                risk = 0.06 + 0.015 * BANDS.index(band) + (0.03 if hour < 9 else 0)
                risk += 0.07 if leaf == "bayview" else 0
                risk += 0.11 if leaf == "bayview" and jump else 0
                past = day <= AS_OF
                cancelled = past and rng.random() < 0.09
                no_show = past and not cancelled and rng.random() < risk
                done = past and not cancelled and not no_show
                billed = Decimal(rng.randint(9_000, 60_000)) / 100 if done else Decimal(0)
                old = (AS_OF - day).days
                denied = (
                    done
                    and payer != "self_pay"
                    and rng.random() < (0.07 + (0.12 if payer == "medicaid" and jump else 0))
                )
                answered = done and rng.random() < min(old / 60, 0.97)
                adjusted = (
                    (billed * Decimal("0.34")).quantize(Decimal("0.01")) if answered and not denied else Decimal(0)
                )
                paid = (billed * Decimal("0.52")).quantize(Decimal("0.01")) if answered and not denied else Decimal(0)
                patient = (billed - adjusted - paid) if answered and not denied and rng.random() < 0.8 else Decimal(0)
                rows.append(
                    {
                        "appointment_id": f"A{number:06d}",
                        "appointment_date": day,
                        "weekday": day.isoweekday(),
                        "hour_of_day": hour,
                        "leaf": leaf,
                        "provider": rng.choice(PROVIDERS[leaf]),
                        "payer_class": payer,
                        "payer": payer,
                        "visit_type": rng.choice(list(VISIT_TYPES)),
                        "lead_time_band": band,
                        "lead_time_days": float([0, 4, 11, 22, 44, 80][BANDS.index(band)]),
                        "patient": f"P{rng.randint(1, 4000)}",
                        "expected": past and not cancelled,
                        "past": past,
                        "cancelled": cancelled,
                        "late_cancel": cancelled and rng.random() < 0.4,
                        "no_show": no_show,
                        "done": done,
                        "cycle": rng.gauss(52, 11) + (9 if hour in (10, 11, 15) else 0) if done else None,
                        "wait": abs(rng.gauss(13, 5)) + (8 if hour in (10, 11, 15) else 0) if done else None,
                        "billed": billed,
                        "paid": paid,
                        "patient_paid": patient,
                        "adjusted": adjusted,
                        "open": billed - adjusted - paid - patient,
                        "answered": answered,
                        "answered_date": day + timedelta(days=min(number % 60, max(old, 0))),
                        "denied": answered and denied,
                        "denial_category": rng.choices(CATEGORIES, (30, 24, 14, 9, 7, 6, 3))[0]
                        if answered and denied
                        else None,
                        "ageing_bucket": "0-30"
                        if old <= 30
                        else "31-60"
                        if old <= 60
                        else "61-90"
                        if old <= 90
                        else "91-120"
                        if old <= 120
                        else "over 120",
                    }
                )
        day += timedelta(days=1)
    return pl.DataFrame(rows, infer_schema_length=None)


@dataclass(frozen=True)
class Rule:
    """A fake metric: numerator, denominator (None: a sum or a count); a share divides by the same over all payers."""

    top: pl.Expr
    bottom: pl.Expr | None = None
    share: bool = False


def _count(name: str) -> pl.Expr:
    return pl.col(name).sum()


RULES: dict[str, tuple[str, str, str, str, Rule]] = {
    "appointments": ("Appointments", "count", "neutral", "no_show", Rule(pl.len())),
    "expected_appointments": ("Expected appointments", "count", "neutral", "no_show", Rule(_count("expected"))),
    "completed_appointments": ("Completed appointments", "count", "higher", "no_show", Rule(_count("done"))),
    "no_shows": ("No-shows", "count", "lower", "no_show", Rule(_count("no_show"))),
    "no_show_rate": ("No-show rate", "percent", "lower", "no_show", Rule(_count("no_show"), _count("expected"))),
    "late_cancel_rate": (
        "Late-cancellation rate",
        "percent",
        "lower",
        "no_show",
        Rule(_count("late_cancel"), _count("past")),
    ),
    "cancel_rate": ("Cancellation rate", "percent", "lower", "no_show", Rule(_count("cancelled"), _count("past"))),
    "lead_time_days": (
        "Lead time, mean (from booking)",
        "days",
        "lower",
        "no_show",
        Rule(pl.col("lead_time_days").sum(), pl.len()),
    ),
    "encounters": ("Encounters", "count", "higher", "throughput", Rule(_count("done"))),
    "patients": (
        "Patients",
        "count",
        "higher",
        "throughput",
        Rule(pl.col("patient").filter(pl.col("done")).n_unique()),
    ),
    "cycle_time_minutes": (
        "Cycle time, mean",
        "minutes",
        "lower",
        "throughput",
        Rule(pl.col("cycle").sum(), pl.col("cycle").count()),
    ),
    "wait_time_minutes": (
        "Wait for a room, mean",
        "minutes",
        "lower",
        "throughput",
        Rule(pl.col("wait").sum(), pl.col("wait").count()),
    ),
    "billed_amount": ("Billed", "usd", "neutral", "revenue_cycle", Rule(_count("billed"))),
    "payer_paid_amount": ("Paid by payers", "usd", "higher", "revenue_cycle", Rule(_count("paid"))),
    "patient_paid_amount": ("Paid by patients", "usd", "higher", "revenue_cycle", Rule(_count("patient_paid"))),
    "adjusted_amount": ("Adjusted", "usd", "neutral", "revenue_cycle", Rule(_count("adjusted"))),
    "open_balance": ("Open balance", "usd", "lower", "revenue_cycle", Rule(_count("open"))),
    "remitted_claims": ("Answered claims", "count", "neutral", "revenue_cycle", Rule(_count("answered"))),
    "claims": ("Claims", "count", "neutral", "revenue_cycle", Rule(_count("done"))),
    "denied_billed_amount": (
        "Billed on denied claims",
        "usd",
        "lower",
        "revenue_cycle",
        Rule(pl.col("billed").filter(pl.col("denied")).sum()),
    ),
    "first_decided_amount": (
        "Billed on decided claims",
        "usd",
        "neutral",
        "revenue_cycle",
        Rule(pl.col("billed").filter(pl.col("answered")).sum()),
    ),
    "denied_claims": ("Denied claims", "count", "lower", "revenue_cycle", Rule(_count("denied"))),
    "denial_rate": ("Denial rate", "percent", "lower", "revenue_cycle", Rule(_count("denied"), _count("answered"))),
    "net_collection_rate": (
        "Net collection rate",
        "percent",
        "higher",
        "revenue_cycle",
        Rule(_count("paid") + _count("patient_paid"), _count("billed") - _count("adjusted")),
    ),
    "ar_over_90_rate": (
        "Open balance over 90 days",
        "percent",
        "lower",
        "revenue_cycle",
        Rule(pl.col("open").filter(pl.col("ageing_bucket").is_in(["91-120", "over 120"])).sum(), _count("open")),
    ),
    "payer_mix_billed": (
        "Share of what is billed",
        "percent",
        "neutral",
        "payer_mix",
        Rule(_count("billed"), share=True),
    ),
    "payer_mix_paid": (
        "Share of what payers paid",
        "percent",
        "neutral",
        "payer_mix",
        Rule(_count("paid"), share=True),
    ),
}
# What a rate is counted from, and when a figure has settled, as metrics say it in their definitions.
OUT_OF = {"no_show_rate": "expected_appointments", "denial_rate": "remitted_claims"}
KNOWN_ON = dict.fromkeys(
    ("denial_rate", "remitted_claims", "denied_billed_amount", "first_decided_amount"), "answered_date"
)
MATURES = {
    "denial_rate": (60, "answers"),
    "denied_billed_amount": (60, "answers"),
    "first_decided_amount": (60, "answers"),
    "net_collection_rate": (120, "money"),
    "payer_paid_amount": (120, "money"),
    "patient_paid_amount": (120, "money"),
}
DIMENSIONS = (
    "service_unit",
    "provider",
    "payer",
    "payer_class",
    "visit_type",
    "weekday",
    "hour_of_day",
    "lead_time_band",
    "denial_category",
    "ageing_bucket",
)
_PARENT = {row[0]: row[1] for row in TREE}
NAMES = {
    "service_unit": {row[0]: row[2] for row in TREE},
    "provider": PROVIDER_NAMES,
    "payer": PAYERS,
    "visit_type": VISIT_TYPES,
}


def below(unit: str) -> list[str]:
    """Leaves at or below a unit."""

    def under(leaf: str | None) -> bool:
        return leaf is not None and (leaf == unit or under(_PARENT[leaf]))

    return [leaf for leaf in LEAVES if under(leaf)] if unit in _PARENT else [unit]


def _is_under(node: str | None, unit: str) -> bool:
    return node is not None and (node == unit or _is_under(_PARENT[node], unit))


def child_of(leaf: str, unit: str) -> str:
    """The direct child of `unit` on the way to a leaf; the leaf itself where it is the unit."""
    at = leaf
    while _PARENT[at] not in (unit, None) and at != unit:
        at = str(_PARENT[at])
    return at


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
    visits: pl.DataFrame = field(default_factory=_visits)
    data_as_of: date | None = AS_OF
    published_at: datetime = datetime(2026, 11, 15, 6, 5, tzinfo=UTC)
    last_run: LastRun | None = PUBLISHED
    asked: int = 0
    may_set_targets: bool = True
    kept_targets: list[Target] = field(default_factory=list)
    works_on: tuple[str, ...] = ()
    kept_work: list[Entry] = field(default_factory=list)
    kept_due: tuple[Due, ...] = ()
    stopped: bool = False
    doubted: bool = False
    refused: bool = False
    reorganised: bool = False
    told: list[bool] = field(default_factory=list)
    unit_ids: tuple[str, ...] = ()
    provider_id: str | None = None
    smallest_cell: int = 1
    # (action, detail, result) of what would be audited.
    noted: list[tuple[str, Mapping[str, object], str]] = field(default_factory=list)

    def note(
        self, action: str, detail: Mapping[str, object], result: str, *, further: Sequence[Mapping[str, object]] = ()
    ) -> None:
        self.noted.append((action, detail, result))

    def saw(self, action: str, detail: Mapping[str, object]) -> None:
        shown = gathered()
        if shown is not None:
            shown.note(action, detail)

    def target_versions(self) -> tuple[Target, ...]:
        return tuple(self.kept_targets)

    def target(self, metric: MetricDefinition, service_unit: str | None, on: date) -> Target | None:
        path, unit = [], service_unit
        while unit:
            path.append(unit)
            unit = _PARENT[unit]
        path = [*path, WHOLE]
        path = path[:1] if metric.unit in ADDITIVE_UNITS and len(path) > 2 else path
        return TargetTable(self.kept_targets).in_force(metric.name, path, on)

    def set_target(self, metric: str, service_unit: str | None, valid_from: date, value: Decimal | None) -> None:
        self.kept_targets.append(
            Target(
                tenant_id=self.tenant_id,
                metric=metric,
                service_unit_id=service_unit or WHOLE,
                valid_from=valid_from,
                value=value,
                set_by="admin@harbor",
                set_at=datetime(2026, 11, 15, tzinfo=UTC),
            )
        )

    @property
    def worklists(self) -> tuple[str, ...]:
        return self.works_on

    def worklist(
        self, name: str, service_unit: str | None, today: date, show: str = TO_DO, limit: int = 25, offset: int = 0
    ) -> Work:
        """Denied claims of the fake visits, with what was set on them; nothing is ever solved."""
        item = LISTS[name]
        frame = self._rows({"service_unit": service_unit} if service_unit else {}, None, None).filter(pl.col("denied"))
        frame = frame.sort("billed", "appointment_id", descending=[True, False])
        standing = {entry.row_id: entry for entry in self.kept_work}
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

    def due_work(self, today: date) -> tuple[Due, ...]:
        return self.kept_due

    def set_work(self, name: str, entry: Entry) -> None:
        if entry.state == DONE and not entry.outcome:
            raise ConfigurationError("a row that is done needs an outcome")
        self.kept_work.append(entry)

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
            tenant_id=self.tenant_id,
            sees_health=self.sees_health,
            unit_ids=self.unit_ids,
            provider_id=self.provider_id,
            is_restricted=bool(self.unit_ids or self.provider_id),
            row_tables_allowed=self.can_see_rows,
            smallest_cell=self.smallest_cell,
            identity_level="identified",
        )

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
        seen = [row for row in TREE if not self.unit_ids or any(_is_under(row[0], unit) for unit in self.unit_ids)]
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
        if query.grain:
            frame = frame.with_columns(
                pl.col("appointment_date").dt.truncate({"month": "1mo", "day": "1d"}[query.grain]).alias("metric_time")
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
        at = datetime(2026, 11, 15, 5, 58, tzinfo=UTC)
        feeds = [
            ("pm", "pm_database", "clinicmart", "landed", 30210, 30180, 30, 0, None),
            ("ehr", "fhir", "synthea", "landed", 18044, 18044, 0, 0, None),
            ("remits", "x12", None, "partly", 9120, 9100, 20, 1, "1 of 14 files refused"),
            ("adt", "hl7v2", None, "landed", 4410, 4402, 8, 0, None),
        ]
        return Health(
            feeds=pl.DataFrame(
                [
                    {
                        "feed": f,
                        "kind": k,
                        "profile": p,
                        "last_read_at": at,
                        "outcome": o,
                        "units_read": 10,
                        "units_refused": u,
                        "records_read": r,
                        "records_landed": la,
                        "records_quarantined": q,
                        "rows_landed": la * 2,
                        "rows_quarantined": q,
                        "newest_record_at": at - timedelta(hours=9),
                        "problem": problem,
                    }
                    for f, k, p, o, r, la, q, u, problem in feeds
                ]
            ),
            batches=pl.DataFrame(
                [
                    {
                        "feed": f[0],
                        "entity": e,
                        "batch_id": f"b{n}",
                        "run_id": "r1",
                        "landed_at": at,
                        "rows_read": 900 + n,
                        "rows_landed": 897 + n,
                        "rows_quarantined": 3,
                    }
                    for n, (f, e) in enumerate((f, e) for f in feeds for e in ("appointment", "claim", "encounter"))
                ]
            ),
            refused_units=pl.DataFrame(
                [
                    {
                        "feed": "remits",
                        "unit": "file 51571bd6c9.835",
                        "position": "segment 412",
                        "code": "CM-X12-041",
                        "problem": "The interchange ends in the middle of a claim.",
                        "remedy": "Ask the clearinghouse to send the file again.",
                        "refused_at": at,
                    }
                ]
            ),
            quarantine=pl.DataFrame(
                [
                    {
                        "feed": "pm",
                        "entity": "appointment",
                        "reason": "starts before 1990",
                        "column_name": "starts_at",
                        "rows": 30,
                    },
                    {
                        "feed": "remits",
                        "entity": "remittance_claim",
                        "reason": "the claim does not balance",
                        "column_name": "paid_amount",
                        "rows": 20,
                    },
                    {
                        "feed": "adt",
                        "entity": "encounter",
                        "reason": "no visit number",
                        "column_name": "encounter_id",
                        "rows": 8,
                    },
                ]
            ),
            coverage=_coverage(self.stopped),
            alerts=self.alerts().drop("entities"),
            rhythms=pl.DataFrame(
                [
                    ("pm", "daily", None, 900, AS_OF),
                    ("ehr", "daily", None, 500, AS_OF),
                    ("remits", "daily", None, 160, date(2026, 11, 5) if self.stopped else AS_OF),
                    ("adt", "unknown", None, None, AS_OF),
                ],
                schema={"feed": str, "rhythm": str, "period_days": int, "usual_rows": int, "newest_day": date},
                orient="row",
            ),
            notices=pl.DataFrame(
                [
                    (
                        "remits",
                        "balance_does_not_hold",
                        "paid and adjusted do not make the charge",
                        14,
                        "unit 3: CLP 2",
                    ),
                    ("ehr", "reference_unresolved", "Encounter.subject names no Patient", 6, "unit 1: line 40"),
                    ("ehr", "reference_unresolved", "Encounter.location names no Location", 2, "unit 1: line 90"),
                    ("acks", "transaction_accepted", "transaction 837 was accepted", 900, "unit 4: segment 3"),
                    ("adt", "something_new", "a word nobody explained", 1, "unit 2: segment 9"),
                ],
                schema=["feed", "reason", "detail", "rows", "first_position"],
                orient="row",
            ),
            unknown_words=pl.DataFrame(
                [
                    (
                        "adt",
                        "appointment",
                        "status",
                        "SCH-25",
                        "BUMPED",
                        "unknown",
                        31,
                        "appointment_statuses",
                        "unit 2: message 9",
                    ),
                    (
                        "remits",
                        "remittance_claim",
                        "claim_status_code",
                        "CLP02",
                        "99",
                        "",
                        4,
                        "claim_statuses",
                        "unit 3: CLP 7",
                    ),
                ],
                schema=[
                    "feed",
                    "entity",
                    "column_name",
                    "field",
                    "word",
                    "became",
                    "rows",
                    "profile_key",
                    "first_position",
                ],
                orient="row",
            ),
            unmatched_references=pl.DataFrame(
                [("ehr", "appointment", "provider_id", "provider", 18000, 240, 3)],
                schema=[
                    "feed",
                    "entity",
                    "column_name",
                    "referenced_entity",
                    "rows_with_reference",
                    "unmatched_rows",
                    "unmatched_ids",
                ],
                orient="row",
            ),
            remittance_matches=pl.DataFrame(
                [
                    ("remits", "claim", "claim_id", True, 5000, Decimal("900000.00"), Decimal("500000.00")),
                    ("remits", "claim", "none", False, 12, Decimal("4100.00"), Decimal("2210.50")),
                    ("remits", "line", "line_control_number", True, 9000, Decimal("890000.00"), Decimal("495000.00")),
                    ("remits", "line", "claim", False, 31, Decimal("7000.00"), Decimal("3000.00")),
                ],
                schema=[
                    "feed",
                    "level",
                    "match_method",
                    "is_matched",
                    "records",
                    "billed_amount",
                    "payer_paid_amount",
                ],
                orient="row",
            ),
            conflicts=pl.DataFrame(
                [("encounter", "status", "pm", "ehr", 7)],
                schema=["entity", "column_name", "record_feed", "other_feed", "keys_in_conflict"],
                orient="row",
            ),
            visits=pl.DataFrame(
                {"match_rule": ["appointment", "time"], "outcome": ["matched", "ambiguous"], "encounters": [312, 4]}
            ),
            plausibility_rows=pl.DataFrame(
                [
                    (
                        "CM-PLAUS-001",
                        "adt",
                        "claims",
                        "charge",
                        1,
                        "unit 7: message 2",
                        date(2026, 10, 5),
                        1,
                        Decimal("200.00"),
                    )
                ]
                if self.doubted
                else [],
                schema={
                    "code": pl.String,
                    "feed": pl.String,
                    "other_feed": pl.String,
                    "entity": pl.String,
                    "row_rank": pl.Int64,
                    "source_position": pl.String,
                    "found_day": pl.Date,
                    "found_rows": pl.Int64,
                    "found_amount": pl.Decimal(18, 4),
                },
                orient="row",
            ),
            deleted=pl.DataFrame(
                [("pm", "appointment", "reported", 3)], schema=["feed", "entity", "found_by", "records"], orient="row"
            ),
        )

    def findings(self) -> tuple[Finding, ...]:
        found = Finding(
            code="CM-PLAUS-001",
            title="Two feeds bill the same services",
            meaning="No number links them, so the services may be counted twice.",
            remedy="Ask the sender for the visit number.",
            feed="adt",
            other_feed="claims",
            entity="charge",
            rows=12,
            amount=Decimal("2400.00"),
            first_day=date(2026, 8, 5),
            last_day=date(2026, 11, 2),
            entities=("charge", "claim", "claim_line"),
            metrics=("billed_amount", "net_collection_rate", "open_balance"),
        )
        return (found,) if self.doubted else ()

    def refusals(self) -> pl.DataFrame:
        rows = [{"feed": "remits", "files": 1, "entities": ["remittance", "remittance_adjustment", "remittance_claim"]}]
        schema = {"feed": pl.String, "files": pl.Int64, "entities": pl.List(pl.String)}
        return pl.DataFrame(rows if self.refused else [], schema=schema)

    def alerts(self) -> pl.DataFrame:
        rows = [
            {
                "feed": "remits",
                "kind": "stopped",
                "since": date(2026, 11, 6),
                "newest_day": date(2026, 11, 5),
                "message": "Feed remits stopped: no rows have arrived for 6 Nov 2026 or any later day; about 160 rows a day are usual.",
                "entities": ["remittance", "remittance_claim", "remittance_line"],
            }
        ]
        schema = {"feed": pl.String, "kind": pl.String, "since": pl.Date, "newest_day": pl.Date, "message": pl.String}
        return pl.DataFrame(rows if self.stopped else [], schema=schema | {"entities": pl.List(pl.String)})


def _coverage(stopped: bool) -> pl.DataFrame:
    """Eight weeks of four feeds; remits stops on 6 November, adt is not known yet."""
    rng = random.Random(3)
    rows = []
    for feed, usual in (("pm", 900), ("ehr", 500), ("remits", 160), ("adt", 40)):
        for ago in range(55, -1, -1):
            day = AS_OF - timedelta(days=ago)
            is_open = day.isoweekday() <= 5
            received = int(rng.gauss(usual, usual * 0.06)) if is_open else 0
            status = "as_expected" if is_open else "closed_day"
            expected = usual if is_open else 0
            if feed == "remits" and stopped and day >= date(2026, 11, 6):
                received, status = 0, "missing" if is_open else "closed_day"
            known = feed != "adt"
            rows.append(
                {
                    "feed": feed,
                    "day": day,
                    "expected": expected if known else None,
                    "low": int(expected * 0.75) if known else None,
                    "high": int(expected * 1.25) + 4 if known else None,
                    "received": received,
                    "status": status if known else "not_yet_known",
                }
            )
    return pl.DataFrame(rows)
