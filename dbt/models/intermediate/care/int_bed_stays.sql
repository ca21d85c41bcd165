{# Inpatient classes of HL7 ActCode: acute and non-acute are kinds of inpatient. Observation is not. #}
{# A stay of which an end is known only to the day is counted in whole days: it is laid from noon to noon. #}
with visits as (
    select
        *,
        {{ utc_noon('started_at', 'time_zone') }} as started_noon_at,
        {{ utc_noon('ended_at', 'time_zone') }} as ended_noon_at
    from {{ ref('int_encounters') }}
    where status not in ('planned', 'cancelled', 'entered_in_error')
),

-- Of a visit through several classes only the inpatient ones are the stay.
stays as (
    select
        visit.tenant_id,
        visit.encounter_id,
        visit.service_unit_id,
        1 as part_number,
        true as is_to_the_end,
        case
            when visit.is_start_exact and (visit.is_end_exact or visit.ended_at is null) then visit.started_at
            else visit.started_noon_at
        end as started_at,
        case when visit.is_start_exact and visit.is_end_exact then visit.ended_at else visit.ended_noon_at end as ended_at
    from visits as visit
    left join (select distinct tenant_id, encounter_id from {{ ref('int_encounter_classes') }}) as several
        on visit.tenant_id = several.tenant_id
        and visit.encounter_id = several.encounter_id
    where visit.encounter_class in ('IMP', 'ACUTE', 'NONAC')
        and several.encounter_id is null
    union all
    select
        visit.tenant_id,
        visit.encounter_id,
        visit.service_unit_id,
        class.class_number,
        class.ended_at is null,
        case
            when class.ended_at is null and visit.ended_at is not null and not visit.is_end_exact
                then {{ utc_noon('class.started_at', 'visit.time_zone') }}
            else class.started_at
        end,
        case
            when class.ended_at is null and not visit.is_end_exact then visit.ended_noon_at
            else least(class.ended_at, visit.ended_at)
        end
    from visits as visit
    inner join {{ ref('int_encounter_classes') }} as class
        on visit.tenant_id = class.tenant_id
        and visit.encounter_id = class.encounter_id
    where class.class_group = 'inpatient'
        and class.started_at < coalesce(visit.ended_at, class.started_at + interval '1 second')
),

movements as (
    select * from {{ ref('int_bed_movements') }}
    where is_standing
),

discharges as (
    select tenant_id, encounter_id, max(occurred_at) as discharged_at
    from movements
    where movement_type = 'discharge'
    group by tenant_id, encounter_id
),

ended as (
    select
        stay.*,
        coalesce(
            stay.ended_at,
            -- Who was discharged before the visit became inpatient again has not left.
            case
                when stay.is_to_the_end and (stay.part_number = 1 or discharge.discharged_at > stay.started_at)
                    then discharge.discharged_at
            end
        ) as left_at
    from stays as stay
    left join discharges as discharge
        on stay.tenant_id = discharge.tenant_id
        and stay.encounter_id = discharge.encounter_id
),

-- A stay without an end lasts until the end of the last day that the tenant's data reach to.
bounded as (
    select
        stay.tenant_id,
        stay.encounter_id,
        stay.part_number,
        stay.service_unit_id,
        stay.started_at as stay_started_at,
        greatest(
            stay.started_at,
            coalesce(
                stay.left_at,
                {{ utc_midnight(add_days('tenant.data_as_of_date', 1), 'tenant.time_zone') }}
            )
        ) as stay_ended_at,
        stay.left_at is null as is_open
    from ended as stay
    inner join {{ ref('stg_tenants') }} as tenant on stay.tenant_id = tenant.tenant_id
),

first_arrivals as (
    select
        tenant_id,
        encounter_id,
        {{ first_known('case when movement_type = \'admit\' then service_unit_id else from_service_unit_id end',
            'movement_number') }} as service_unit_id,
        min(movement_number) as movement_number
    from movements
    where movement_type in ('admit', 'transfer')
    group by tenant_id, encounter_id
),

-- The first ward holds from the start of the stay; transfers and later admissions cut it within its bounds: the wards add up
-- to the stay.
arrivals as (
    select
        stay.tenant_id,
        stay.encounter_id,
        stay.part_number,
        0 as movement_number,
        coalesce(first_arrival.service_unit_id, stay.service_unit_id) as service_unit_id,
        stay.stay_started_at as arrived_at
    from bounded as stay
    left join first_arrivals as first_arrival
        on stay.tenant_id = first_arrival.tenant_id
        and stay.encounter_id = first_arrival.encounter_id

    union all

    select
        stay.tenant_id,
        stay.encounter_id,
        stay.part_number,
        movement.movement_number,
        coalesce(movement.service_unit_id, stay.service_unit_id) as service_unit_id,
        least(greatest(movement.occurred_at, stay.stay_started_at), stay.stay_ended_at) as arrived_at
    from bounded as stay
    inner join movements as movement
        on stay.tenant_id = movement.tenant_id
        and stay.encounter_id = movement.encounter_id
    inner join first_arrivals as first_arrival
        on stay.tenant_id = first_arrival.tenant_id
        and stay.encounter_id = first_arrival.encounter_id
    where movement.movement_type = 'transfer'
        or (movement.movement_type = 'admit' and movement.movement_number > first_arrival.movement_number)
),

departures as (
    select
        *,
        lead(arrived_at) over (partition by tenant_id, encounter_id, part_number order by movement_number) as left_at
    from arrivals
),

-- Wards that were left before the stay began are none of it.
wards as (
    select
        *,
        row_number() over (partition by tenant_id, encounter_id order by part_number, movement_number) as ward_number,
        row_number() over (partition by tenant_id, encounter_id, part_number order by movement_number) as ward_of_part
    from departures
    where left_at is null or left_at > arrived_at
)

select
    ward.tenant_id,
    ward.encounter_id,
    cast(ward.ward_number as integer) as ward_number,
    ward.ward_of_part = 1 as is_first_ward,
    coalesce(ward.service_unit_id, 'unknown') as service_unit_id,
    stay.is_open,
    stay.stay_started_at,
    stay.stay_ended_at,
    ward.arrived_at,
    coalesce(ward.left_at, stay.stay_ended_at) as left_at
from wards as ward
inner join bounded as stay
    on ward.tenant_id = stay.tenant_id
    and ward.encounter_id = stay.encounter_id
    and ward.part_number = stay.part_number
