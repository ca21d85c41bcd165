-- A stay that is too long to be one is most often a wrong year: it keeps its row in fct_encounters, and gives no bed days.
with wards as (
    select
        stay.*,
        unit.time_zone
    from {{ ref('int_bed_stays') }} as stay
    inner join {{ ref('int_service_units') }} as unit
        on stay.tenant_id = unit.tenant_id
        and stay.service_unit_id = unit.service_unit_id
    where {{ days_between('stay.stay_started_at', 'stay.stay_ended_at') }} <= {{ var('longest_stay_days') }}
),

-- The last day is that of the last moment before the end: a stay that ends at midnight does not touch the next day.
days as (
    select
        tenant_id,
        encounter_id,
        ward_number,
        {{ each_day(
            local_date('arrived_at', 'time_zone'),
            local_date("greatest(arrived_at, left_at - interval '1 microsecond')", 'time_zone')
        ) }} as bed_date
    from wards
),

cut as (
    select
        ward.tenant_id,
        ward.encounter_id,
        ward.ward_number,
        ward.service_unit_id,
        ward.is_open,
        ward.stay_started_at,
        day.bed_date,
        greatest(ward.arrived_at, {{ utc_midnight('day.bed_date', 'ward.time_zone') }}) as from_at,
        least(ward.left_at, {{ utc_midnight(add_days('day.bed_date', 1), 'ward.time_zone') }}) as to_at
    from wards as ward
    inner join days as day
        on ward.tenant_id = day.tenant_id
        and ward.encounter_id = day.encounter_id
        and ward.ward_number = day.ward_number
)

-- Each share is the difference of two elapsed times since the start of the stay, so that the rounded shares of a stay
-- add up to its rounded length, also where a day has 23 or 25 hours.
select
    cut.tenant_id,
    cut.encounter_id || '|' || cast(cut.ward_number as varchar) || '|' || cast(cut.bed_date as varchar) as bed_day_key,
    cut.encounter_id,
    encounter.patient_id,
    {{ service_unit_key('cut.service_unit_id', 'cut.tenant_id', 'cut.bed_date') }} as service_unit_key,
    cut.service_unit_id,
    encounter.provider_key,
    encounter.provider_id,
    encounter.payer_key,
    encounter.payer_id,
    encounter.payer_class,
    encounter.encounter_class,
    cut.ward_number,
    {{ weekday('cut.bed_date') }} as weekday,
    {{ days_between('cut.stay_started_at', 'cut.to_at') }}
    - {{ days_between('cut.stay_started_at', 'cut.from_at') }} as bed_days,
    coalesce(unit.staffed_beds, 0) > 0 as is_in_staffed_ward,
    cut.is_open,
    cut.bed_date,
    cut.from_at,
    cut.to_at
from cut
inner join {{ ref('fct_encounters') }} as encounter
    on cut.tenant_id = encounter.tenant_id
    and cut.encounter_id = encounter.encounter_id
inner join {{ ref('int_service_units') }} as unit
    on cut.tenant_id = unit.tenant_id
    and cut.service_unit_id = unit.service_unit_id
order by cut.tenant_id, cut.bed_date
