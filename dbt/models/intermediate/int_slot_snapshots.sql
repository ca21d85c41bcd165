with collapsed as (
    {{ collapse(ref('stg_slots'), 'slot', ['slot_id', 'snapshot_date'],
        ['service_unit_id', 'provider_id', 'visit_type_id', 'status', 'start_at', 'end_at']) }}
),

slots as (
    select
        collapsed.*,
        unit.service_unit_id as known_service_unit_id,
        coalesce(provider.current_provider_id, collapsed.provider_id, 'unknown') as current_provider_id,
        {{ local_timestamp('collapsed.start_at', 'unit.time_zone') }} as local_start_at
    from collapsed
    inner join {{ ref('int_service_units') }} as unit
        on collapsed.tenant_id = unit.tenant_id
        and coalesce(collapsed.service_unit_id, 'unknown') = unit.service_unit_id
    left join {{ ref('int_provider_crosswalk') }} as provider
        on collapsed.tenant_id = provider.tenant_id
        and collapsed.provider_id = provider.provider_id
)

select
    tenant_id,
    slot_id,
    known_service_unit_id as service_unit_id,
    current_provider_id as provider_id,
    coalesce(visit_type_id, 'unknown') as visit_type_id,
    status,
    source_system,
    {{ minutes_between('start_at', 'end_at') }} as slot_minutes,
    snapshot_date,
    cast(local_start_at as date) as slot_date,
    local_start_at,
    start_at
from slots
order by tenant_id, snapshot_date
