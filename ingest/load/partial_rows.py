"""Rows with only some of their columns: HL7 v2 messages repeat only some fields of a visit, an appointment or a patient.

A row of such an entity (`ENTITIES`) from an HL7 v2 feed may leave every column empty except its key. It is landed as it is,
with two more columns than its contract: `cleared_columns`, names of columns that the message empties (the HL7 null `""`, a
cancelled discharge), for appointments `minutes` and the placer's number (`ingest.load.appointment_numbers`), and for encounters
the newest start and end that are known to the minute. The raw tables hold, column by column, what the newest row has to say
that says anything of it (newest by source_updated_at, then by arrival): as if everything had arrived in order,
the files and the runs in which it came.

    parts.<entity>   of every key the rows that are the newest to say something; what a row was outdone in it never wins again,
                     so that these are all that is needed, and never more than one a column
    parts.issued_key of an identifier the one under which the raw table has its row, where that is another
    parts.waiting    keys whose rows do not make a valid row of the contract yet: a visit without a start

They lie in the warehouse file beside `raw`.

Senders leave the issuer of a number out, or write its name in more than one way (`ingest.issuers`): within a feed rows of one number
are put together where they are of one issuer. A number without a stated issuer belongs to the issuer that the configuration gives the
feed, else of the one that the feed states for it elsewhere (the first by name, if it states several).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import duckdb
import polars as pl

from data_contracts import LINEAGE, Column, Contract, contract
from foundation.config import Config
from ingest.issuers import MARK
from ingest.ledger import Ledger
from ingest.load.added_columns import add_columns
from ingest.load.appointment_numbers import PLACER, prepare_numbers
from ingest.load.issuers import issued_columns, make_tables

KIND = "hl7v2"
CLEARED = "cleared_columns"
_ISSUED_KEY = "warehouse.parts.issued_key"
_CLEARED = Column(name=CLEARED, logical_type="string", description="Columns that the message says are empty, by comma.")
_OWN: Mapping[str, tuple[Column, ...]] = MappingProxyType(
    {
        "appointment": (
            _CLEARED,
            Column(name="minutes", logical_type="number", description="Length of the appointment."),
            Column(name=PLACER, logical_type="string", description="The placer's number, where the message gives one."),
        ),
        "encounter": (
            _CLEARED,
            Column(name="started_exact_at", logical_type="timestamp", description="The start, known to the minute."),
            Column(name="ended_exact_at", logical_type="timestamp", description="The end, known to the minute."),
        ),
    }
)


def _own(entity: str) -> tuple[Column, ...]:
    """Columns that this module adds to the contract."""
    return _OWN.get(entity, (_CLEARED,))


def _is_refined(name: str) -> str:
    """SQL: whether an earlier message has the time to the minute and the newest only the day (noon)."""
    half = "interval 12 hours"
    return (
        f"coalesce({name}_precision <> 'minute' and {name}_exact_at >= {name}_at - {half} "
        f"and {name}_exact_at < {name}_at + {half}, false)"
    )


def _refined(name: str) -> str:
    return f"(case when {_is_refined(name)} then {name}_exact_at else {name}_at end)"


def _precision(name: str) -> str:
    return f"case when {name}_at is not null then case when {_is_refined(name)} then 'minute' else {name}_precision end end"


_START, _END = _refined("started"), _refined("ended")
# A day is written as noon. If a time of that day is known, the day counts as neither before nor after it.
_ON_ONE_DAY = f"{_END} < {_START} and {_END} >= {_START} - interval 12 hours"
_WITHOUT_BED = "('AMB', 'HH', 'VR', 'FLD')"
_ENDED = "('cancelled', 'no_show', 'entered_in_error')"
# Entity to columns that are computed after its parts are combined: SQL by column, over the columns as sent.
ENTITIES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "patient": {},
        "coverage": {},
        "provider": {},
        "payer": {"name": "coalesce(name, payer_id)", "payer_class": "coalesce(payer_class, 'unmapped')"},
        "encounter": {
            "encounter_class": "coalesce(encounter_class, 'UNK')",
            "started_at": f"case when started_precision = 'day' and {_ON_ONE_DAY} then {_END} else {_START} end",
            "ended_at": f"case when ended_precision = 'day' and {_ON_ONE_DAY} then {_START} else {_END} end",
            "started_precision": _precision("started"),
            "ended_precision": _precision("ended"),
            # An update does not contain the status: it follows from the visit. A visit with an end is not under way.
            "status": "case when status is null then case when ended_at is not null then 'finished' "
            "when encounter_class = 'PRENC' then 'planned' "
            f"when encounter_class is null or encounter_class in {_WITHOUT_BED} then 'unknown' else 'in_progress' end "
            "when ended_at is not null and status in ('in_progress', 'arrived', 'on_leave') then 'finished' "
            "else status end",
        },
        "appointment": {
            "status": "coalesce(status, 'scheduled')",
            # A moved appointment keeps its length.
            "scheduled_end_at": "coalesce(scheduled_end_at, scheduled_start_at + to_seconds((minutes * 60)::bigint))",
            "cancel_initiator": f"case when status in {_ENDED} then coalesce(cancel_initiator, 'unknown') end",
        },
    }
)


@lru_cache(maxsize=64)
def landing_contract(kind: str, entity: str) -> Contract:
    """The contract that rows of an entity must meet on landing. For entities that HL7 v2 feeds send in parts, all columns but
    the key may be empty, and the columns of this module are added."""
    full = contract(entity)
    if kind != KIND or entity not in ENTITIES:
        return full
    kept = (*full.primary_key, *LINEAGE, "batch_id")
    columns = tuple(column if column.name in kept else replace(column, required=False) for column in full.columns)
    return replace(full, columns=columns + _own(entity), required_unless=())


def partial_feeds(ledger: Ledger, config: Config) -> set[tuple[str, str]]:
    """(tenant, feed) of every feed that is HL7 v2 or was ever read as such."""
    now = {(t.tenant_id, feed.name) for t in config.tenants for feed in t.feeds if feed.kind == KIND}
    return now | ledger.feeds_of_kind(KIND)


@dataclass(frozen=True)
class _Layout:
    """Names of one entity's tables and columns, as SQL."""

    contract: Contract

    @property
    def table(self) -> str:
        return f"warehouse.parts.{self.contract.name}"

    @property
    def key(self) -> str:
        return ", ".join(self.contract.primary_key)

    @property
    def identifier(self) -> str:
        """The column of the number."""
        return self.contract.entity_key[0]

    @property
    def other_keys(self) -> list[str]:
        """The key but for the number: tenant, feed and what else."""
        return [name for name in self.contract.primary_key if name != self.identifier]

    def number(self, rows: str) -> str:
        """SQL: the number of a row without its issuer."""
        column = f"{rows}.{self.identifier}"
        return f"split_part({column}, '{MARK}', 1)" if self.issued_entity else column

    @property
    def issued_entity(self) -> str | None:
        """The entity of the number, if it has an issuer."""
        return issued_columns(self.contract).get(self.identifier)

    @property
    def own(self) -> tuple[Column, ...]:
        return _own(self.contract.name)

    @property
    def value_columns(self) -> list[str]:
        """Columns that a row may leave out."""
        fixed = (*self.contract.primary_key, *LINEAGE, "batch_id")
        return [
            c.name
            for c in landing_contract(KIND, self.contract.name).columns
            if c.name not in fixed and c.name != CLEARED
        ]


