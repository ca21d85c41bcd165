with snapshots as (
    select
        *,
        row_number() over (partition by tenant_id, slot_id order by snapshot_date desc) as newest_first
    from {{ ref('int_slot_snapshots') }}
    where snapshot_date < slot_date
)

select
    slot.tenant_id,
    slot.slot_id,
    {{ service_unit_key('slot.service_unit_id', 'slot.tenant_id', 'slot.slot_date') }} as service_unit_key,
    slot.service_unit_id,
    {{ entity_key('slot.provider_id', 'slot.tenant_id') }} as provider_key,
    slot.provider_id,
    {{ entity_key('slot.visit_type_id', 'slot.tenant_id') }} as visit_type_key,
    slot.visit_type_id,
    slot.status,
    {{ weekday('slot.slot_date') }} as weekday,
    {{ hour_of_day('slot.local_start_at') }} as hour_of_day,
    slot.slot_minutes,
    slot.status in ('free', 'booked') as is_template_slot,
    slot.status in ('free', 'booked', 'held') as is_template_or_held_slot,
    slot.status = 'booked' as is_booked_slot,
    coalesce(slot.slot_date <= tenant.data_as_of_date, false) as has_come,
    slot.snapshot_date,
    slot.slot_date,
    slot.start_at,
    slot.local_start_at
from snapshots as slot
inner join {{ ref('stg_tenants') }} as tenant on slot.tenant_id = tenant.tenant_id
where slot.newest_first = 1
order by slot.tenant_id, slot.slot_date
