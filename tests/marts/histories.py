"""Histories of several tenants over several runs, and both ways to build the marts from them: as dbt renders the statements of a
run with touched tenants, and as it renders those of a full one.

All tenants draw on the rows of one tenant of the demo, so that they share every identifier; which of its rows have arrived after
a run, which were deleted or corrected since, is what a history says.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import duckdb

from data_contracts.model import load_contracts
from foundation import duck
from foundation.home import Home
from foundation.keys import Keys

TENANTS = ("amber", "birch", "cedar")
# The tenant that is touched where dbt renders; its name stands in the statements for those that a history touches.
RENDERED = "birch"
POOL_TENANT = "harbor"
ENTITIES = tuple(of.name for of in load_contracts().values() if of.store == "landing")
# Tables that the load keeps of every tenant.
OF_TENANTS = ("tenant", "system_of_record", "issuer_spelling", "feed_issuer")
PATIENTS = 12
# entity, column, entity: rows of the first are kept where the column names a row of the second.
PARTS = (
    ("appointment_event", "appointment_id", "appointment"),
    ("reminder", "appointment_id", "appointment"),
    ("encounter_event", "encounter_id", "encounter"),
    ("bed_movement", "encounter_id", "encounter"),
    ("inventory_usage", "encounter_id", "encounter"),
    ("adjustment", "claim_id", "claim"),
    ("claim_line", "claim_id", "claim"),
    ("diagnosis", "encounter_id", "encounter"),
    ("diagnosis", "claim_id", "claim"),
    ("eligibility_benefit", "eligibility_answer_id", "eligibility_answer"),
    ("claim_status", "claim_id", "claim"),
    ("remittance_claim", "claim_id", "claim"),
    ("remittance_line", "remittance_claim_id", "remittance_claim"),
    ("remittance_adjustment", "remittance_claim_id", "remittance_claim"),
)
# name -> what happens to a tenant's raw rows; {chosen} picks rows by a seed, {seed} is a number.
CHANGES: Mapping[str, Sequence[str]] = {
    "corrected": (
        "update raw.charge set billed_amount = billed_amount + {seed}, service_date = service_date - 31 where {chosen}",
        "update raw.claim set billed_amount = billed_amount - 1, frequency_code = '7' where {chosen}",
        "update raw.remittance_claim set payer_paid_amount = payer_paid_amount - 2 where {chosen}",
        "update raw.encounter set ended_at = ended_at + interval 3 hour, encounter_class = 'IMP' where {chosen}",
        "update raw.appointment set status = 'no_show' where {chosen}",
        "update raw.appointment_event set occurred_at = occurred_at - interval 2 day where {chosen}",
        "update raw.slot set status = 'booked' where {chosen}",
        "update raw.authorization set status = 'expired', units_used = {seed}, decided_at = null where {chosen}",
        "update raw.eligibility_answer set status = case {seed} % 2 when 0 then 'inactive' else 'active' end, "
        "answered_at = answered_at - interval 2 day where {chosen}",
        "update raw.eligibility_benefit set benefit_amount = {seed} where {chosen}",
        "update raw.diagnosis set diagnosis_code = 'Z{seed}', status = case {seed} % 3 when 0 then 'withdrawn' else status end "
        "where {chosen}",
    ),
    "reversed": (
        "insert into raw.remittance_claim by name select * replace ("
        "remittance_claim_id || '-r{seed}' as remittance_claim_id, '22' as claim_status_code, "
        "-billed_amount as billed_amount, -payer_paid_amount as payer_paid_amount, "
        "adjudicated_date + 9 as adjudicated_date) from raw.remittance_claim where {chosen} "
        "and remittance_claim_id not like '%-r%'",
    ),
    "voided": (
        "update raw.claim set frequency_code = '8', original_payer_claim_control_number = 'v{seed}' where {chosen}",
    ),
    # Several claims come to share one number.
    "renumbered": (
        "update raw.claim set claim_id = 'shared' where {chosen}",
        "update raw.claim_line set claim_id = 'shared' where {mine} and claim_submission_id in "
        "(select claim_submission_id from raw.claim where {mine} and claim_id = 'shared')",
    ),
    # Money of lines comes to stand on the claim.
    "unlined": (
        "delete from raw.remittance_line where {chosen}",
        "update raw.remittance_adjustment set remittance_line_id = null where {mine} and remittance_line_id not in "
        "(select remittance_line_id from raw.remittance_line where {mine})",
    ),
    "issued": (
        "update raw.encounter set encounter_id = encounter_id || '^^^NORTH' where {chosen} and source_system = 'adt' "
        "and not contains(encounter_id, '^^^')",
        "insert into raw.issuer_spelling by name select distinct tenant_id, 'encounter' as entity, 'NORTH' as spelling, "
        "'NORTH' as issuer from raw.tenant where {mine} and not exists (from raw.issuer_spelling held where "
        "held.tenant_id = tenant.tenant_id and held.entity = 'encounter' and held.spelling = 'NORTH')",
    ),
    "spelled": ("update raw.charge set encounter_id = lower(encounter_id) || ' ' where {chosen}",),
    "joined": (
        "update raw.encounter set part_of_encounter_id = (select min(encounter_id) from raw.encounter where {mine}) where {chosen}",
        "update raw.encounter_event set event_type = 'class_change', encounter_class = 'EMER' where {chosen}",
    ),
    "reclassed": (
        "update raw.payer set payer_class = case payer_class when 'commercial' then 'medicare' else 'commercial' end "
        "where {chosen}",
        "update raw.payer set effective_to = effective_from + 90 where {chosen}",
    ),
    "moved": (
        "update raw.service_unit set parent_service_unit_id = null, time_zone = 'America/Chicago', "
        "staffed_beds = {seed} where {chosen}",
    ),
    "merged": (
        "insert into raw.patient_merge by name select tenant_id, source_system, 'm{seed}' as patient_merge_id, "
        "min(patient_id) as from_patient_id, max(patient_id) as to_patient_id, 'merge' as merge_type, "
        "timestamp '2026-10-01' as merged_at, 'm{seed}' as source_record_id, timestamp '2026-10-01' as source_updated_at, "
        "'b' as batch_id, 'row' as source_position, 1 as batch_sequence from raw.patient where {chosen} "
        "group by tenant_id, source_system having min(patient_id) < max(patient_id)",
    ),
    "unmerged": (
        "insert into raw.patient_merge by name select * replace (patient_merge_id || '-u{seed}' as patient_merge_id, "
        "'unmerge' as merge_type, merged_at + interval 1 day as merged_at) from raw.patient_merge "
        "where {mine} and merge_type = 'merge'",
    ),
    "ranked": ("update raw.system_of_record set precedence = hash(source_system, {seed}) % 5 where {mine}",),
    "renamed": ("update raw.tenant set name = 'n{seed}', time_zone = 'Europe/Madrid' where {mine}",),
    "dated": ("update raw.tenant set data_as_of_date = data_as_of_date - {seed} where {mine}",),
}


@dataclass(frozen=True)
class Change:
    """What happens to one tenant in one run. `kind` is of CHANGES, or `arrive`, `delete`, `vanish`; `seed` picks the rows."""

    tenant_id: str
    kind: str
    seed: int


@dataclass(frozen=True)
class Run:
    """One run: what changed before it, and whether its build passed, or ended after a share (0 to 1) of the models."""

    changes: tuple[Change, ...]
    built: float = 1.0
    passed: bool = True


def fill_pool(home: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Makes schema `pool`: raw rows of one tenant of a home, by entity, and its operational rows. Of what hangs on patients, that
    of one in PATIENTS, and a little that hangs on nothing."""
    connection.execute("create schema pool")
    with duck.session(Home.at(home)) as source:
        key = Keys.of(Home.at(home)).derive_hex("warehouse")
        duck.attach(source, Home.at(home).warehouse, alias="warehouse", key=key, read_only=True)
        for table in (*ENTITIES, *OF_TENANTS):
            rows = source.execute(
                f"select * from warehouse.raw.{table} where tenant_id = ?", [POOL_TENANT]
            ).to_arrow_table()
            connection.register("rows", rows)
            connection.execute(f"create table pool.{table} as from rows")
            connection.unregister("rows")
    for table in (
        "patient",
        "coverage",
        "appointment",
        "encounter",
        "charge",
        "claim",
        "patient_payment",
        "referral",
        "authorization",
    ):
        connection.execute(f"delete from pool.{table} where hash(patient_id) % {PATIENTS} <> 0")
    connection.execute(f"delete from pool.slot where hash(slot_id) % {PATIENTS} <> 0")
    # Answers name their patient by the record number or by the member number alone.
    connection.execute(
        f"delete from pool.eligibility_answer where hash(coalesce(patient_id, member_token)) % {PATIENTS} <> 0"
    )
    for table, column, whole in PARTS:
        connection.execute(
            f"delete from pool.{table} where {column} not in (select {column} from pool.{whole} where {column} is not null) "
            f"and hash(source_record_id) % {10 * PATIENTS} <> 0"
        )


