"""Why figures of a closed month changed: from the rows that differ to what arrived since, to feed, file and record.

The rows of a fact that differ between the version compared last and the served one are found by value (`source_position` and
the like do not count). Behind each of them stand the raw rows of the same claim, appointment or encounter that were landed
after the earlier version: their feed, the file (the unit of the ledger, shown as its mark) and the record. In this order:

    late         raw rows of the record arrived later: the claim first, then appointment, encounter, other identifiers
    deleted      the source deleted the record
    merged       the patient was merged with another, or un-merged
    related      a fact without own records (balances, mixes): rows of the same place and payer that have such causes
    reference    the payer, provider, service unit or visit type that the row names was changed
    definition   the metric, or the SQL of a model behind it, is another one than before
    unexplained  rows differ and nothing that arrived since explains it: a setting, or time itself

Records are identifiers of claims, appointments and encounters, never of patients.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date

import polars as pl

from foundation import duck
from foundation.home import Home
from foundation.keys import Keys
from serving.closed_months.figures import KEY, NONE, TOTAL, Whole
from serving.metrics.dimensions import Fact
from serving.metrics.registry import RegistryMetric
from serving.modules import MODULES
from serving.versions.closes import last_day
from serving.versions.store import files_of

# (unit identifiers) -> unit identifier to the mark of its file.
FileMarks = Callable[[Sequence[int]], Mapping[int, str]]
CAUSES: dict[str, pl.DataType | type[pl.DataType]] = {
    "cause_set": pl.String,
    "ordinal": pl.Int64,
    **dict.fromkeys(("kind", "feed", "file", "entity", "record_kind", "record_id"), pl.String),
    "landed_at": pl.Datetime("us"),
    "rows": pl.Int64,
}
SHOWN = 10
KINDS = ("definition", "late", "deleted", "merged", "related", "reference", "unexplained", "more")
# What people call a thing comes first; of other identifiers the first by name.
_RECORDS = ("claim_id", "appointment_id", "encounter_id", "charge_id", "remittance_claim_id", "remittance_id")
_REFERENCES = {
    "payer_id": ("payer", "contract_rate"),
    "provider_id": ("provider", "provider_service_unit"),
    "service_unit_id": ("service_unit", "service_unit_placement"),
    "visit_type_id": ("visit_type",),
}
_NO_RECORD = frozenset(
    {*_REFERENCES, "tenant_id", "patient_id", "destination_payer_id", "batch_id", "source_record_id"}
)
# Raw rows bear claim numbers; these marts tell the claim of a raw row by its own identifier.
_CLAIM_OF = {
    "claim": ("fct_claim_submissions", "claim_submission_id"),
    "claim_line": ("fct_claim_submissions", "claim_submission_id"),
    "charge": ("fct_charge_lines", "charge_id"),
    "remittance_claim": ("fct_remittance_claims", "remittance_claim_id"),
    "remittance_line": ("fct_remittance_claims", "remittance_claim_id"),
    "remittance_adjustment": ("fct_remittance_claims", "remittance_claim_id"),
}
_PLACES = ("service_unit_id", "provider_id", "payer_id", "visit_type_id")
_NO_VALUE = frozenset({"source_position", "source_record_id", "source_system", "batch_id", "batch_sequence", "feeds"})
_MONEY = frozenset(module.name for module in MODULES if module.is_about_money)
_FOUND = ("fact", "row_key", "kind", "feed", "unit", "entity", "record_kind", "record_id", "landed_at")
_SIDES = ("before", "now")
# Differs between any two sides: the row counts as different, even if the figure does not change.
_ANY = "side"


class Evidence:
    """Rows that differ between two versions, and what arrived in between. Close it."""

    def __init__(self, home: Home, before: Whole, now: Whole, file_marks: FileMarks | None) -> None:
        self._before, self._now, self._marks = before, now, file_marks
        self._tenant = now.version.tenant_id
        self._connection = duck.connect(home)
        keys = Keys.of(home)
        key = keys.derive_all_hex("published", self._tenant)
        for alias, whole in zip(_SIDES, (before, now), strict=True):
            path = files_of(home, self._tenant, whole.version.version).base
            duck.attach(self._connection, path, alias=alias, key=key, read_only=True)
        health = files_of(home, self._tenant, before.version.version).health
        duck.attach(self._connection, health, alias="health", key=key, read_only=True)
        warehouse = keys.derive_hex("warehouse")
        duck.attach(self._connection, home.warehouse, alias="warehouse", key=warehouse, read_only=True)
        self._connection.execute(
            f"create temp table found ({', '.join(f'{name} varchar' for name in _FOUND[:-1])}, landed_at timestamp)"
        )
        self._connection.execute("create temp table fresh as from found limit 0")
        self._late = dict(self._arrived())
        self._columns: dict[str, list[str]] = {}

    def close(self) -> None:
        self._connection.close()

    # What arrived

    def _arrived(self) -> Iterator[tuple[str, list[str]]]:
        """(raw table, its columns) of those that hold rows landed after the earlier version; each a temporary table."""
        columns = self._connection.execute(
            "select table_name, list(column_name) from duckdb_columns() "
            "where database_name = 'warehouse' and schema_name = 'raw' group by 1 order by 1"
        ).fetchall()
        if not columns:
            return
        since = self._connection.execute(
            "select coalesce(max(batch_sequence), 0) from health.health.batch where tenant_id = $tenant",
            {"tenant": self._tenant},
        ).fetchone()
        assert since is not None
        for table, names in columns:
            if not {"tenant_id", "batch_sequence", "source_system", "source_position", "batch_id"} <= set(names):
                continue
            self._connection.execute(
                f'create temp table "late_{table}" as select late.*, landed.landed_at as landed_at_, '
                "regexp_extract(late.source_position, '^unit ([0-9]+)', 1) as unit_ "
                f'from warehouse.raw."{table}" as late left join warehouse.raw.batch as landed '
                "on landed.tenant_id = late.tenant_id and landed.batch_sequence = late.batch_sequence "
                "where late.tenant_id = $tenant and late.batch_sequence > $since",
                {"tenant": self._tenant, "since": since[0]},
            )
            if self._connection.execute(f'select 1 from "late_{table}" limit 1').fetchone():
                self._name_claims(table)
                yield table, list(names)

    def _name_claims(self, table: str) -> None:
        """Puts the claim that late rows belong to now in place of the number they bear."""
        mart, key = _CLAIM_OF.get(table, ("", ""))
        held = self._connection.execute(
            "select 1 from duckdb_tables() where database_name = 'now' and schema_name = 'marts' and table_name = $mart",
            {"mart": mart},
        ).fetchone()
        if held:
            self._connection.execute(
                f'update "late_{table}" set claim_id = named.claim_id from now.marts."{mart}" as named '
                f'where named."{key}" = "late_{table}"."{key}" and named.claim_id is not null'
            )

    # What differs

    def _differing(self, fact: Fact) -> list[str]:
        """Columns of `differing_<fact>`, which holds the rows that one side alone has, with `side` and `row_key`."""
        table = fact.table
        if table in self._columns:
            return self._columns[table]
        sides = [
            [
                name
                for (name,) in self._connection.execute(
                    "select column_name from duckdb_columns() where database_name = $side and schema_name = 'marts' "
                    "and table_name = $table order by column_index",
                    {"side": side, "table": table},
                ).fetchall()
            ]
            for side in _SIDES
        ]
        common = [name for name in sides[0] if name in sides[1]]
        self._columns[table] = common
        if not common:
            return common
        grouped = {member.column for member in fact.members}
        values = [name for name in common if name not in _NO_VALUE or name in grouped]
        valued = ", ".join(f'"{name}"' for name in values)
        key = self._key(fact, common)
        parts = [
            f"select '{side}' as side, {key} as row_key, * from (select {valued} from {side}.marts.\"{table}\" "
            f'except all select {valued} from {other}.marts."{table}")'
            for side, other in zip(_SIDES, reversed(_SIDES), strict=True)
        ]
        self._columns[table] = values
        self._connection.execute(f'create temp table "differing_{table}" as {" union all ".join(parts)}')
        self._find(fact)
        return self._columns[table]

    def _key(self, fact: Fact, common: Sequence[str]) -> str:
        """SQL of the key of a fact's rows: its primary entity, else all columns that name something."""
        named = self._now.keys.get(fact.table, "")
        names = [named] if named in common else [name for name in common if name.endswith(("_id", "_date", "_key"))]
        return "concat_ws(chr(31), " + ", ".join(f'cast("{name}" as varchar)' for name in names) + ")"

    def _find(self, fact: Fact) -> None:
        """Writes the causes of the differing rows of a fact into table `found`; the first kind that explains a row counts."""
        columns = self._columns[fact.table]
        names = [name for name in columns if name.endswith("_id") and name not in _NO_RECORD]
        records = sorted(names, key=lambda name: (_RECORDS.index(name) if name in _RECORDS else len(_RECORDS), name))
        for column in records:
            for table, held in self._late.items():
                if column in held and table not in _reference_tables():
                    self._match(fact, "late", table, column, f'late."{column}" = row."{column}"')
            self._settle()
        if "record_deletion" in self._late:
            for column in records:
                self._match(
                    fact, "deleted", "record_deletion", column, self._deletes(fact, column), entity="late.entity"
                )
            self._settle()
        if "patient_id" in columns and "patient_merge" in self._late:
            tokens = [name for name in self._late["patient_merge"] if name.endswith("patient_id")]
            on = " or ".join(f'late."{name}" = row.patient_id' for name in tokens)
            if on:
                self._match(fact, "merged", "patient_merge", "", f"({on})")
                self._settle()
        if not records:
            self._relate(fact)
        for column, tables in _REFERENCES.items():
            for table in tables:
                if column in columns and column in self._late.get(table, ()):
                    self._match(fact, "reference", table, column, f'late."{column}" = row."{column}"')
        self._settle()

    def _deletes(self, fact: Fact, column: str) -> str:
        """SQL: whether a late deletion is of the record whose identifier a row holds in a column."""
        key = self._key(fact, self._columns[fact.table])
        entity = f"late.entity || '_id' = '{column}'"
        registered = self._before.metrics.registry.table(fact.table)
        own = f'late.deleted_record_id = row."{column}"'
        if registered is not None and {"source_system", "source_record_id"} <= set(registered.column_names):
            own += (
                f' or exists (select 1 from before.marts."{fact.table}" as was where {key} = row.row_key '
                "and was.source_record_id = late.deleted_record_id and was.source_system = late.source_system)"
            )
        return f"{entity} and ({own})"

    def _match(self, fact: Fact, kind: str, table: str, column: str, on: str, *, entity: str | None = None) -> None:
        """Notes late rows of a raw table for differing rows that nothing has explained so far."""
        record_kind, record = self._called(fact, kind, column)
        self._connection.execute(
            f"insert into fresh select distinct $fact, row.row_key, $kind, late.source_system, late.unit_, "
            f"{entity or '$table'}, {record_kind}, {record}, late.landed_at_ "
            f'from "differing_{fact.table}" as row join "late_{table}" as late on {on} '
            "where not exists (select 1 from found where found.fact = $fact and found.row_key = row.row_key)",
            {"fact": fact.table, "kind": kind} | ({} if entity else {"table": table}),
        )

    def _called(self, fact: Fact, kind: str, column: str) -> tuple[str, str]:
        """SQL of the kind and the identifier that people use for a differing row: of its claim, appointment or encounter, the
        first that a late row shares."""
        first = (
            [name for name in _RECORDS if name in self._columns[fact.table]][:1] if kind in ("late", "deleted") else []
        )
        names = [name for name in (*first, column) if name]
        kinds = " ".join(f"when row.\"{name}\" is not null then '{name.removesuffix('_id')}'" for name in names)
        values = ", ".join(f'cast(row."{name}" as varchar)' for name in names)
        return (f"case {kinds} end", f"coalesce({values})") if names else ("null", "null")

    def _settle(self) -> None:
        """Matched rows count from here on."""
        self._connection.execute("insert into found select distinct * from fresh")
        self._connection.execute("delete from fresh")

    def _relate(self, fact: Fact) -> None:
        """A fact that adds up others: what explains differing rows of those that share its place and payer."""
        registry, columns = self._now.metrics.registry, self._columns[fact.table]
        own = registry.table(fact.table)
        for other in self._now.metrics.index.facts.values():
            table = registry.table(other.table)
            if own is None or table is None or other.table == fact.table or table.is_dimension:
                continue
            if table.module != own.module and not {table.module, own.module} <= _MONEY:
                continue
            theirs = self._differing(other)
            shared = [name for name in _PLACES if name in columns and name in theirs]
            if not shared or not any(name.endswith("_id") and name not in _NO_RECORD for name in theirs):
                continue
            on = " and ".join(f'row."{name}" is not distinct from near."{name}"' for name in shared)
            self._connection.execute(
                "insert into found select distinct $fact, row.row_key, 'related', found.feed, found.unit, found.entity, "
                f'found.record_kind, found.record_id, found.landed_at from "differing_{fact.table}" as row '
                f'join "differing_{other.table}" as near on {on} '
                "join found on found.fact = $other and found.row_key = near.row_key "
                "where found.kind in ('late', 'deleted', 'merged')",
                {"fact": fact.table, "other": other.table},
            )

    # What explains a figure

    def explain(
        self, month: date, changed: pl.DataFrame, redefined: frozenset[str]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """(KEY with `cause_set`, CAUSES) of figures that changed in a month, given by KEY."""
        sets: list[tuple[object, ...]] = []
        causes: dict[str, list[tuple[object, ...]]] = {}
        for (metric, grain, dimension), wanted in changed.group_by("metric", "grain", "dimension", maintain_order=True):
            rows = self._rows(str(metric), str(grain), str(dimension), month)
            by_figure = rows.partition_by("member", "period", as_dict=True)
            for row in wanted.iter_rows(named=True):
                member = TOTAL if self._is_shared(str(metric), str(dimension)) else row["member"]
                own = by_figure.get((member, row["period"]), rows.clear())
                cause_rows = self._causes(own, is_redefined=metric in redefined)
                name = hashlib.sha256(repr(cause_rows).encode()).hexdigest()[:20]
                causes.setdefault(name, cause_rows)
                sets.append((*(row[column] for column in KEY), name))
        lines = [
            (name, ordinal, *cause)
            for name, cause_rows in causes.items()
            for ordinal, cause in enumerate(cause_rows, 1)
        ]
        schema = pl.Schema({**{name: changed.schema[name] for name in KEY}, "cause_set": pl.String()})
        return (
            pl.DataFrame(sets, schema=schema, orient="row"),
            pl.DataFrame(lines, schema=CAUSES, orient="row"),
        )

    def _is_shared(self, metric: str, dimension: str) -> bool:
        """Whether members of a dimension share a whole: it is the denominator of each, so that any row matters to all."""
        return dimension in self._item(metric).share_over

    def _item(self, metric: str) -> RegistryMetric:
        definition = self._now.metrics.registry.metrics.get(metric)
        return definition if definition is not None else self._before.metrics.registry.metrics[metric]

    def _rows(self, metric: str, grain: str, dimension: str, month: date) -> pl.DataFrame:
        """Differing rows of a metric's facts in a month with member, period and what explains them."""
        whole = self._now if metric in self._now.metrics.registry.metrics else self._before
        item = self._item(metric)
        frames = [pl.DataFrame(schema={"member": pl.String, "period": pl.Date, **_found_schema()})]
        for fact in whole.metrics.index.facts_of(metric):
            if not self._differing(fact):
                continue
            for row_filter, value in _readings(item, fact):
                counted_rows = self._rows_of(fact, item, (row_filter, value), grain, dimension, month)
                if counted_rows.height:
                    frames.append(counted_rows.cast(frames[0].schema))
                    break
        return pl.concat(frames)

    def _rows_of(
        self, fact: Fact, item: RegistryMetric, reading: tuple[str, str], grain: str, dimension: str, month: date
    ) -> pl.DataFrame:
        row_filter, value = reading
        day = item.drill.date_column if item.drill and item.drill.model == fact.table else fact.date_column
        of_all = self._is_shared(item.definition.name, dimension)
        member = fact.find(dimension) if dimension and not of_all else None
        if dimension and not of_all and member is None:
            return pl.DataFrame()
        parts = []
        for side in _SIDES:
            source = f"(select * from \"differing_{fact.table}\" where side = '{side}')"
            name = f"'{TOTAL}'"
            if member is not None and member.is_joined:
                joined = f'(select {member.table_key} as key_, {member.column} as member_ from {side}.marts."{member.table}")'
                source = (
                    f'(select * from {source} as row left join {joined} as dimension on row."{member.fact_key}" = key_)'
                )
                name = "cast(member_ as varchar)"
            elif member is not None:
                name = f"cast({member.column} as varchar)"
            parts.append(
                f"select row_key, coalesce({name}, '{NONE}') as member, "
                f"cast(date_trunc('{grain}', {day}) as date) as period, {value} as value_ from {source} "
                f"where {day} between $first and $last and ({row_filter})"
            )
        # A row that gives the same to the figure on both sides differs in something else.
        before, now = parts
        other = f"(({before}) except all ({now})) union all (({now}) except all ({before}))"
        return self._connection.execute(
            f"with mine as (select distinct row_key, member, period from ({other})) "
            "select mine.member, mine.period, $fact as fact, mine.row_key, found.* exclude (fact, row_key) "
            "from mine left join found on found.fact = $fact and found.row_key = mine.row_key",
            {"first": month, "last": last_day(month), "fact": fact.table},
        ).pl()

    def _causes(self, rows: pl.DataFrame, *, is_redefined: bool) -> list[tuple[object, ...]]:
        """(kind, feed, file, entity, record_kind, record_id, landed_at, rows), at most SHOWN and one that counts the rest."""
        causes: list[tuple[object, ...]] = [("definition", *[None] * 6, 0)] if is_redefined else []
        with_kind = rows.filter(pl.col("kind").is_not_null())
        grouped = (
            with_kind.group_by("kind", "feed", "unit", "record_kind", "record_id")
            .agg(
                pl.col("entity").unique().sort().str.join(", "),
                pl.col("landed_at").max(),
                pl.struct("fact", "row_key").n_unique().cast(pl.Int64).alias("rows"),
            )
            .with_columns(rank=pl.col("kind").replace_strict({kind: at for at, kind in enumerate(KINDS)}))
            .sort("rank", "landed_at", "feed", "unit", "record_kind", "record_id")
        )
        marks = self._marks_of(grouped["unit"].to_list())
        for row in grouped.head(SHOWN).iter_rows(named=True):
            file = marks.get(row["unit"], f"unit {row['unit']}" if row["unit"] else None)
            record = (row["record_kind"] or None, row["record_id"])
            causes.append((row["kind"], row["feed"], file, row["entity"], *record, row["landed_at"], row["rows"]))
        not_shown = grouped.slice(SHOWN)
        if not_shown.height:
            causes.append(("more", *[None] * 5, not_shown["landed_at"].max(), not_shown.height))
        unexplained = rows.filter(pl.col("kind").is_null()).select("fact", "row_key").n_unique()
        if unexplained or not causes:
            causes.append(("unexplained", *[None] * 6, unexplained))
        return causes

    def _marks_of(self, units: Sequence[str | None]) -> dict[str, str]:
        numbers = sorted({int(unit) for unit in units if unit})
        if not numbers or self._marks is None:
            return {}
        return {str(unit): mark for unit, mark in self._marks(numbers).items()}


def _reference_tables() -> frozenset[str]:
    return frozenset(table for tables in _REFERENCES.values() for table in tables) | {
        "patient_merge",
        "record_deletion",
    }


def _found_schema() -> dict[str, pl.DataType | type[pl.DataType]]:
    return {**dict.fromkeys(_FOUND[:-1], pl.String), "landed_at": pl.Datetime("us")}


def _readings(item: RegistryMetric, fact: Fact) -> list[tuple[str, str]]:
    """(condition, value) of what a row gives to a figure: the drill's where it says so, then any difference of a row.

    The drill of a ratio names only its numerator, so any row of its facts may matter.
    """
    drill = item.drill
    if drill is None or drill.model != fact.table or drill.figure_of != item.definition.name:
        return [("true", _ANY)]
    return [(drill.row_filter or "true", f"({drill.value})" if drill.value else "1"), ("true", _ANY)]
