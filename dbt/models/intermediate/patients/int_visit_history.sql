{#- CPT: a patient is new whom nobody of the group saw within so many years. -#}
{%- set years = 3 -%}
with visits as (
    select tenant_id, patient_id, encounter_date as day
    from {{ ref('int_encounters') }}
    where status not in ('planned', 'cancelled', 'entered_in_error')
        and patient_id is not null
        and encounter_date is not null
),

days as (
    select tenant_id, patient_id, day, max(is_visit) as is_visit
    from (
        select tenant_id, patient_id, day, 1 as is_visit from visits
        union all
        select appointment.tenant_id, appointment.patient_id, outcome.appointment_date, 0
        from {{ ref('int_appointments') }} as appointment
        inner join {{ ref('int_appointment_outcomes') }} as outcome
            on appointment.tenant_id = outcome.tenant_id
            and appointment.appointment_id = outcome.appointment_id
        where appointment.patient_id is not null
            and outcome.appointment_date is not null
    ) as told
    group by tenant_id, patient_id, day
),

dated as (
    select
        tenant_id,
        patient_id,
        day,
        max(case when is_visit = 1 then day end) over (
            partition by tenant_id, patient_id
            order by day
            rows between unbounded preceding and 1 preceding
        ) as last_visit_date
    from days
),

-- Before the first visit that any feed brings, no visits are known. Feeds do not say whether they bring all visits since.
known as (
    select tenant_id, min(day) as first_known_date
    from visits
    group by tenant_id
)

select
    dated.tenant_id,
    dated.patient_id,
    dated.day,
    dated.last_visit_date,
    case
        when dated.last_visit_date > dated.day - interval '{{ years }} years' then 'established'
        when known.first_known_date <= dated.day - interval '{{ years }} years' then 'new'
        else 'unknown'
    end as patient_kind
from dated
left join known on dated.tenant_id = known.tenant_id
