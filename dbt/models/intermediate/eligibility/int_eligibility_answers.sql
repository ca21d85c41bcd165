-- Whom and which payer each answer is about. Without a medical record number the member id tells, where it leads to one patient.
with members as (
    select distinct
        coverages.tenant_id,
        coverages.member_token,
        {{ current_id('coverages', 'patient') }} as patient_id,
        {{ current_id('coverages', 'payer') }} as payer_id
    from {{ ref('stg_coverages') }} as coverages
    {{ crosswalk_joins('coverages', ['patient', 'payer']) | indent(4) }}
    where coverages.member_token is not null
),

answers as (
    select
        stated.tenant_id,
        stated.source_system,
        stated.eligibility_answer_id,
        stated.patient_id as stated_patient_id,
        {{ current_id('stated', 'patient') }} as current_patient_id,
        {{ current_id('stated', 'payer') }} as current_payer_id,
        stated.member_token,
        stated.birth_year,
        stated.plan_name,
        stated.status,
        stated.reject_code,
        stated.answered_at,
        stated.valid_from,
        stated.valid_to,
        stated.source_record_id,
        stated.source_position
    from {{ ref('stg_eligibility_answers') }} as stated
    {{ crosswalk_joins('stated', ['patient', 'payer']) | indent(4) }}
),

candidates as (
    select
        answers.tenant_id,
        answers.source_system,
        answers.eligibility_answer_id,
        members.patient_id,
        members.payer_id,
        case when members.payer_id = answers.current_payer_id then 0 else 1 end as distance
    from answers
    inner join members
        on answers.tenant_id = members.tenant_id
        and answers.member_token = members.member_token
    left join {{ ref('int_patients') }} as person
        on members.tenant_id = person.tenant_id
        and members.patient_id = person.patient_id
    where coalesce(answers.current_patient_id, members.patient_id) = members.patient_id
        -- A family may share a member id.
        and coalesce(answers.birth_year, person.birth_year, 0) = coalesce(person.birth_year, answers.birth_year, 0)
),

nearest as (
    select
        candidates.*,
        min(distance) over (partition by tenant_id, source_system, eligibility_answer_id) as least_distance
    from candidates
),

matched as (
    select
        tenant_id,
        source_system,
        eligibility_answer_id,
        count(distinct patient_id) as patients,
        min(patient_id) as patient_id,
        count(distinct payer_id) as payers,
        min(payer_id) as payer_id
    from nearest
    where distance = least_distance
    group by tenant_id, source_system, eligibility_answer_id
)

select
    answers.tenant_id,
    answers.source_system,
    answers.eligibility_answer_id,
    case
        when answers.stated_patient_id is not null then person.patient_id
        when matched.patients = 1 then matched.patient_id
    end as patient_id,
    case
        when person.patient_id is not null then 'medical record number'
        when answers.stated_patient_id is not null then 'none'
        when matched.patients = 1 then 'member id'
        when matched.patients > 1 then 'several'
        else 'none'
    end as match_method,
    -- Clearing houses name payers in their own way. The coverage with this member id says which payer it is.
    case
        when matched.patients = 1 and matched.payers = 1 then matched.payer_id
        else answers.current_payer_id
    end as payer_id,
    answers.plan_name,
    answers.status,
    answers.reject_code,
    answers.status in ('active', 'inactive') as is_answered,
    answers.answered_at,
    {{ local_date('answers.answered_at', 'tenant.time_zone') }} as answer_date,
    answers.valid_from,
    answers.valid_to,
    answers.source_record_id,
    answers.source_position
from answers
inner join {{ ref('stg_tenants') }} as tenant on answers.tenant_id = tenant.tenant_id
left join {{ ref('int_patients') }} as person
    on answers.tenant_id = person.tenant_id
    and answers.current_patient_id = person.patient_id
left join matched
    on answers.tenant_id = matched.tenant_id
    and answers.source_system = matched.source_system
    and answers.eligibility_answer_id = matched.eligibility_answer_id
order by answers.tenant_id, answers.source_system, answers.eligibility_answer_id