def prepare(connection: duckdb.DuckDBPyConnection, feeds: set[tuple[str, str]]) -> None:
    """Makes the tables of this module where absent. Rows of HL7 v2 feeds that the raw tables hold already become their first
    parts. `feeds` as `partial_feeds` gives them."""
    make_tables(connection)
    connection.execute("create schema if not exists warehouse.parts")
    connection.execute(
        "create table if not exists warehouse.parts.waiting (entity varchar, tenant_id varchar, source_system varchar, "
        "record_key varchar, column_name varchar, source_position varchar, source_updated_at timestamp)"
    )
    connection.execute(
        f"create table if not exists {_ISSUED_KEY} (entity varchar, tenant_id varchar, source_system varchar, "
        "identifier varchar, issued_key varchar)"
    )
    prepare_numbers(connection)
    names = pl.DataFrame(sorted(feeds), schema={"tenant_id": pl.String, "source_system": pl.String}, orient="row")
    connection.register("partial_feeds", names)
    for entity in ENTITIES:
        layout = _Layout(contract(entity))
        query = "select 1 from duckdb_tables() where database_name = 'warehouse' and schema_name = 'parts' and table_name = ?"
        if connection.execute(query, [entity]).fetchone():
            add_columns(connection, "parts", landing_contract(KIND, entity))
            continue
        own = ", ".join(f"null::{column.duckdb_type} as {column.name}" for column in layout.own)
        connection.execute(
            f"create table {layout.table} as select raw.*, {own}, 0::bigint as file_row_number "
            f"from warehouse.raw.{entity} raw semi join partial_feeds using (tenant_id, source_system)"
        )
    connection.unregister("partial_feeds")


