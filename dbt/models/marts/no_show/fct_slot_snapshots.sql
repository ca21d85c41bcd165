select
    tenant_id,
    service_unit_id || '|' || provider_id || '|' || visit_type_id || '|' || cast(snapshot_date as varchar)
    || '|' || cast(slot_date as varchar) as slot_snapshot_key,
    {{ service_unit_key('slots.service_unit_id', 'slots.tenant_id', 'slots.slot_date') }} as service_unit_key,
    {{ entity_key('provider_id') }} as provider_key,
    {{ entity_key('visit_type_id') }} as visit_type_key,
    snapshot_date,
    slot_date,
    service_unit_id,
    provider_id,
    visit_type_id,
    {{ date_diff_days('snapshot_date', 'slot_date') }} as days_ahead,
    cast(sum(case when status = 'free' then 1 else 0 end) as bigint) as free_slots,
    cast(sum(case when status = 'booked' then 1 else 0 end) as bigint) as booked_slots,
    cast(sum(case when status = 'held' then 1 else 0 end) as bigint) as held_slots,
    cast(sum(case when status = 'blocked' then 1 else 0 end) as bigint) as blocked_slots,
    cast(count(*) as bigint) as slots
from {{ ref('int_slot_snapshots') }} as slots
where slot_date >= snapshot_date
group by tenant_id, snapshot_date, slot_date, service_unit_id, provider_id, visit_type_id
order by tenant_id, snapshot_date, slot_date
