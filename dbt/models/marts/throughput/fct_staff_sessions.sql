with collapsed as (
    {{ collapse(ref('stg_staff_shifts'), 'staff_shift', 'staff_shift_id',
        ['service_unit_id', 'provider_id', 'staff_role', 'is_clinical', 'started_at', 'ended_at']) }}
),

shifts as (
    select
        collapsed.*,
        coalesce(provider.current_provider_id, collapsed.provider_id, 'unknown') as current_provider_id,
        {{ local_timestamp('collapsed.started_at', 'unit.time_zone') }} as local_started_at,
        {{ local_timestamp('collapsed.ended_at', 'unit.time_zone') }} as local_ended_at
    from collapsed
    inner join {{ ref('int_service_units') }} as unit
        on collapsed.tenant_id = unit.tenant_id
        and collapsed.service_unit_id = unit.service_unit_id
    left join {{ ref('int_provider_crosswalk') }} as provider
        on collapsed.tenant_id = provider.tenant_id
        and collapsed.provider_id = provider.provider_id
)

select
    shift.tenant_id,
    shift.staff_shift_id,
    {{ entity_key('shift.service_unit_id', 'shift.tenant_id') }} as service_unit_key,
    shift.service_unit_id,
    {{ entity_key('shift.current_provider_id', 'shift.tenant_id') }} as provider_key,
    shift.current_provider_id as provider_id,
    shift.staff_role,
    shift.source_system,
    {{ weekday('shift.local_started_at') }} as weekday,
    {{ hour_of_day('shift.local_started_at') }} as hour_of_day,
    {{ minutes_between('shift.started_at', 'shift.ended_at') }} / 60 as staffed_hours,
    coalesce(shift.is_clinical, false) as is_clinical,
    coalesce(shift.is_clinical, false)
    and shift.provider_id is not null
    and coalesce(cast(shift.local_started_at as date) <= tenant.data_as_of_date, false) as is_provider_session,
    cast(shift.local_started_at as date) as session_date,
    shift.local_started_at,
    shift.local_ended_at,
    shift.started_at,
    shift.ended_at
from shifts as shift
inner join {{ ref('stg_tenants') }} as tenant on shift.tenant_id = tenant.tenant_id
order by shift.tenant_id, session_date