def introduce(connection: duckdb.DuckDBPyConnection) -> None:
    """Gives every tenant its operational rows."""
    for tenant in TENANTS:
        for table in OF_TENANTS:
            connection.execute(
                f"insert into raw.{table} by name select * replace (? as tenant_id) from pool.{table}", [tenant]
            )


def change(connection: duckdb.DuckDBPyConnection, what: Change) -> None:
    """Changes raw tables as a load would have. Rows are chosen by a hash of their record and the seed."""
    mine = f"tenant_id = '{what.tenant_id}'"
    share = 60 if what.kind == "arrive" else 5
    chosen = f"{mine} and hash(source_system, source_record_id, {what.seed}) % 100 < {share}"
    if what.kind == "arrive":
        for entity in ENTITIES:
            connection.execute(
                f"insert into raw.{entity} by name select * from "
                f"(select * replace ('{what.tenant_id}' as tenant_id) from pool.{entity}) arriving "
                f"where {chosen} and not exists (from raw.{entity} held where held.tenant_id = arriving.tenant_id "
                "and held.source_system = arriving.source_system and held.source_record_id = arriving.source_record_id)"
            )
    elif what.kind in ("delete", "vanish"):
        for entity in ENTITIES:
            connection.execute(f"delete from raw.{entity} where {chosen if what.kind == 'delete' else mine}")
    else:
        for statement in CHANGES[what.kind]:
            connection.execute(statement.format(mine=mine, chosen=chosen, seed=what.seed))