def take_parts(connection: duckdb.DuckDBPyConnection, entity_contract: Contract, arrived: str) -> int:
    """Takes rows of HL7 v2 feeds into the parts and makes the raw rows of their numbers again, in one transaction.

    `arrived` is the name of a table with the columns of `landing_contract`, `batch_sequence` and `file_row_number`; columns of
    this module may be absent. Returns how many raw rows were written. Taking the same rows twice changes nothing.
    """
    layout = _Layout(entity_contract)
    touched = (
        f"select distinct {', '.join(layout.other_keys)}, {layout.number('arrived')} as number from {arrived} arrived"
    )
    return _take(connection, layout, touched, arrived)


def regroup(connection: duckdb.DuckDBPyConnection, tenants: set[str]) -> None:
    """Makes the raw rows of numbers with several identifiers again, after names of issuers changed their meaning."""
    for entity in ENTITIES:
        layout = _Layout(contract(entity))
        if layout.issued_entity and tenants:
            other_keys = ", ".join(layout.other_keys)
            named = ", ".join(f"'{tenant}'" for tenant in sorted(tenants))
            several = (
                f"select {other_keys}, {layout.number('held')} as number from {layout.table} held where tenant_id in ({named}) "
                f"group by all having count(distinct {layout.identifier}) > 1"
            )
            _take(connection, layout, several, f"(from {layout.table} limit 0)")


def _take(connection: duckdb.DuckDBPyConnection, layout: _Layout, touched: str, arrived: str) -> int:
    connection.execute("begin")
    connection.execute(f"create or replace temp table touched as {touched}")
    connection.execute(f"create or replace temp table candidates as {_candidates(layout, arrived)}")
    _keep_winners(connection, layout)
    connection.execute(f"create or replace temp table merged as {_merged(layout)}")
    taken = _write(connection, layout)
    connection.execute("commit")
    for name in ("touched", "candidates", "merged"):
        connection.execute(f"drop table {name}")
    return taken


def _candidates(layout: _Layout, arrived: str) -> str:
    """SQL: parts of the touched numbers and what arrived, each with its `place` in time and `issued_key`, the identifier under
    which rows of one number and issuer come together."""
    rows = (
        f"select held.*, {layout.number('held')} as number from {layout.table} held "
        f"where exists (from touched where {_same(layout, 'held')}) "
        f"union all by name select arrived.*, {layout.number('arrived')} as number from {arrived} arrived"
    )
    place = "row_number() over (order by source_updated_at, batch_sequence, file_row_number) as place"
    if layout.issued_entity is None:
        return f"select *, {layout.identifier} as issued_key, {place} from ({rows})"
    stated = f"nullif(split_part(r.{layout.identifier}, '{MARK}', 2), '')"
    spelling = f"coalesce({stated}, f.issuer)"
    issuer = (
        f"select r.*, coalesce(n.issuer, {spelling}) as issuer from ({rows}) r "
        "left join warehouse.raw.feed_issuer f on f.tenant_id = r.tenant_id and f.source_system = r.source_system "
        f"left join warehouse.raw.issuer_spelling n on n.tenant_id = r.tenant_id and n.entity = '{layout.issued_entity}' "
        f"and n.spelling = {spelling}"
    )
    group = f"{', '.join(layout.other_keys)}, number"
    return (
        f"select * exclude (issuer), number || coalesce('{MARK}' || coalesce(issuer, min(issuer) over (partition by {group})), '') "
        f"as issued_key, {place} from ({issuer})"
    )


def _says(column: str) -> str:
    """SQL: whether a row has a value for a column, or empties it."""
    return f"({column} is not null or list_contains(string_split({CLEARED}, ','), '{column}'))"


def _keep_winners(connection: duckdb.DuckDBPyConnection, layout: _Layout) -> None:
    newest = ", ".join(f"max(place) filter (where {_says(name)})" for name in layout.value_columns)
    connection.execute(f"delete from {layout.table} held using touched where {_same(layout, 'held')}")
    # For every identifier, not for every key: which identifiers are one may change.
    connection.execute(
        f"insert into {layout.table} by name select * exclude (place, number, issued_key) from candidates where place in "
        f"(select unnest([max(place), {newest}]) from candidates group by {layout.key})"
    )
    key = ", ".join(layout.other_keys[:2])
    if layout.issued_entity:
        connection.execute(
            f"delete from {_ISSUED_KEY} k using touched where k.entity = '{layout.contract.name}' and {_same(layout, 'k', 'k.identifier')}"
        )
        connection.execute(
            f"insert into {_ISSUED_KEY} select distinct '{layout.contract.name}', {key}, {layout.identifier}, issued_key from candidates "
            f"where issued_key <> {layout.identifier}"
        )


