-- Wards with staffed beds on the days on which they were open, and other places on the days when somebody lay there.
with ward_days as (
    select tenant_id, service_unit_id, bed_date, staffed_bed_days as staffed_beds
    from {{ ref('fct_bed_capacity') }}
    union all
    select distinct tenant_id, service_unit_id, bed_date, 0 as staffed_beds
    from {{ ref('fct_bed_days') }}
    where not is_in_staffed_ward
),

bounded as (
    select
        ward.*,
        unit.time_zone,
        {{ utc_midnight('ward.bed_date', 'unit.time_zone') }} as day_starts_at,
        {{ utc_midnight(add_days('ward.bed_date', 1), 'unit.time_zone') }} as day_ends_at
    from ward_days as ward
    inner join {{ ref('int_service_units') }} as unit
        on ward.tenant_id = unit.tenant_id
        and ward.service_unit_id = unit.service_unit_id
),

hours as (
    select
        bounded.*,
        {{ each_hour('day_starts_at', 'day_ends_at') }} as from_at
    from bounded
),

-- Elapsed hours, so that a day on which the clocks change has 23 or 25 of them.
cut as (
    select
        *,
        least(from_at + interval '1 hour', day_ends_at) as to_at
    from hours
),

taken as (
    select
        hour.tenant_id,
        hour.service_unit_id,
        hour.from_at,
        sum({{ minutes_between('greatest(bed.from_at, hour.from_at)', 'least(bed.to_at, hour.to_at)') }}) as bed_minutes,
        sum(case when bed.from_at <= hour.from_at then 1 else 0 end) as census
    from cut as hour
    inner join {{ ref('fct_bed_days') }} as bed
        on hour.tenant_id = bed.tenant_id
        and hour.service_unit_id = bed.service_unit_id
        and hour.bed_date = bed.bed_date
        and bed.from_at < hour.to_at
        and bed.to_at > hour.from_at
    group by hour.tenant_id, hour.service_unit_id, hour.from_at
)

select
    hour.tenant_id,
    hour.service_unit_id || '|' || cast(hour.from_at as varchar) as bed_hour_key,
    {{ service_unit_key('hour.service_unit_id', 'hour.tenant_id', 'hour.bed_date') }} as service_unit_key,
    hour.service_unit_id,
    {{ weekday('hour.bed_date') }} as weekday,
    {{ hour_of_day(local_timestamp('hour.from_at', 'hour.time_zone')) }} as hour_of_day,
    hour.from_at = hour.day_starts_at as is_midnight,
    hour.staffed_beds > 0 as is_in_staffed_ward,
    cast(hour.staffed_beds as integer) as staffed_beds,
    cast(coalesce(taken.census, 0) as integer) as bed_census,
    cast(coalesce(taken.bed_minutes, 0) as decimal(18, 8)) as occupied_bed_minutes,
    cast(hour.staffed_beds * {{ minutes_between('hour.from_at', 'hour.to_at') }} as decimal(18, 8))
        as staffed_bed_minutes,
    hour.bed_date,
    hour.from_at
from cut as hour
left join taken
    on hour.tenant_id = taken.tenant_id
    and hour.service_unit_id = taken.service_unit_id
    and hour.from_at = taken.from_at
order by hour.tenant_id, hour.bed_date
