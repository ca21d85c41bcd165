-- What was said of a claim before it was decided: statuses name it, acknowledgements name what it was sent in. A status
-- that says neither yes nor no is no answer. Of a number that stands for several claims a status means the one that is
-- most like it; where that could be two, none.
with statuses as (
    {{ collapse(ref('stg_claim_statuses'), 'claim_status', 'claim_status_id',
        ['claim_id', 'payer_claim_control_number', 'billing_provider_npi', 'billed_amount', 'service_from_date',
         'service_to_date', 'category_code', 'status_code', 'is_accepted', 'stage', 'reported_at']) }}
),

referring as (
    select
        tenant_id,
        claim_status_id as reference_id,
        claim_id as claim_number,
        billing_provider_npi,
        cast(null as varchar) as billing_tax_token,
        cast(null as varchar) as patient_id,
        service_from_date as first_day,
        coalesce(service_to_date, service_from_date) as last_day,
        abs(billed_amount) as billed_amount
    from statuses
    where is_accepted is not null
),

by_number as (
    select ranked.tenant_id, ranked.reference_id, min(bills.claim_id) as claim_id
    from (
        select *, rank() over (partition by tenant_id, reference_id order by likeness) as choice
        from ({{ bill_candidates('referring') }}) as found
    ) as ranked
    inner join {{ ref('int_bill_claims') }} as bills
        on ranked.tenant_id = bills.tenant_id
        and ranked.bill_id = bills.bill_id
    where ranked.choice = 1
    group by ranked.tenant_id, ranked.reference_id
    having count(distinct bills.claim_id) = 1
),

by_control_number as (
    select statuses.tenant_id, statuses.claim_status_id as reference_id, min(answered.claim_id) as claim_id
    from statuses
    inner join {{ ref('int_remittance_claims') }} as answered
        on statuses.tenant_id = answered.tenant_id
        and statuses.payer_claim_control_number = answered.payer_claim_control_number
    where answered.is_matched
    group by statuses.tenant_id, statuses.claim_status_id
    having count(distinct answered.claim_id) = 1
),

answers as (
    select
        statuses.tenant_id,
        'status/' || claim_status_id as answer_id,
        coalesce(by_number.claim_id, by_control_number.claim_id) as claim_id,
        statuses.claim_id as claim_number,
        coalesce(stage, 'unknown') as answered_by,
        category_code as outcome_code,
        coalesce(category_code, '') || ':' || coalesce(status_code, '') as reason_code,
        is_accepted,
        reported_at,
        source_system,
        source_record_id,
        source_position
    from statuses
    left join by_number
        on statuses.tenant_id = by_number.tenant_id
        and statuses.claim_status_id = by_number.reference_id
    left join by_control_number
        on statuses.tenant_id = by_control_number.tenant_id
        and statuses.claim_status_id = by_control_number.reference_id
    where is_accepted is not null
    union all
    select
        tenant_id,
        'acknowledgement/' || acknowledgement_id || '/' || coalesce(claim_id, ''),
        claim_id,
        claim_id,
        'transmission',
        min(outcome_code),
        min(coalesce(error_codes, 'none')),
        is_accepted,
        min(reported_at),
        min(source_system),
        min(source_record_id),
        min(source_position)
    from {{ ref('int_acknowledged_submissions') }}
    where is_accepted is not null
    group by tenant_id, acknowledgement_id, claim_id, is_accepted
)

select
    answers.tenant_id,
    answers.answer_id,
    claims.claim_id is not null as is_matched,
    coalesce(answers.claim_id, answers.claim_number, 'unknown') as claim_id,
    answers.claim_id as resolved_claim_id,
    answers.answered_by,
    answers.outcome_code,
    answers.reason_code,
    answers.is_accepted,
    answers.reported_at,
    answers.source_system,
    answers.source_record_id,
    answers.source_position
from answers
left join {{ ref('int_claims') }} as claims
    on answers.tenant_id = claims.tenant_id
    and answers.claim_id = claims.claim_id
order by answers.tenant_id, answers.claim_id