def _merged(layout: _Layout) -> str:
    """SQL: one row for each key. Each column comes from the newest row that has or empties it; the lineage comes from the
    newest row."""
    merged_columns = ", ".join(
        f"(arg_max(struct_pack(value := {name}), place) filter (where {_says(name)})).value as {name}"
        for name in layout.value_columns
    )
    lineage = ", ".join(f"arg_max({name}, place) as {name}" for name in (*LINEAGE, "batch_id", "batch_sequence"))
    other_keys = ", ".join(layout.other_keys)
    columns = f"{other_keys}, issued_key as {layout.identifier}, {merged_columns}, {lineage}"
    return f"select {columns} from candidates group by {other_keys}, issued_key"


def _same(layout: _Layout, rows: str, identifier: str | None = None) -> str:
    """SQL: whether a row is of a touched number."""
    number = f"split_part({identifier}, '{MARK}', 1)" if identifier else layout.number(rows)
    return " and ".join(
        [*(f"{rows}.{name} = touched.{name}" for name in layout.other_keys), f"{number} = touched.number"]
    )


def _write(connection: duckdb.DuckDBPyConnection, layout: _Layout) -> int:
    """Replaces the raw rows of the numbers touched by those that keep the contract; the others wait."""
    entity_contract, derived = layout.contract, ENTITIES[layout.contract.name]
    columns = ", ".join(f"{derived.get(name, name)} as {name}" for name in entity_contract.column_names)
    empty = [
        (f"{c.name} is null", c.name)
        for c in entity_contract.columns
        if c.required and c.name not in entity_contract.primary_key
    ]
    empty += [
        (f"{rule.column} is null and {rule.unless_column} not in {rule.unless_values}", rule.column)
        for rule in entity_contract.required_unless
    ]
    wrong = [(f"{rule.later} < {rule.earlier}", rule.later) for rule in entity_contract.order_rules]
    first = " ".join(f"when {condition} then '{name}'" for condition, name in empty + wrong)
    missing = f"case {first} end"
    connection.execute(
        f"create or replace temp table finished as select *, {missing} as missing "
        f"from (select {columns}, batch_sequence from merged)"
    )
    connection.execute(
        f"delete from warehouse.raw.{entity_contract.name} held using touched where {_same(layout, 'held')}"
    )
    connection.execute(
        f"insert into warehouse.raw.{entity_contract.name} by name select * exclude (missing) from finished where missing is null "
        f"order by {layout.key}"
    )
    name = " || '/' || ".join(f"{column}::varchar" for column in entity_contract.entity_key)
    number = " || '/' || ".join(
        "t.number" if column == layout.identifier else f"t.{column}::varchar" for column in entity_contract.entity_key
    )
    waiting = f"split_part(w.record_key, '{MARK}', 1)" if layout.issued_entity else "w.record_key"
    connection.execute(
        "delete from warehouse.parts.waiting w using touched t "
        f"where w.entity = '{entity_contract.name}' and w.tenant_id = t.tenant_id and w.source_system = t.source_system "
        f"and {waiting} = {number}"
    )
    connection.execute(
        f"insert into warehouse.parts.waiting select '{entity_contract.name}', tenant_id, source_system, {name}, missing, "
        "source_position, source_updated_at from finished where missing is not null"
    )
    taken = connection.execute("select count(*) from finished where missing is null").fetchone()
    connection.execute("drop table finished")
    return int(taken[0]) if taken else 0


def rename(connection: duckdb.DuckDBPyConnection, entity_contract: Contract, landed: str) -> None:
    """Gives the rows of a table of landed rows the identifiers under which the raw table has them."""
    identifier = _Layout(entity_contract).identifier
    connection.execute(
        f"update {landed} as l set {identifier} = k.issued_key from {_ISSUED_KEY} k where k.entity = '{entity_contract.name}' "
        f"and k.tenant_id = l.tenant_id and k.source_system = l.source_system and k.identifier = l.{identifier}"
    )


def waiting_notices(connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """Waiting rows, in the columns of `raw.notice_reason`: one row for every tenant, feed, entity and column."""
    return connection.execute(
        "select tenant_id, source_system as feed, entity || '_incomplete' as reason, "
        "column_name || ' is still missing, or contradicts another field; the ' || entity || ' waits for another message' as detail, "
        'count(*)::bigint as "rows", min(source_position) as first_position, max(source_updated_at) as last_seen_at '
        "from warehouse.parts.waiting group by all order by all"
    ).pl()
