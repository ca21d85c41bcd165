with stays as (
    select
        tenant_id,
        encounter_id,
        is_open,
        case when not is_open then stay_ended_at end as discharged_at
    from {{ ref('int_bed_stays') }}
    where ward_number = 1
),

encounters as (
    select
        encounter.*,
        coalesce(encounter.payer_id, 'unknown') as known_payer_id,
        encounter.status not in ('planned', 'cancelled', 'entered_in_error') as is_encounter,
        encounter.encounter_class in ('IMP', 'ACUTE', 'NONAC') as is_inpatient,
        coalesce(stay.is_open, false) as is_open_stay,
        stay.discharged_at,
        case
            when stay.discharged_at is not null
                then {{ local_timestamp('stay.discharged_at', 'encounter.time_zone') }}
        end as local_discharged_at
    from {{ ref('int_encounters') }} as encounter
    left join stays as stay
        on encounter.tenant_id = stay.tenant_id
        and encounter.encounter_id = stay.encounter_id
)

select
    encounter.tenant_id,
    encounter.encounter_id,
    encounter.patient_id,
    visit.appointment_id,
    {{ entity_key('encounter.service_unit_id', 'encounter.tenant_id') }} as service_unit_key,
    encounter.service_unit_id,
    {{ entity_key('encounter.provider_id', 'encounter.tenant_id') }} as provider_key,
    encounter.provider_id,
    {{ entity_key('encounter.known_payer_id', 'encounter.tenant_id') }} as payer_key,
    encounter.known_payer_id as payer_id,
    coalesce(payer.payer_class, 'unmapped') as payer_class,
    {{ entity_key('encounter.visit_type_id', 'encounter.tenant_id') }} as visit_type_key,
    encounter.visit_type_id,
    encounter.encounter_class,
    encounter.status,
    encounter.admission_source,
    encounter.discharge_disposition,
    encounter.source_system,
    cast(encounter.feeds as integer) as feeds,
    {{ weekday('encounter.local_started_at') }} as weekday,
    {{ hour_of_day('encounter.local_started_at') }} as hour_of_day,
    visit.expected_timestamps,
    visit.recorded_timestamps,
    visit.order_violations,
    visit.cycle_time_minutes,
    visit.wait_time_minutes,
    visit.room_to_provider_minutes,
    visit.provider_minutes,
    visit.start_delay_minutes,
    {{ days_between('encounter.started_at', 'encounter.discharged_at') }} as length_of_stay_days,
    visit_type.is_new_patient,
    encounter.is_encounter,
    encounter.is_inpatient,
    encounter.status = 'finished' and not encounter.is_inpatient as is_completed_visit,
    encounter.discharged_at is not null as is_discharge,
    encounter.is_open_stay,
    encounter.encounter_date,
    cast(encounter.local_discharged_at as date) as discharge_date,
    encounter.local_started_at,
    encounter.local_discharged_at,
    encounter.started_at,
    coalesce(encounter.discharged_at, encounter.ended_at) as ended_at,
    encounter.signed_at,
    visit.scheduled_start_at,
    visit.checked_in_at,
    visit.roomed_at,
    visit.provider_in_at,
    visit.provider_out_at,
    visit.room_out_at,
    visit.checked_out_at
from encounters as encounter
inner join {{ ref('int_visit_times') }} as visit
    on encounter.tenant_id = visit.tenant_id
    and encounter.encounter_id = visit.encounter_id
inner join {{ ref('int_visit_types') }} as visit_type
    on encounter.tenant_id = visit_type.tenant_id
    and encounter.visit_type_id = visit_type.visit_type_id
left join {{ ref('int_payer_classes') }} as payer
    on encounter.tenant_id = payer.tenant_id
    and encounter.payer_id = payer.payer_id
    and encounter.encounter_date between payer.valid_from and payer.valid_to
order by encounter.tenant_id, encounter.encounter_date
