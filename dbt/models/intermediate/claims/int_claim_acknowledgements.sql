with ranked as (
    select
        *,
        row_number() over (
            partition by tenant_id, claim_id, is_accepted order by reported_at, answer_id
        ) as place
    from {{ ref('int_claim_answers') }}
    where is_matched
)

select
    tenant_id,
    claim_id,
    cast(count(*) as integer) as answers,
    min(reported_at) as first_answered_at,
    max(case when is_accepted then 0 else 1 end) = 1 as is_rejected,
    max(case when not is_accepted and place = 1 then answered_by end) as rejected_by
from ranked
group by tenant_id, claim_id
order by tenant_id, claim_id
