"""Closed months as one person may see them.

A frozen figure was worked out from all rows of the tenant. A person whose rows are cut down sees those figures alone that their
rows give: of service units in scope, where every unit that ever stood below them is in scope too, or of the provider they are.
Metrics of parts of the product that they may not use are absent. The records behind a change (claims, appointments) are named
to those only who see rows and identifiers; others learn the feed and the number.

    months = ClosedMonths(home, reader)
    months.closes, months.figures(close), months.restatements(close), months.causes(close)
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, Protocol

import polars as pl

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from serving.closed_months.close import read_figures, read_labels
from serving.closed_months.figures import MONTH, TOTAL
from serving.closed_months.restate import CHECKED
from serving.closed_months.restatements import Restated, read_restated
from serving.metrics.dimensions import SERVICE_UNIT
from serving.model import Tenant, Version
from serving.people.modules import sees_module
from serving.people.scope import Scope
from serving.versions.closes import CLOSES, Close, closes
from serving.versions.retention import kept_versions
from serving.versions.store import files_of

PROVIDER = "provider"
LEVELS = tuple(f"level_{level}" for level in range(1, 7))
# Dimensions whose members are service units: a member stands for itself and all below it.
UNIT_DIMENSIONS = (*LEVELS, "parent_service_unit", "business_unit", "program", "service_line", "clinic", "ward")
_NAMED = ("identified", "limited")


class SeesTenant(Protocol):
    """The parts of a Reader that are needed here."""

    tenant: Tenant
    scope: Scope

    @property
    def follows_credentials(self) -> bool: ...

    def tree(self) -> pl.DataFrame: ...


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure of a closed month as it was closed and as it is now. `causes` are rows of CAUSES, of all its changes."""

    close: Close
    metric: str
    label: str
    unit: str
    closed: Any
    now: Any
    causes: tuple[Mapping[str, Any], ...]


