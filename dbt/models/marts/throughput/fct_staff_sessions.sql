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
),

sessions as (
    select
        shift.*,
        coalesce(shift.is_clinical, false)
        and shift.provider_id is not null
        and coalesce(cast(shift.local_started_at as date) <= tenant.data_as_of_date, false) as is_provider_session,
        cast(shift.local_started_at as date) as session_date,
        -- A shift holds the morning if it begins before noon, the afternoon if it lasts beyond one o'clock.
        {{ hour_of_day('shift.local_started_at') }} < 12 as has_morning,
        {{ hour_of_day('shift.local_started_at') }} >= 12
        or shift.local_ended_at > cast(cast(shift.local_started_at as date) as timestamp) + interval '13 hours'
            as has_afternoon
    from shifts as shift
    inner join {{ ref('stg_tenants') }} as tenant on shift.tenant_id = tenant.tenant_id
),

-- Shifts that overlap are one session of the provider: the first of a half-day counts it.
counted as (
    select
        session.*,
        {%- for half in ['morning', 'afternoon'] %}
        case when is_provider_session and has_{{ half }} then row_number() over (
            partition by tenant_id, service_unit_id, current_provider_id, session_date, is_provider_session, has_{{ half }}
            order by started_at, staff_shift_id
        ) end as {{ half }}_place
        {%- if not loop.last %},{% endif %}
        {%- endfor %}
    from sessions as session
)

select
    shift.tenant_id,
    shift.staff_shift_id,
    {{ service_unit_key('shift.service_unit_id', 'shift.tenant_id', 'cast(shift.local_started_at as date)') }}
        as service_unit_key,
    shift.service_unit_id,
    {{ entity_key('shift.current_provider_id', 'shift.tenant_id') }} as provider_key,
    shift.current_provider_id as provider_id,
    shift.staff_role,
    shift.source_system,
    {{ weekday('shift.local_started_at') }} as weekday,
    {{ hour_of_day('shift.local_started_at') }} as hour_of_day,
    cast({{ minutes_between('shift.started_at', 'shift.ended_at') }} / 60 as double precision) as staffed_hours,
    coalesce(shift.is_clinical, false) as is_clinical,
    shift.is_provider_session,
    case when shift.morning_place = 1 then 1 else 0 end + case when shift.afternoon_place = 1 then 1 else 0 end
        as half_day_sessions,
    shift.current_provider_id || '|' || cast(shift.session_date as varchar) as provider_day_key,
    shift.session_date,
    shift.local_started_at,
    shift.local_ended_at,
    shift.started_at,
    shift.ended_at
from counted as shift
order by shift.tenant_id, session_date