@dataclass(frozen=True, kw_only=True)
class Model:
    """One model or seed of the project as dbt renders it: for everybody, and for the touched tenant RENDERED."""

    name: str
    schema: str
    kind: str
    full: str
    touched: str

    def statement(self, touched: Sequence[str] | None) -> str:
        """What a run executes; None for everybody."""
        if touched is None or self.kind == "table":
            return self._made_anew(self.full if touched is None else _of(self.touched, touched))
        if self.kind == "view":
            return self._made_anew(_of(self.touched, touched))
        return _of(self.touched, touched)

    def _made_anew(self, sql: str) -> str:
        kind = "view" if self.kind == "view" else "table"
        return f'drop {kind} if exists "warehouse"."{self.schema}"."{self.name}"; ' + sql.replace("__dbt_tmp", "")


def _of(sql: str, touched: Sequence[str]) -> str:
    names = ", ".join(f"'{tenant}'" for tenant in touched)
    return sql.replace(f"tenant_id in ('{RENDERED}')", f"tenant_id in ({names})" if touched else "false")


def read_models(full: Path, touched: Path) -> list[Model]:
    """Models in the order of a build, out of dbt's target folders of a full run and of one with RENDERED touched; those that
    only copy operational tables are left out."""
    nodes: dict[str, dict[str, Any]] = json.loads((full / "manifest.json").read_text("utf-8"))["nodes"]
    wanted = [key for key, node in nodes.items() if node["config"]["materialized"] == "by_tenant"]
    above: dict[str, list[str]] = {}
    while wanted:
        key = wanted.pop()
        if key not in above:
            needs = [need for need in nodes[key]["depends_on"]["nodes"] if need.startswith("model.")]
            above[key] = needs
            wanted += needs
    models = []
    for key in TopologicalSorter(above).static_order():
        node = nodes[key]
        texts = [
            (folder / "run" / "clinicmart" / node["original_file_path"]).read_text("utf-8")
            for folder in (full, touched)
        ]
        models.append(
            Model(
                name=node["name"],
                schema=node["schema"],
                kind=node["config"]["materialized"],
                full=texts[0],
                touched=texts[1],
            )
        )
    return models


