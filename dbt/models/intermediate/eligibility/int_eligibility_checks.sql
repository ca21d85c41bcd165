{#- An answer counts for the visits on its day and on so many days after it. Most payers let a change of insurance take effect with a month. -#}
{%- set checked_days = 30 -%}
-- Answers that came before a visit of their patient. On the day of the visit an answer must come before the visit begins.
with pairs as (
    select
        visits.tenant_id,
        visits.encounter_id,
        visits.service_unit_id,
        visits.payer_id as visit_payer_id,
        visits.encounter_date,
        answers.source_system,
        answers.eligibility_answer_id,
        answers.payer_id,
        answers.status,
        answers.is_answered,
        answers.answered_at,
        {{ date_diff_days(local_date('answers.answered_at', 'visits.time_zone'), 'visits.encounter_date') }} as days_before,
        visits.started_at,
        case
            when answers.status = 'active' then
                coalesce(answers.valid_from, visits.encounter_date) <= visits.encounter_date
                and coalesce(answers.valid_to, visits.encounter_date) >= visits.encounter_date
            else false
        end as is_active_on_day
    from {{ ref('int_encounters') }} as visits
    inner join {{ ref('int_eligibility_answers') }} as answers
        on visits.tenant_id = answers.tenant_id
        and visits.patient_id = answers.patient_id
    where visits.status not in ('cancelled', 'entered_in_error')
        and answers.answered_at <= visits.started_at
)

select
    tenant_id,
    encounter_id,
    source_system,
    eligibility_answer_id,
    service_unit_id,
    payer_id,
    status,
    is_answered,
    is_active_on_day,
    days_before,
    encounter_date,
    coalesce(payer_id = visit_payer_id, false) as is_of_visit_payer,
    row_number() over (
        partition by tenant_id, encounter_id
        order by
            case when is_answered then 0 else 1 end,
            case when payer_id = visit_payer_id then 0 else 1 end,
            answered_at desc,
            source_system,
            eligibility_answer_id
    ) as answer_choice,
    row_number() over (
        partition by tenant_id, source_system, eligibility_answer_id
        order by started_at, encounter_id
    ) as visit_choice
from pairs
where days_before <= {{ checked_days }}
order by tenant_id, encounter_id
