"""The day that a tenant's data reach to: its "today", in `raw.tenant`.

It is the day `as_of` of the configuration, where the tenant has one; else the last local day, not in the future, on which something
happened in any of its feeds.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import duckdb
import polars as pl

from foundation.config import Config, Tenant

# Moments (UTC timestamps) and days (dates) on which something happened, by entity. What is planned is no such moment, nor is the
# change of a record: a file's time would date old data by the day they were copied.
_TOOK_PLACE = "status not in ('planned', 'cancelled', 'entered_in_error')"
HAPPENED_AT = (
    ("encounter", f"case when {_TOOK_PLACE} then started_at end"),
    ("encounter", f"case when {_TOOK_PLACE} then ended_at end"),
    ("encounter_event", "occurred_at"),
    ("bed_movement", "occurred_at"),
    ("appointment", "booked_at"),
    ("appointment", "cancelled_at"),
    ("appointment", "case when status in ('arrived', 'completed', 'no_show') then scheduled_start_at end"),
    ("appointment_event", "occurred_at"),
    ("referral", "ordered_at"),
    ("referral", "authorized_at"),
    ("authorization", "requested_at"),
    ("authorization", "decided_at"),
    ("reminder", "sent_at"),
    ("charge", "entered_at"),
    ("claim", "submitted_at"),
    ("claim_status", "reported_at"),
    ("acknowledgement", "reported_at"),
    ("inventory_usage", "used_at"),
)
HAPPENED_ON = (
    ("charge", "service_date"),
    ("charge", "posted_date"),
    ("claim", "service_from_date"),
    ("claim", "service_to_date"),
    ("remittance", "payment_date"),
    ("remittance_claim", "service_from_date"),
    ("remittance_claim", "service_to_date"),
    ("remittance_claim", "adjudicated_date"),
    ("patient_payment", "paid_date"),
    ("patient_payment", "posted_date"),
    ("adjustment", "adjusted_date"),
    ("adjustment", "posted_date"),
    ("ledger_entry", "entry_date"),
)
# What counts where nothing of the above is known: when a schedule was looked at, and shifts, which are planned ahead.
PLANNED_AT = (("staff_shift", "ended_at"),)
PLANNED_ON = (("slot", "snapshot_date"),)


def _last_days(moments: Iterable[tuple[str, str]], days: Iterable[tuple[str, str]], now: str) -> str:
    """SQL: tenant and the last local day, not after `now`, of some columns."""
    # The zone is applied to one moment for each tenant, not to every row.
    parts = [
        "select tenant_id, timezone(time_zone, newest_at::timestamptz)::date as last_day from ("
        f"select tenant_id, max({moment}) as newest_at from warehouse.raw.{entity} "
        f"where {moment} <= {now}::timestamp group by tenant_id) join tenant_rows using (tenant_id)"
        for entity, moment in moments
    ]
    parts += [
        f"select tenant_id, max({day}) from warehouse.raw.{entity} join tenant_rows using (tenant_id) "
        f"where {day} <= timezone(time_zone, {now})::date group by tenant_id"
        for entity, day in days
    ]
    return f"select tenant_id, max(last_day) as last_day from ({' union all '.join(parts)}) group by tenant_id"


def _tenants(now: str) -> str:
    """SQL: the rows of `raw.tenant`. A tenant's data reach to the day `as_of` of its configuration, else to the last day on which
    something happened. `now` is SQL of a moment with its zone."""
    return (
        "select t.tenant_id, t.name, t.time_zone, "
        f"coalesce(case when t.as_of is not null then least(t.as_of, timezone(t.time_zone, {now})::date) end, "
        "happened.last_day, planned.last_day) "
        f"from tenant_rows t left join ({_last_days(HAPPENED_AT, HAPPENED_ON, now)}) happened using (tenant_id) "
        f"left join ({_last_days(PLANNED_AT, PLANNED_ON, now)}) planned using (tenant_id)"
    )


def write_tenants(
    connection: duckdb.DuckDBPyConnection, config: Config, moments: Mapping[str, datetime] | None = None
) -> None:
    """Replaces the rows of the configured tenants in `warehouse.raw.tenant`; makes the table where absent.

    Columns: tenant_id, name, time_zone, data_as_of_date (null where nothing is known to have happened). The raw tables hold what
    landed. `moments` has the moment (UTC) of tenants whose rows are looked at as of another moment than now
    (`foundation.replays`).
    """
    connection.execute(
        "create table if not exists warehouse.raw.tenant "
        "(tenant_id varchar, name varchar, time_zone varchar, data_as_of_date date)"
    )
    tenants_at: dict[datetime | None, list[Tenant]] = {}
    for tenant in config.tenants:
        tenants_at.setdefault((moments or {}).get(tenant.tenant_id), []).append(tenant)
    for moment, tenants in tenants_at.items():
        rows = pl.DataFrame(
            [(t.tenant_id, t.name, t.time_zone, t.as_of) for t in tenants],
            schema={"tenant_id": pl.String, "name": pl.String, "time_zone": pl.String, "as_of": pl.Date},
            orient="row",
        )
        connection.register("tenant_rows", rows)
        connection.execute("delete from warehouse.raw.tenant where tenant_id in (select tenant_id from tenant_rows)")
        now = "now()" if moment is None else f"timestamptz '{moment:%Y-%m-%d %H:%M:%S.%f}+00'"
        connection.execute(f"insert into warehouse.raw.tenant {_tenants(now)}")
        connection.unregister("tenant_rows")
