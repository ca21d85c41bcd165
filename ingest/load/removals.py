"""Rows that are removed from the raw tables: records that their source deleted, and parts of a record that its newer version
lacks.

Deletions are rows of `record_deletion`. A deletion that the source reported applies to every row that is not newer, by
(source_updated_at, batch_sequence). A deletion that was found by absence applies to rows of earlier batches. Both also apply to
rows that arrive later: `deleted` is checked before rows are loaded, `remove_deleted` removes loaded rows.

A FHIR resource always comes whole: rows of its older version that the newer one does not replace are removed
(`remove_superseded`). Other feeds send rows and messages one by one, where a row that does not come again still holds.
"""

import duckdb
import polars as pl

from foundation import duck

DELETION = "record_deletion"
# Entities with several rows for a resource, and the entities that have one row for every version of it, if there are any.
PARTS: dict[str, tuple[str, ...]] = {
    "claim_line": ("claim",),
    "remittance_line": ("remittance_claim",),
    "remittance_adjustment": ("remittance_claim",),
    "encounter_event": ("encounter",),
    "bed_movement": ("encounter",),
    "diagnosis": ("encounter", "claim"),
    # One row each for the insurances of one response.
    "eligibility_answer": (),
    "eligibility_benefit": ("eligibility_answer",),
    "provider_service_unit": (),
    # One row each; a resource that was given another number leaves the row of the old one.
    "encounter": (),
    "appointment": (),
    "patient_merge": ("patient",),
}


def deleted(entity: str, rows: str) -> str:
    """SQL: the condition under which a row of the table or alias `rows` (with batch_sequence) is of a deleted record."""
    return (
        f"exists (from warehouse.raw.{DELETION} d where d.entity = {duck.quoted(entity)} "
        f"and d.tenant_id = {rows}.tenant_id and d.source_system = {rows}.source_system "
        f"and d.deleted_record_id = {rows}.source_record_id and case when d.found_by = 'absent' "
        f"then d.batch_sequence > {rows}.batch_sequence "
        f"else (d.source_updated_at, d.batch_sequence) >= ({rows}.source_updated_at, {rows}.batch_sequence) end)"
    )


def remove_deleted(connection: duckdb.DuckDBPyConnection) -> int:
    """Takes the rows of deleted records out of the raw tables; returns how many."""
    entities = connection.execute(f"select distinct entity from warehouse.raw.{DELETION} order by entity").fetchall()
    removed = 0
    for (entity,) in entities:
        table = f"warehouse.raw.{entity}"
        if connection.execute(
            "select 1 from duckdb_tables() where database_name = 'warehouse' and schema_name = 'raw' and table_name = ?",
            [entity],
        ).fetchone():
            deleted_rows = connection.execute(f"delete from {table} where {deleted(entity, table)}").fetchone()
            removed += int(deleted_rows[0]) if deleted_rows else 0
    return removed


def remove_superseded(connection: duckdb.DuckDBPyConnection, feeds: set[tuple[str, str]], entities: set[str]) -> int:
    """Removes rows of parts whose record has a newer version; returns their number. `feeds` are the (tenant, feed) to check,
    `entities` the entities with newly loaded rows.
    """
    names = pl.DataFrame(sorted(feeds), schema={"tenant_id": pl.String, "source_system": pl.String}, orient="row")
    connection.register("versioned_feeds", names)
    removed = 0
    for part, wholes in PARTS.items():
        if not feeds or entities.isdisjoint({part, *wholes}):
            continue
        columns = "tenant_id, source_system, source_record_id"
        # Batch numbers order the batches of one entity; between two entities they have no meaning.
        moment = "(source_updated_at, 0)" if wholes else "(source_updated_at, batch_sequence)"
        versions = " union all ".join(
            f"select {columns}, {moment} as moment from warehouse.raw.{entity} "
            "semi join versioned_feeds using (tenant_id, source_system)"
            for entity in (part, *wholes)
        )
        newest = f"select {columns}, max(moment) as newest_moment from ({versions}) group by all"
        same = " and ".join(f"held.{name} = newest.{name}" for name in columns.split(", "))
        held_moment = moment.replace("(", "(held.").replace(", batch", ", held.batch")
        superseded_rows = connection.execute(
            f"delete from warehouse.raw.{part} held using ({newest}) newest "
            f"where {same} and {held_moment} < newest.newest_moment"
        ).fetchone()
        removed += int(superseded_rows[0]) if superseded_rows else 0
    connection.unregister("versioned_feeds")
    return removed
