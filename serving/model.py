"""What serving hands to its callers: frozen values without behaviour.

Money is Decimal, dates are dates, timestamps are UTC and aware, identifiers are strings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

import polars as pl

from foundation.errors import AccessError, ConfigurationError

_TOTAL = pl.Decimal(38, 4)
RECONCILIATION = {
    **dict.fromkeys(("feed", "entity", "measure", "step", "reason"), pl.String()),
    "total": _TOTAL,
    "counted_as": pl.String(),
}
RECONCILIATION_CHECK = {
    **dict.fromkeys(("entity", "measure", "check_name", "feed"), pl.String()),
    **dict.fromkeys(("expected", "found", "difference"), _TOTAL),
}
# What settles a figure of recent services: payers' answers to the claims, or the balance that is still open.
MATURITIES = ("answers", "money")
GRAINS = ("day", "week", "month", "quarter", "year")


class NothingPublished(AccessError):
    """The tenant has no published version yet: run the pipeline first."""


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """One tenant as its published version knows it. `time_zone` is an IANA name."""

    tenant_id: str
    name: str
    time_zone: str


@dataclass(frozen=True, kw_only=True)
class Version:
    """One published version of a tenant. `published_at` is UTC, by the clock of the machine, which may be set back.

    `number` counts the tenant's versions and orders them; versions of releases before there were numbers have 0 and are ordered
    by their names. `digests` are SHA-256 of its files. `metricflow` is the release of MetricFlow that it was published under, empty
    where that is not known. `data_as_of` is the day the data reach to; `fingerprints` tell the next run whether anything changed.
    """

    tenant_id: str
    version: str
    published_at: datetime
    run_id: str
    rows: int
    data_as_of: date | None
    fingerprints: Mapping[str, str] = field(default_factory=dict, repr=False)
    number: int = 0
    digests: Mapping[str, str] = field(default_factory=dict, repr=False)
    metricflow: str = ""

    @property
    def order(self) -> tuple[int, str]:
        """What versions of a tenant are sorted by: the later is the greater."""
        return self.number, self.version

    @property
    def version_id(self) -> str:
        """The same as `version`."""
        return self.version


@dataclass(frozen=True, kw_only=True)
class LastRun:
    """How the last pipeline run ended for a tenant.

    `outcome` is one of published, unchanged, stopped, failed; `reason` says why for the last two, else it is empty.
    """

    run_id: str
    at: datetime
    outcome: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class TenantOutcome:
    """One line of a publish report. `version` is what is served now (None: nothing yet)."""

    tenant_id: str
    outcome: str
    version: str | None
    rows: int
    seconds: float
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class PublishReport:
    """What `publish` did, a line a tenant."""

    run_id: str
    tenants: tuple[TenantOutcome, ...]

    @property
    def published(self) -> tuple[str, ...]:
        """Tenants that got a new version."""
        return tuple(line.tenant_id for line in self.tenants if line.outcome == "published")

    @property
    def stopped(self) -> tuple[str, ...]:
        """Tenants whose last version stays because an audit failed."""
        return tuple(line.tenant_id for line in self.tenants if line.outcome == "stopped")


@dataclass(frozen=True, kw_only=True)
class MetricDefinition:
    """One metric of the registry, in words.

    `unit` is usd, percent (a fraction: 0.124), count, days, minutes, hours or ratio; `direction` says what is better:
    higher, lower or neutral; `module` is the part of the product it belongs to; `variant_of` names the metric this is
    another reading of, `variants` the other readings of this one. `dimensions` are the names `by` and `where` take.
    `out_of` names the metric below the line of a ratio or share, empty where there is none.
    `matures_after_days`: so many days after a period's end the figure has settled, None where it is final at once;
    `matures_by` says what settles it earlier (answers or money, see MATURITIES), empty where age alone counts.
    `known_on` names the day on which a row began to count, such as decision_date: with it `MetricQuery.known_by` shows a figure as
    it stood at an earlier day. Empty where no such day is kept.
    """

    name: str
    label: str
    description: str
    unit: str
    direction: str
    module: str
    numerator: str = ""
    denominator: str = ""
    exclusions: str = ""
    grain: str = ""
    date_basis: str = ""
    null_rule: str = ""
    source: str = ""
    version: str = "1"
    variant_of: str | None = None
    variants: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    can_drill: bool = False
    out_of: str = ""
    matures_after_days: int | None = None
    matures_by: str = ""
    known_on: str = ""


Filter = str | Sequence[str]


@dataclass(frozen=True, kw_only=True)
class MetricQuery:
    """One question to the registry.

    `by` are dimension names; `grain` (day, week, month, quarter, year) adds the column `metric_time`, a period's first
    day; `where` maps a dimension to a value or several (any of them); `date_from` and `date_to` are inclusive.
    `order_by` names columns of the answer, a leading `-` for descending; without it rows are ordered by `metric_time`,
    then by the dimensions as asked. `restated` computes the past with the tree of service units and the payer classes of
    today; else each row counts where it stood on its day. `known_by` counts only what was known by that day (inclusive), for
    metrics that have `known_on`. Raises ConfigurationError for an unknown grain or a date range turned round.
    """

    metrics: Sequence[str]
    by: Sequence[str] = ()
    grain: str | None = None
    where: Mapping[str, Filter] = field(default_factory=dict)
    date_from: date | None = None
    date_to: date | None = None
    order_by: Sequence[str] = ()
    limit: int | None = None
    restated: bool = False
    known_by: date | None = None

    def __post_init__(self) -> None:
        if isinstance(self.metrics, str) or isinstance(self.by, str) or isinstance(self.order_by, str):
            raise ConfigurationError("metrics, by and order_by are lists of names, not one text")
        if not self.metrics:
            raise ConfigurationError("a query asks for at least one metric")
        if self.grain is not None and self.grain not in GRAINS:
            raise ConfigurationError(f"grain {self.grain!r} is not one of {', '.join(GRAINS)}")
        if self.date_from and self.date_to and self.date_from > self.date_to:
            raise ConfigurationError(f"the period ends ({self.date_to}) before it begins ({self.date_from})")
        if self.limit is not None and self.limit < 1:
            raise ConfigurationError("limit is at least 1")


@dataclass(frozen=True, kw_only=True)
class Listing:
    """Which of the rows behind a figure are listed, and in which order; the figure is that of all rows all the same.

    `search` keeps rows with the text in any column, ignoring case; `search_ids` maps a column to ids that count as found
    (those of units or payers whose names hold the text). `order_by` is a column, a leading `-` for descending, empty for the newest
    first; `order_ids` are the ids of that column in the order wanted, where it is to be sorted by names.
    """

    search: str = ""
    search_ids: Mapping[str, Sequence[str]] = field(default_factory=dict)
    order_by: str = ""
    order_ids: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class RowsFile:
    """Rows behind a figure as a file that was written for a person: its content, how many rows it holds, and its MIME type."""

    content: bytes = field(repr=False)
    rows: int
    mime: str
    extension: str


@dataclass(frozen=True, kw_only=True)
class Drill:
    """The rows behind a figure.

    `frame` is one page of rows; `total_rows` counts all of them; `total_value` is the figure itself, worked out from
    these rows alone; `value_column` names the column that adds up to it, None where rows are counted. Rows cannot add up
    to a ratio or a share: `figure_of` names the metric whose figure `total_value` is, its numerator then.
    `counted_rows` counts, for a share of rows, those above the line (no-shows among expected appointments); None otherwise.
    `base_rows` counts the rows of the whole figure, which `total_rows` does too unless only the counted ones were asked for.
    `listed_rows` are those that the search found, all of `total_rows` without one.
    `table` holds the rows; `source_key` is the column whose value `Reader.sources` takes, empty where rows add up others.
    """

    metric: str
    frame: pl.DataFrame
    total_rows: int
    total_value: object
    value_column: str | None = None
    figure_of: str = ""
    table: str = ""
    source_key: str = ""
    counted_rows: int | None = None
    base_rows: int | None = None
    listed_rows: int = 0


@dataclass(frozen=True, kw_only=True)
class RowsAsked:
    """The rows of one figure, as `Reader.drill` takes them."""

    metric: str
    where: Mapping[str, Filter] = field(default_factory=dict)
    date_from: date | None = None
    date_to: date | None = None
    restated: bool = False


@dataclass(frozen=True, kw_only=True)
class RowPart:
    """Rows that are the same to a figure. `kind` is counted (in the figure; of a rate above and below its line), repeated (of a figure
    that counts something once: further rows of it), above_alone or below_alone (on one side of the line), or left_out. `rows` is None
    where it concerns too few people to be shown. Of these, `unripe` rows are so recent that they may still count."""

    kind: str
    words: str
    rows: int | None
    unripe: int = 0


@dataclass(frozen=True, kw_only=True)
class RowsAround:
    """All rows of a table in a question's period and scope, by what they are to a metric's figure. `rows` is the sum of the parts, None
    where a part is hidden. `metric` is the figure's own, or that of one side of a ratio of two lists of rows."""

    metric: str
    label: str
    table: str
    rows: int | None
    parts: tuple[RowPart, ...]


