{#
    The same visit under different identifiers, by two rules, in this order (README.md, "One visit"):
    1. appointment: both name the same appointment, or it names them, and they do not name two patients;
    2. time: the same patient, the same unit or one that contains the other, the same group of classes, overlapping or
       on the same local day. Cancelled visits are left out, and so is a class that is not known or a pre-admission.
    What the first rule joined is one visit to the second.
#}
{%- set class_groups = {
    'inpatient': ['IMP', 'ACUTE', 'NONAC'],
    'emergency': ['EMER'],
    'observation': ['OBSENC'],
    'ambulatory': ['AMB', 'SS', 'VR', 'HH', 'FLD'],
} -%}
with recursive booked as (
    select candidates.tenant_id, candidates.encounter_id, min(appointments.appointment_id) as appointment_id
    from {{ ref('int_encounter_candidates') }} as candidates
    inner join {{ ref('stg_appointments') }} as appointments
        on candidates.tenant_id = appointments.tenant_id
        and candidates.encounter_id = appointments.encounter_id
    where candidates.appointment_id is null
        and appointments.status not in ('cancelled', 'rescheduled', 'entered_in_error')
    group by candidates.tenant_id, candidates.encounter_id
),

encounters as (
    select
        candidates.*,
        candidates.encounter_id as visit_id,
        coalesce(candidates.appointment_id, booked.appointment_id) as visit_appointment_id
    from {{ ref('int_encounter_candidates') }} as candidates
    left join booked
        on candidates.tenant_id = booked.tenant_id
        and candidates.encounter_id = booked.encounter_id
),

{{ encounter_matches('appointment', 'encounters', 'one.visit_appointment_id = other.visit_appointment_id
        and coalesce(one.patient_id = other.patient_id, true)') }},

named as (
    select
        encounters.*,
        coalesce(matched.current_visit_id, encounters.visit_id) as joined_id
    from encounters
    left join appointment_matched as matched
        on encounters.tenant_id = matched.tenant_id
        and encounters.visit_id = matched.visit_id
),

visits as (
    select
        named.tenant_id,
        named.joined_id as visit_id,
        cast(sum(named.feed_bits) as bigint) as feed_bits,
        min(named.feed_number) as feed_number,
        {{ first_known('named.patient_id', 'named.feed_number') }} as patient_id,
        {{ first_known('units.path', 'named.feed_number') }} as path,
        case {{ first_known('named.encounter_class', 'named.feed_number') }}
            {%- for group, classes in class_groups.items() %}
            {%- for class in classes %}
            when '{{ class }}' then '{{ group }}'
            {%- endfor %}
            {%- endfor %}
        end as class_group,
        {{ first_known('named.started_at', 'named.feed_number') }} as started_at,
        {{ first_known('named.ended_at', 'named.feed_number') }} as ended_at,
        {{ first_known(local_date('named.started_at', 'units.time_zone'), 'named.feed_number') }} as visit_date
    from named
    left join {{ ref('int_service_units') }} as units
        on named.tenant_id = units.tenant_id
        and named.service_unit_id = units.service_unit_id
    group by named.tenant_id, named.joined_id
    having {{ first_known('named.status', 'named.feed_number') }} not in ('cancelled', 'entered_in_error')
),

{{ encounter_matches('time', 'visits', "one.patient_id = other.patient_id
        and one.class_group = other.class_group
        and (left(one.path, length(other.path)) = other.path or left(other.path, length(one.path)) = one.path)
        and (
            one.visit_date = other.visit_date
            or (one.started_at <= other.ended_at and other.started_at <= one.ended_at)
        )") }}

select
    tenant_id,
    visit_id as encounter_id,
    current_visit_id as current_encounter_id,
    'appointment' as match_rule,
    case when current_visit_id is null then 'ambiguous' else 'matched' end as outcome
from appointment_matched
union all
select
    tenant_id,
    visit_id,
    current_visit_id,
    'time',
    case when current_visit_id is null then 'ambiguous' else 'matched' end
from time_matched
