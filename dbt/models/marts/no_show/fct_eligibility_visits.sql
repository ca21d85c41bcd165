-- Visits whose insurance could be checked: finished, not an emergency, with an insurer, within the days of which answers are known.
with known_days as (
    select tenant_id, min(answer_date) as first_date, max(answer_date) as last_date
    from {{ ref('int_eligibility_answers') }}
    group by tenant_id
),

-- The payer that the first claim of a visit was sent to.
billed as (
    select tenant_id, encounter_id, payer_id
    from (
        select
            context.*,
            row_number() over (
                partition by tenant_id, encounter_id
                order by case when first_submitted_date is null then 1 else 0 end, first_submitted_date, claim_id
            ) as choice
        from {{ ref('int_claim_context') }} as context
        where encounter_id is not null and is_submitted and payer_id <> 'unknown'
    ) as ranked
    where choice = 1
),

asked as (
    select
        checks.tenant_id,
        checks.encounter_id,
        max(case when checks.payer_id = billed.payer_id then 1 else 0 end) as is_billed_payer_asked,
        max(case when checks.payer_id <> billed.payer_id and checks.is_active_on_day then 1 else 0 end)
            as is_another_payer_active
    from {{ ref('int_eligibility_checks') }} as checks
    left join billed
        on checks.tenant_id = billed.tenant_id
        and checks.encounter_id = billed.encounter_id
    where checks.is_answered
    group by checks.tenant_id, checks.encounter_id
),

visits as (
    select
        visit.*,
        answer.source_system as answer_source_system,
        answer.eligibility_answer_id,
        answer.encounter_id is not null as has_answer,
        coalesce(answer.is_of_visit_payer, false) as is_checked,
        case when answer.is_of_visit_payer then answer.days_before end as checked_days_before,
        coalesce(answer.is_of_visit_payer and not answer.is_active_on_day, false) as is_coverage_inactive,
        coalesce(asked.is_another_payer_active = 1 and asked.is_billed_payer_asked = 0, false) as is_other_payer_billed,
        billed.payer_id as billed_payer_id,
        case when answer.is_of_visit_payer and answer.is_active_on_day then share.copay_amount end as copay_due_amount,
        case when answer.is_of_visit_payer then share.deductible_amount end as deductible_amount,
        case when answer.is_of_visit_payer then share.deductible_left_amount end as deductible_left_amount,
        case when answer.is_of_visit_payer then share.coinsurance_percent end as coinsurance_percent,
        greatest(coalesce(payments.paid_at_visit_amount, 0), 0) as paid_at_visit_amount
    from {{ ref('fct_encounters') }} as visit
    inner join known_days
        on visit.tenant_id = known_days.tenant_id
        and visit.encounter_date between known_days.first_date and known_days.last_date
    left join (
        select * from {{ ref('int_eligibility_checks') }} where answer_choice = 1 and is_answered
    ) as answer
        on visit.tenant_id = answer.tenant_id
        and visit.encounter_id = answer.encounter_id
    left join {{ ref('int_eligibility_benefits') }} as share
        on answer.tenant_id = share.tenant_id
        and answer.source_system = share.source_system
        and answer.eligibility_answer_id = share.eligibility_answer_id
    left join asked
        on visit.tenant_id = asked.tenant_id
        and visit.encounter_id = asked.encounter_id
    left join billed
        on visit.tenant_id = billed.tenant_id
        and visit.encounter_id = billed.encounter_id
    left join {{ ref('int_visit_payments') }} as payments
        on visit.tenant_id = payments.tenant_id
        and visit.encounter_id = payments.encounter_id
    where visit.is_completed_visit
        and visit.encounter_class not in ('EMER', 'OBSENC')
        and visit.patient_id is not null
        and visit.payer_id <> 'unknown'
        and visit.payer_class <> 'self_pay'
)

select
    tenant_id,
    encounter_id,
    patient_id,
    appointment_id,
    service_unit_key,
    service_unit_id,
    provider_key,
    provider_id,
    payer_key,
    payer_id,
    payer_class,
    age_band,
    sex,
    language,
    zip3,
    patient_kind,
    visit_type_key,
    visit_type_id,
    eligibility_answer_id,
    billed_payer_id,
    has_answer,
    is_checked,
    checked_days_before,
    is_coverage_inactive,
    is_other_payer_billed,
    is_coverage_inactive or is_other_payer_billed as is_wrong_at_visit,
    {{ money('copay_due_amount') }} as copay_due_amount,
    {{ money('case when copay_due_amount is not null then least(paid_at_visit_amount, copay_due_amount) end') }}
        as copay_collected_amount,
    {{ money('paid_at_visit_amount') }} as paid_at_visit_amount,
    {{ money('deductible_amount') }} as deductible_amount,
    {{ money('deductible_left_amount') }} as deductible_left_amount,
    cast(coinsurance_percent as decimal(18, 4)) as coinsurance_percent,
    encounter_date,
    source_system,
    source_position
from visits
order by tenant_id, encounter_date
