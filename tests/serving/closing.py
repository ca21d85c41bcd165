"""What closed months are tested on: raw rows beside the small warehouse, and files that come late."""

from datetime import date

FEBRUARY = date(2026, 2, 1)
RAW = """
create schema warehouse.raw;
create table warehouse.raw.batch as
  select tenant_id, 1 as batch_sequence, 'first' as batch_id, 'pm' as feed, timestamp '2026-04-01 05:00:00' as landed_at
  from warehouse.marts.dim_tenants;
create table warehouse.raw.charge as
  select tenant_id, 'pm' as source_system, charge_id, 'unit 1: row ' || charge_id as source_position, 'first' as batch_id,
    1 as batch_sequence from warehouse.marts.fct_charges;
alter table warehouse.health.batch add column batch_sequence integer;
update warehouse.health.batch set batch_sequence = 1;
"""


def late(charge: str, amount: str, sequence: int, tenant: str = "harbor") -> str:
    """What a late file does to one charge: its amount changes, and its raw row is of a later batch."""
    mine = f"tenant_id = '{tenant}' and charge_id = '{charge}'"
    return f"""
    update warehouse.marts.fct_charges set billed_amount = {amount} where {mine};
    update warehouse.raw.charge set source_system = 'remits', batch_id = 'b{sequence}', batch_sequence = {sequence},
      source_position = 'unit {sequence}: row 3' where {mine};
    insert into warehouse.raw.batch values
      ('{tenant}', {sequence}, 'b{sequence}', 'remits', timestamp '2026-04-03 05:00:00');
    insert into warehouse.health.batch (tenant_id, feed, batch_id, entity, rows_landed, batch_sequence)
      values ('{tenant}', 'remits', 'b{sequence}', 'charge', 1, {sequence});
    """