class Warehouse:
    """A warehouse in memory, built run by run; `pending` are the tenants touched since a build last passed.

    `template` is a file with schemas `seeds`, `pool` and `raw`; raw rows are taken over where they have `arrived`.
    """

    def __init__(self, template: Path, models: Sequence[Model], *, arrived: bool = False) -> None:
        self.models = models
        self.connection = duckdb.connect(config={"threads": 1})
        self.connection.execute(f"attach '{template}' as template (read_only)")
        self.connection.execute("attach ':memory:' as warehouse; set timezone = 'UTC'; use warehouse")
        for schema in ("raw", "pool", "seeds", "staging", "intermediate", "marts", "health"):
            self.connection.execute(f"create schema {schema}")
        self._copy("seeds")
        self._copy("pool")
        self._copy("raw", rows=arrived)
        self.connection.execute("detach template")
        if not arrived:
            introduce(self.connection)
        self.pending: set[str] = set(TENANTS)

    def _copy(self, schema: str, *, rows: bool = True) -> None:
        found = self.connection.execute(
            "select table_name from duckdb_tables() where database_name = 'template' and schema_name = ?", [schema]
        ).fetchall()
        for (table,) in found:
            limit = "" if rows else "limit 0"
            self.connection.execute(f"create table {schema}.{table} as from template.{schema}.{table} {limit}")

    def run(self, run: Run) -> None:
        """Takes what arrived, and builds the marts of touched tenants, as far as the run comes."""
        for item in run.changes:
            change(self.connection, item)
        self.pending |= {item.tenant_id for item in run.changes}
        everybody = self.pending >= set(TENANTS)
        touched = None if everybody else sorted(self.pending)
        for model in self.models[: round(run.built * len(self.models))]:
            there = self._is_there(model)
            self.connection.execute(model.statement(touched if there or model.kind != "by_tenant" else None))
        if run.built == 1 and run.passed:
            self.pending = set()

    def _is_there(self, model: Model) -> bool:
        return bool(
            self.connection.execute(
                "select 1 from duckdb_tables() where database_name = 'warehouse' and schema_name = ? and table_name = ?",
                [model.schema, model.name],
            ).fetchone()
        )

    def marts(self) -> Iterator[Model]:
        """Models of which a run replaces the touched tenants' rows."""
        return (model for model in self.models if model.kind == "by_tenant")

    def different(self) -> dict[str, int]:
        """Rows by which each model differs from one that is built in full, of those that differ."""
        self.connection.execute("attach ':memory:' as kept")
        for schema in ("marts", "health"):
            self.connection.execute(f"create schema kept.{schema}")
        for model in self.marts():
            self.connection.execute(
                f"create table kept.{model.schema}.{model.name} as from {model.schema}.{model.name}"
            )
        for model in self.models:
            self.connection.execute(model.statement(None))
        found = {}
        for model in self.marts():
            name = f"{model.schema}.{model.name}"
            row = self.connection.execute(
                f"select count(*) from ((from kept.{name} except all from {name}) union all "
                f"(from {name} except all from kept.{name}))"
            ).fetchone()
            assert row is not None
            if row[0]:
                found[name] = int(row[0])
        self.connection.execute("detach kept")
        return found

    def scattered(self) -> list[str]:
        """Marts in which the rows of a tenant do not lie together."""
        found = []
        for model in (model for model in self.marts() if model.schema == "marts"):
            row = self.connection.execute(
                "select count(*) filter (where tenant_id is distinct from before), count(distinct tenant_id) from "
                f"(select tenant_id, lag(tenant_id) over (order by rowid) as before from {model.schema}.{model.name})"
            ).fetchone()
            if row is not None and row[0] != row[1]:
                found.append(model.name)
        return found
