-- Each shift cut at the full hours of the local clock, in elapsed time.
with shifts as (
    select
        shift.*,
        unit.time_zone,
        shift.started_at - (shift.local_started_at - date_trunc('hour', shift.local_started_at)) as first_hour_at
    from {{ ref('fct_staff_sessions') }} as shift
    inner join {{ ref('int_service_units') }} as unit
        on shift.tenant_id = unit.tenant_id
        and shift.service_unit_id = unit.service_unit_id
    inner join {{ ref('stg_tenants') }} as tenant on shift.tenant_id = tenant.tenant_id
    where shift.ended_at > shift.started_at
        and {{ minutes_between('shift.started_at', 'shift.ended_at') }} <= {{ var('longest_shift_hours') }} * 60
        and shift.session_date <= tenant.data_as_of_date
),

cut as (
    select
        shifts.*,
        {{ each_hour('first_hour_at', 'ended_at') }} as hour_at
    from shifts
),

staffed as (
    select
        tenant_id,
        service_unit_id,
        {{ local_timestamp('hour_at', 'time_zone') }} as local_hour_at,
        is_provider_session,
        {{ minutes_between('greatest(hour_at, started_at)', "least(hour_at + interval '1 hour', ended_at)") }} as minutes
    from cut
),

facts as (
    select
        tenant_id,
        service_unit_id,
        cast(local_hour_at as date) as staffing_date,
        {{ hour_of_day('local_hour_at') }} as hour_of_day,
        case when is_provider_session then minutes else 0 end as provider_minutes,
        case when is_provider_session then 0 else minutes end as other_staff_minutes,
        0 as visits
    from staffed
    union all
    select
        tenant_id,
        service_unit_id,
        encounter_date,
        hour_of_day,
        0,
        0,
        1
    from {{ ref('fct_encounters') }}
    where is_completed_visit
),

hours as (
    select
        tenant_id,
        service_unit_id,
        staffing_date,
        hour_of_day,
        sum(provider_minutes) as provider_minutes,
        sum(other_staff_minutes) as other_staff_minutes,
        sum(visits) as visits
    from facts
    group by tenant_id, service_unit_id, staffing_date, hour_of_day
),

-- A unit that keeps no shifts is not uncovered: nothing is known of it.
known as (
    select distinct tenant_id, service_unit_id
    from {{ ref('fct_staff_sessions') }}
    where is_provider_session
)

select
    hour.tenant_id,
    hour.service_unit_id || '|' || cast(hour.staffing_date as varchar) || '|' || cast(hour.hour_of_day as varchar)
        as staffing_hour_key,
    {{ service_unit_key('hour.service_unit_id', 'hour.tenant_id', 'hour.staffing_date') }} as service_unit_key,
    hour.service_unit_id,
    {{ weekday('hour.staffing_date') }} as weekday,
    hour.hour_of_day,
    known.service_unit_id is not null as is_staffing_known,
    cast(hour.provider_minutes as decimal(18, 8)) as provider_minutes,
    cast(hour.other_staff_minutes as decimal(18, 8)) as other_staff_minutes,
    cast(hour.visits as integer) as visits,
    cast(case when known.service_unit_id is not null then hour.visits else 0 end as integer) as visits_in_staffed_units,
    cast(
        case when known.service_unit_id is not null and hour.provider_minutes > 0 then hour.visits else 0 end as integer
    ) as covered_visits,
    hour.staffing_date
from hours as hour
left join known
    on hour.tenant_id = known.tenant_id
    and hour.service_unit_id = known.service_unit_id
order by hour.tenant_id, hour.staffing_date
