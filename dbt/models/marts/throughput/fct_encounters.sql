{#- Discharge dispositions (UB-04 form locator 17) of stays that no readmission can follow, or that were not the hospital's to
    end: acute and psychiatric hospitals (02, 05, 43, 65, 66 and their kinds with a planned return), against advice, died. -#}
{%- set no_index = "('02', '05', '07', '20', '40', '41', '42', '43', '65', '66', '82', '85', '88', '93', '94')" -%}
{%- set readmission_days = 30 -%}
{%- set most_follow_up_days = 30 -%}
with stays as (
    select
        tenant_id,
        encounter_id,
        max(case when is_open then 1 else 0 end) = 1 as is_open,
        min(stay_started_at) as started_at,
        case when max(case when is_open then 1 else 0 end) = 0 then max(stay_ended_at) end as discharged_at,
        cast(sum({{ days_between('stay_started_at', 'stay_ended_at') }}) as decimal(18, 8)) as stay_days
    from {{ ref('int_bed_stays') }}
    where is_first_ward
    group by tenant_id, encounter_id
),

encounters as (
    select
        encounter.*,
        coalesce(encounter.payer_id, 'unknown') as known_payer_id,
        encounter.status not in ('planned', 'cancelled', 'entered_in_error') as is_encounter,
        encounter.encounter_class in ('IMP', 'ACUTE', 'NONAC') or stay.encounter_id is not null as is_inpatient,
        coalesce(stay.is_open, false) as is_open_stay,
        stay.started_at as stay_started_at,
        stay.discharged_at,
        case when stay.discharged_at is not null then stay.stay_days end as length_of_stay_days,
        {{ local_timestamp('stay.started_at', 'encounter.time_zone') }} as local_stay_started_at,
        case
            when stay.discharged_at is not null
                then {{ local_timestamp('stay.discharged_at', 'encounter.time_zone') }}
        end as local_discharged_at
    from {{ ref('int_encounters') }} as encounter
    left join stays as stay
        on encounter.tenant_id = stay.tenant_id
        and encounter.encounter_id = stay.encounter_id
),

-- The next stay of the same person, in any unit, that began after this one had ended.
returned as (
    select
        stay.tenant_id,
        stay.encounter_id,
        min({{ date_diff_days('stay.local_discharged_at', 'later.local_stay_started_at') }}) as days_to_readmission
    from encounters as stay
    inner join encounters as later
        on stay.tenant_id = later.tenant_id
        and stay.patient_id = later.patient_id
        and later.stay_started_at > stay.discharged_at
    where stay.is_inpatient and later.is_inpatient and later.is_encounter
    group by stay.tenant_id, stay.encounter_id
),

-- The first visit of the same person outside a hospital, from the day after the discharge on.
followed as (
    select
        stay.tenant_id,
        stay.encounter_id,
        min({{ date_diff_days('stay.local_discharged_at', 'visit.encounter_date') }}) as follow_up_days
    from encounters as stay
    inner join encounters as visit
        on stay.tenant_id = visit.tenant_id
        and stay.patient_id = visit.patient_id
        and visit.encounter_date > cast(stay.local_discharged_at as date)
        and visit.encounter_date <= {{ add_days('stay.local_discharged_at', most_follow_up_days) }}
    where stay.is_inpatient and visit.is_encounter and not visit.is_inpatient and visit.encounter_class in ('AMB', 'VR', 'HH')
    group by stay.tenant_id, stay.encounter_id
),

-- Whether a visit was charged is a question only where anything is billed at all, and as far as visits or bills are known: after
-- the last of them feeds may have stopped.
known_days as (
    select tenant_id, max(encounter_date) as last_date
    from encounters
    where is_encounter
    group by tenant_id
    union all
    select tenant_id, max(service_date) from {{ ref('int_billed_lines') }} group by tenant_id
),

billing as (
    select
        tenants.tenant_id,
        {{ add_days('least(min(tenants.data_as_of_date), max(known_days.last_date))', -5) }} as charged_before
    from {{ ref('stg_tenants') }} as tenants
    inner join known_days
        on tenants.tenant_id = known_days.tenant_id
    where tenants.tenant_id in (select tenant_id from {{ ref('int_billed_lines') }})
    group by tenants.tenant_id
),

charged as (
    select tenant_id, encounter_id
    from {{ ref('int_charge_lines') }}
    where line_kind <> 'unapplied' and encounter_id is not null
    group by tenant_id, encounter_id
),

-- Whether a visit has a diagnosis is a question only where a feed states any.
diagnosing as (
    select distinct tenant_id from {{ ref('int_first_diagnoses') }}
),

-- Who boards leaves the emergency department with the first move to a bed after the decision, else with the end of
-- the emergency visit, else with the start of the stay.
boarded as (
    select
        encounter.tenant_id,
        encounter.encounter_id,
        min(visit.admit_decided_at) as admit_decided_at,
        coalesce(
            min(movement.occurred_at),
            min(emergency.ended_at),
            min(case when encounter.encounter_class <> 'EMER' then encounter.started_at end)
        ) as left_emergency_at
    from encounters as encounter
    inner join {{ ref('int_visit_times') }} as visit
        on encounter.tenant_id = visit.tenant_id
        and encounter.encounter_id = visit.encounter_id
    left join {{ ref('int_emergency_visits') }} as emergency
        on encounter.tenant_id = emergency.tenant_id
        and encounter.encounter_id = emergency.encounter_id
    left join {{ ref('int_bed_movements') }} as movement
        on encounter.tenant_id = movement.tenant_id
        and encounter.encounter_id = movement.encounter_id
        and movement.is_standing
        and movement.movement_type in ('admit', 'transfer')
        and movement.occurred_at >= visit.admit_decided_at
    where visit.admit_decided_at is not null and encounter.is_encounter
    group by encounter.tenant_id, encounter.encounter_id
)

select
    encounter.tenant_id,
    encounter.encounter_id,
    encounter.patient_id,
    visit.appointment_id,
    {{ service_unit_key('encounter.service_unit_id', 'encounter.tenant_id', 'encounter.encounter_date') }}
        as service_unit_key,
    encounter.service_unit_id,
    {{ entity_key('encounter.provider_id', 'encounter.tenant_id') }} as provider_key,
    encounter.provider_id,
    {{ entity_key('encounter.known_payer_id', 'encounter.tenant_id') }} as payer_key,
    encounter.known_payer_id as payer_id,
    coalesce(payer.payer_class, 'unmapped') as payer_class,
    {{ demographics('person', 'encounter.encounter_date') }},
    {{ patient_kind('visit_type', 'past') }},
    {{ first_diagnosis(['visit']) }},
    {{ entity_key('encounter.visit_type_id', 'encounter.tenant_id') }} as visit_type_key,
    encounter.visit_type_id,
    encounter.encounter_class,
    encounter.status,
    encounter.admission_source,
    encounter.discharge_disposition,
    encounter.source_system,
    encounter.source_position,
    cast(encounter.feeds as integer) as feeds,
    {{ weekday('encounter.local_started_at') }} as weekday,
    {{ hour_of_day('encounter.local_started_at') }} as hour_of_day,
    visit.expected_timestamps,
    visit.recorded_timestamps,
    visit.order_violations,
    visit.is_timed,
    visit.cycle_time_minutes,
    visit.presence_minutes,
    visit.wait_time_minutes,
    visit.room_to_provider_minutes,
    visit.provider_minutes,
    visit.room_minutes,
    visit.start_delay_minutes,
    case
        when boarded.left_emergency_at >= boarded.admit_decided_at
            then {{ minutes_between('boarded.admit_decided_at', 'boarded.left_emergency_at') }}
    end as boarding_minutes,
    emergency.emergency_minutes,
    encounter.length_of_stay_days,
    case
        when encounter.discharged_at is not null
            then {{ date_diff_days('encounter.local_stay_started_at', 'encounter.local_discharged_at') }}
    end as length_of_stay_midnights,
    case
        when returned.days_to_readmission <= {{ readmission_days }} then returned.days_to_readmission
    end as days_to_readmission,
    followed.follow_up_days,
    visit_type.is_new_patient,
    encounter.is_encounter,
    encounter.is_inpatient,
    encounter.status = 'finished' and not encounter.is_inpatient as is_completed_visit,
    case when billing.tenant_id is not null then
        encounter.status = 'finished' and not encounter.is_inpatient
        and encounter.encounter_date < billing.charged_before
    end as is_chargeable_visit,
    case when billing.tenant_id is not null then
        encounter.status = 'finished' and not encounter.is_inpatient
        and encounter.encounter_date < billing.charged_before
        and charged.encounter_id is null
    end as is_unbilled_visit,
    {%- for name, condition in [('has', 'is not null'), ('has_no', 'is null')] %}
    case when diagnosing.tenant_id is not null then
        encounter.status = 'finished' and not encounter.is_inpatient and diagnosis_of_visit.owner_id {{ condition }}
    end as {{ name }}_diagnosis,
    {%- endfor %}
    {{ date_diff_days('encounter.encounter_date', local_date('encounter.signed_at', 'encounter.time_zone')) }}
        as note_close_lag_days,
    encounter.discharged_at is not null as is_discharge,
    encounter.is_open_stay,
    boarded.encounter_id is not null as is_admit_decided,
    -- Who left less than thirty days before the data end could still come back.
    encounter.discharged_at is not null
    and encounter.patient_id is not null
    and coalesce(encounter.discharge_disposition, '') not in {{ no_index }}
    and coalesce(
        {{ date_diff_days('encounter.local_discharged_at', 'tenant.data_as_of_date') }} >= {{ readmission_days }}, false
    ) as is_readmission_index,
    encounter.encounter_date,
    cast(encounter.local_discharged_at as date) as discharge_date,
    encounter.local_started_at,
    encounter.local_discharged_at,
    encounter.started_at,
    greatest(encounter.discharged_at, encounter.ended_at) as ended_at,
    encounter.signed_at,
    visit.scheduled_start_at,
    visit.admit_decided_at,
    boarded.left_emergency_at,
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
inner join {{ ref('stg_tenants') }} as tenant on encounter.tenant_id = tenant.tenant_id
left join {{ ref('int_emergency_visits') }} as emergency
    on encounter.tenant_id = emergency.tenant_id
    and encounter.encounter_id = emergency.encounter_id
left join returned
    on encounter.tenant_id = returned.tenant_id
    and encounter.encounter_id = returned.encounter_id
left join followed
    on encounter.tenant_id = followed.tenant_id
    and encounter.encounter_id = followed.encounter_id
left join boarded
    on encounter.tenant_id = boarded.tenant_id
    and encounter.encounter_id = boarded.encounter_id
left join billing
    on encounter.tenant_id = billing.tenant_id
left join charged
    on encounter.tenant_id = charged.tenant_id
    and encounter.encounter_id = charged.encounter_id
left join {{ ref('int_payer_classes') }} as payer
    on encounter.tenant_id = payer.tenant_id
    and encounter.payer_id = payer.payer_id
    and encounter.encounter_date between payer.valid_from and payer.valid_to
{{- first_diagnosis_joins('encounter', {'visit': 'encounter_id'}) }}
left join diagnosing
    on encounter.tenant_id = diagnosing.tenant_id
left join {{ ref('int_patients') }} as person
    on encounter.tenant_id = person.tenant_id
    and encounter.patient_id = person.patient_id
left join {{ ref('int_visit_history') }} as past
    on encounter.tenant_id = past.tenant_id
    and encounter.patient_id = past.patient_id
    and encounter.encounter_date = past.day
order by encounter.tenant_id, encounter.encounter_date
