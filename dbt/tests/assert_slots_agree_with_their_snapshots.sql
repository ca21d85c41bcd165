-- The counts by day and the single slots stand on the same snapshots.
with counted as (
    select
        tenant_id,
        sum(slots) as slots
    from {{ ref('fct_slot_snapshots') }}
    group by tenant_id
),

single as (
    select
        tenant_id,
        count(*) as slots
    from {{ ref('int_slot_snapshots') }}
    where slot_date >= snapshot_date
    group by tenant_id
)

select
    coalesce(counted.tenant_id, single.tenant_id) as tenant_id,
    counted.slots as counted_slots,
    single.slots as single_slots
from counted
full outer join single on counted.tenant_id = single.tenant_id
where counted.slots is distinct from single.slots
