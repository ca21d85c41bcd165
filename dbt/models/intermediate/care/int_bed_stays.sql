{# Inpatient classes of HL7 ActCode: acute and non-acute are kinds of inpatient. Observation is not. #}
with stays as (
    select * from {{ ref('int_encounters') }}
    where encounter_class in ('IMP', 'ACUTE', 'NONAC')
        and status not in ('planned', 'cancelled', 'entered_in_error')
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

-- A stay without an end lasts until the end of the last day that the tenant's data reach to.
bounded as (
    select
        stay.tenant_id,
        stay.encounter_id,
        stay.service_unit_id,
        stay.started_at as stay_started_at,
        greatest(
            stay.started_at,
            coalesce(
                stay.ended_at,
                discharge.discharged_at,
                {{ utc_midnight(add_days('tenant.data_as_of_date', 1), 'tenant.time_zone') }}
            )
        ) as stay_ended_at,
        stay.ended_at is null and discharge.discharged_at is null as is_open
    from stays as stay
    inner join {{ ref('stg_tenants') }} as tenant on stay.tenant_id = tenant.tenant_id
    left join discharges as discharge
        on stay.tenant_id = discharge.tenant_id
        and stay.encounter_id = discharge.encounter_id
),

first_arrivals as (
    select
        tenant_id,
        encounter_id,
        {{ first_known('case when movement_type = \'admit\' then service_unit_id else from_service_unit_id end',
            'movement_number') }} as service_unit_id
    from movements
    where movement_type in ('admit', 'transfer')
    group by tenant_id, encounter_id
),

-- The first ward holds from the start of the stay and transfers cut it within its bounds: the parts add up to the stay.
arrivals as (
    select
        stay.tenant_id,
        stay.encounter_id,
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
        movement.movement_number,
        coalesce(movement.service_unit_id, stay.service_unit_id) as service_unit_id,
        least(greatest(movement.occurred_at, stay.stay_started_at), stay.stay_ended_at) as arrived_at
    from bounded as stay
    inner join movements as movement
        on stay.tenant_id = movement.tenant_id
        and stay.encounter_id = movement.encounter_id
    where movement.movement_type = 'transfer'
),

departures as (
    select
        *,
        row_number() over (partition by tenant_id, encounter_id order by movement_number) as ward_number,
        lead(arrived_at) over (partition by tenant_id, encounter_id order by movement_number) as left_at
    from arrivals
)

select
    ward.tenant_id,
    ward.encounter_id,
    cast(ward.ward_number as integer) as ward_number,
    coalesce(ward.service_unit_id, 'unknown') as service_unit_id,
    stay.is_open,
    stay.stay_started_at,
    stay.stay_ended_at,
    ward.arrived_at,
    coalesce(ward.left_at, stay.stay_ended_at) as left_at
from departures as ward
inner join bounded as stay
    on ward.tenant_id = stay.tenant_id
    and ward.encounter_id = stay.encounter_id