class ClosedMonths:
    """The closed months of the tenant, as far as the reader's person may see them."""

    def __init__(self, home: Home, reader: SeesTenant) -> None:
        self._home, self._reader = home, reader
        self._held: dict[tuple[date, int], Restated] = {}

    @cached_property
    def closes(self) -> tuple[Close, ...]:
        """Every close, reopened or not."""
        return closes(self._home, self._reader.tenant.tenant_id)

    @property
    def standing(self) -> tuple[Close, ...]:
        return tuple(close for close in self.closes if close.stands)

    def figures(self, close: Close) -> pl.DataFrame:
        """The frozen figures in scope, with `label` and `unit`."""
        return self._visible(close, read_figures(self._home, close)[0])

    def restatements(self, close: Close) -> pl.DataFrame:
        """The changes in scope, with `label` and `unit`, oldest first."""
        return self._visible(close, self._restated(close).rows).sort("restatement")

    def causes(self, close: Close) -> pl.DataFrame:
        """The causes of changes in scope; records are named to those who see rows and identifiers."""
        return self._causes_of(close, self.restatements(close))

    def _causes_of(self, close: Close, rows: pl.DataFrame) -> pl.DataFrame:
        """The causes of these changes, which are in scope, as `causes` gives them."""
        mine = rows.select("cause_set").unique()
        causes = self._restated(close).causes.join(mine, on="cause_set", how="semi").sort("cause_set", "ordinal")
        scope = self._reader.scope
        if scope.row_tables_allowed and scope.identity_level in _NAMED:
            return causes
        return causes.with_columns(record_id=pl.lit(None, dtype=pl.String))

    @property
    def stamp(self) -> str:
        """Changes whenever a month is closed, reopened or compared with a version."""
        place = self._home.path / "closes" / self._reader.tenant.tenant_id
        files = [place / name for name in (CLOSES, CHECKED)]
        return " ".join(str(path.stat().st_mtime_ns) if path.exists() else "-" for path in files)

    def changes(self, close: Close, *, unit: str | None = None) -> list[Change]:
        """What the month's figures have become in total, or for a service unit and all below it; those that differ.

        The total of a person who is a provider is that provider's.
        """
        # Most closes never change: their frozen figures need not be opened.
        if self._restated(close).rows.is_empty():
            return []
        rows = self.restatements(close).filter(pl.col("grain") == MONTH)
        own_provider = self._reader.scope.provider_id
        if unit is None and own_provider is not None:
            rows = rows.filter((pl.col("dimension") == PROVIDER) & (pl.col("member") == own_provider))
        elif unit is None:
            rows = rows.filter(pl.col("dimension") == TOTAL)
        else:
            level = self._level_of(unit)
            rows = rows.filter((pl.col("dimension") == level) & (pl.col("member") == unit))
        causes, changes = self._causes_of(close, rows), []
        for (metric,), own in rows.sort("restatement").group_by("metric", maintain_order=True):
            last = own.row(-1, named=True)
            closed, now = _value(last, "closed"), _value(last, "new")
            if closed == now:
                continue
            of_own = causes.join(own.select("cause_set").unique(), on="cause_set", how="semi")
            changes.append(
                Change(
                    close=close,
                    metric=str(metric),
                    label=last["label"],
                    unit=last["unit"],
                    closed=closed,
                    now=now,
                    causes=tuple(of_own.to_dicts()),
                )
            )
        return changes

    def _level_of(self, unit: str) -> str:
        """The level of the tree at which the member of a unit includes all units below it."""
        depths = self._reader.tree().filter(pl.col("service_unit_id") == unit)["depth"].to_list()
        return f"level_{depths[0]}" if depths and depths[0] <= len(LEVELS) else SERVICE_UNIT

    def _restated(self, close: Close) -> Restated:
        key = (close.month, close.number)
        if key not in self._held:
            self._held[key] = read_restated(self._home, close)
        return self._held[key]

    # Scope

    def _visible(self, close: Close, frame: pl.DataFrame) -> pl.DataFrame:
        scope = self._reader.scope
        words = read_labels(self._home, close)
        words = words.filter(pl.col("module").map_elements(lambda m: sees_module(scope, m), return_dtype=pl.Boolean))
        visible = frame.join(words.select("metric", "label", "unit"), on="metric", how="inner")
        if not scope.is_restricted:
            return visible
        if scope.provider_id is not None:
            mine = (pl.col("dimension") == PROVIDER) & (pl.col("member") == scope.provider_id)
            # What a close keeps of a provider is of all units.
            is_whole = not scope.unit_ids and not self._reader.follows_credentials
            return visible.filter(mine & pl.lit(is_whole))
        units = set(self._reader.tree()["service_unit_id"].to_list())
        whole = sorted(units - self._wider(close, units))
        own = (pl.col("dimension") == SERVICE_UNIT) & pl.col("member").is_in(sorted(units))
        rolled_up = pl.col("dimension").is_in(UNIT_DIMENSIONS) & pl.col("member").is_in(whole)
        return visible.filter(own | rolled_up)

    def _wider(self, close: Close, units: set[str]) -> set[str]:
        """Units below which one stood, at some time, that is not in scope: their figures hold rows of it."""
        tenant = self._reader.tenant.tenant_id
        kept = {version.version: version for version in kept_versions(self._home, tenant)}
        asked = {close.version, *self._restated(close).rows["version"].unique().to_list(), *list(kept)[-1:]}
        wider: set[str] = set()
        for name in sorted(asked & set(kept)):
            for unit, path in self._places(kept[name]):
                if unit not in units:
                    wider |= set(path.strip("/").split("/"))
        return wider

    def _places(self, version: Version) -> list[tuple[str, str]]:
        """(service unit, its path) of every place in which a unit stood, as a version knows them."""
        files = files_of(self._home, version.tenant_id, version.version)
        key = Keys.of(self._home).derive_all_hex("published", version.tenant_id)
        with duck.session(self._home) as connection:
            duck.attach(connection, files.base, alias="base", key=key, read_only=True)
            tables = connection.execute(
                "select table_name from duckdb_tables() where database_name = 'base' and "
                "table_name in ('dim_service_units', 'dim_service_unit_versions')"
            ).fetchall()
            places: list[tuple[str, str]] = []
            for (table,) in tables:
                places += connection.execute(
                    f"select service_unit_id, path from base.marts.{table} where tenant_id = $tenant",
                    {"tenant": version.tenant_id},
                ).fetchall()
        return places


def _value(row: Mapping[str, Any], which: str) -> Any:
    exact = row[f"{which}_exact"]
    return exact if exact is not None else row[f"{which}_real"]


def cause_text(cause: Mapping[str, Any]) -> str:
    """One cause in words: `remits, file 3f9c2a7b1c.835: claim K0000003 (remittance_claim), landed 2026-10-09`."""
    if cause["kind"] == "definition":
        return "the definition changed"
    if cause["kind"] == "unexplained":
        rows = f"{cause['rows']} rows differ and " if cause["rows"] else ""
        return f"{rows}nothing that arrived since explains it"
    if cause["kind"] == "more":
        return f"and {cause['rows']} more"
    record = (
        f"{cause['record_kind'].replace('_', ' ')} {cause['record_id'] or ''}".strip() if cause["record_kind"] else ""
    )
    words = {"deleted": "deleted at the source", "merged": "patients merged", "related": "by rows of the same place"}
    place = ", ".join(part for part in (cause["feed"], cause["file"]) if part)
    what = ", ".join(part for part in (record, words.get(cause["kind"], "")) if part)
    when = f", landed {cause['landed_at']:%Y-%m-%d}" if cause["landed_at"] else ""
    return f"{place}: {what} ({cause['entity']}){when}"
