-- What was said of a claim before it was decided: statuses name it, acknowledgements name what it was sent in. A status
-- that says neither yes nor no is no answer.
with statuses as (
    {{ collapse(ref('stg_claim_statuses'), 'claim_status', 'claim_status_id',
        ['claim_id', 'category_code', 'status_code', 'is_accepted', 'stage', 'reported_at']) }}
),

answers as (
    select
        tenant_id,
        'status/' || claim_status_id as answer_id,
        claim_id,
        coalesce(stage, 'unknown') as answered_by,
        category_code as outcome_code,
        coalesce(category_code, '') || ':' || coalesce(status_code, '') as reason_code,
        is_accepted,
        reported_at,
        source_system,
        source_record_id,
        source_position
    from statuses
    where is_accepted is not null
    union all
    select
        tenant_id,
        'acknowledgement/' || acknowledgement_id || '/' || coalesce(claim_id, ''),
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
    coalesce(answers.claim_id, 'unknown') as claim_id,
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