@dataclass(frozen=True, kw_only=True)
class RowsOfSide:
    """Rows that two figures do not share: how many, what they add up to, and the first of them.

    `value` is the sum of what the figure adds up (1 for a row that is counted, 0 for one that is only in the denominator), or of what
    it averages. `frame` has the columns of a drill; for rows that both figures have with different values `mine` and `theirs`.
    """

    rows: int
    value: Decimal
    frame: pl.DataFrame


@dataclass(frozen=True, kw_only=True)
class RowDifference:
    """How the rows of two figures differ. `key` is the column that rows are matched by. `same` counts rows that both have with the
    same value. The rows and values of one side are those of `same`, of the rows only it has, and of those that differ."""

    key: str
    mine: RowsOfSide
    theirs: RowsOfSide
    only_mine: RowsOfSide
    only_theirs: RowsOfSide
    differing: RowsOfSide
    same: int


@dataclass(frozen=True, kw_only=True)
class Health:
    """The state of a tenant's data.

    `feeds`: feed_status (feed, kind, profile, last_read_at, judged_at, outcome, units_read, ... problem); `batches`: batch;
    `refused_units`: refused_unit; `quarantine`: quarantine_reason; `coverage`: feed_coverage (rows expected and received by
    day); `alerts`: feed_alert; `rhythms`: feed_rhythm; `notices`: notice_reason; `unknown_words`: unknown_word;
    `unmatched_references`: unmatched_reference;
    `remittance_matches`: remittance_match; `conflicts`: source_conflict; `deleted`: deleted_record; `visits`:
    encounter_match; `reconciliation`, `reconciliation_checks`: the bridge from source to published file and what was compared
    (`serving.publish.reconciliation`); `plausibility_rows`: plausibility_row, the rows behind the findings (`serving.plausibility`).
    The columns are those of the dbt models in schema `health`. Counts and reasons, never a record.
    """

    feeds: pl.DataFrame
    batches: pl.DataFrame
    refused_units: pl.DataFrame
    quarantine: pl.DataFrame
    coverage: pl.DataFrame
    alerts: pl.DataFrame
    rhythms: pl.DataFrame
    notices: pl.DataFrame
    unknown_words: pl.DataFrame
    unmatched_references: pl.DataFrame
    remittance_matches: pl.DataFrame
    conflicts: pl.DataFrame
    deleted: pl.DataFrame
    visits: pl.DataFrame
    reconciliation: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RECONCILIATION))
    reconciliation_checks: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=RECONCILIATION_CHECK))
    plausibility_rows: pl.DataFrame = field(default_factory=pl.DataFrame)

    def without_words(self) -> "Health":
        """Without the unknown words of senders, for people who must not see patients' identity: a word in the wrong field may be a
        name. How many rows have one, and in which field, stays."""
        return replace(self, unknown_words=self.unknown_words.with_columns(word=pl.lit(None, pl.String)))

    def of_a_part(self) -> "Health":
        """What a person who sees a part of the tenant may know: how the feeds stand, and neither rows nor money of other units."""
        whole = (
            "batches",
            "quarantine",
            "notices",
            "unmatched_references",
            "remittance_matches",
            "conflicts",
            "deleted",
            "visits",
            "reconciliation",
            "reconciliation_checks",
            "plausibility_rows",
        )
        totals = ("records_read", "records_landed", "records_quarantined", "rows_landed", "rows_quarantined")
        return replace(
            self,
            feeds=self.feeds.drop(totals, strict=False),
            **{name: getattr(self, name).clear() for name in whole},
        )


@dataclass(frozen=True, kw_only=True)
class Anonymity:
    """How well people hide in an extract. `rule` took identity out (identified: none did). Of `people`, `k` share the traits
    `quasi_identifiers` at least (k-anonymity; 0 where there is nobody), and `alone` have them for themselves."""

    rule: str
    quasi_identifiers: tuple[str, ...]
    people: int
    k: int
    alone: int


@dataclass(frozen=True, kw_only=True)
class ExtractReport:
    """An extract that was written. `key` (hexadecimal) opens it and is shown this once; it is kept nowhere. It is empty for a ZIP of
    Parquet files, and `path` for an extract that was made for a page."""

    path: str
    version: str
    tables: Mapping[str, int]
    key: str = field(repr=False)
    anonymity: Anonymity

    @property
    def rows(self) -> int:
        """Rows of all tables, the dictionary left out."""
        return sum(self.tables.values())
