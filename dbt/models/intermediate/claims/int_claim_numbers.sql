select
    tenant_id,
    claim_number,
    count(distinct claim_id) as claims,
    case when count(distinct claim_id) = 1 then min(claim_id) end as claim_id
from {{ ref('int_bill_claims') }}
where has_other_bills or claim_id <> claim_number
group by tenant_id, claim_number
having count(distinct claim_id) > 1 or min(claim_id) <> claim_number
