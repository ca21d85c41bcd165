-- The first decision after a reversal of the same claim by the same payer: in the same payment, else the next one.
with answers as (
    select
        tenant_id,
        remittance_claim_id,
        claim_key,
        payer_id,
        is_reversal,
        row_number() over (
            partition by tenant_id, claim_key, payer_id
            order by payment_date, remittance_id, case when is_reversal then 0 else 1 end, remittance_claim_id
        ) as place
    from {{ ref('int_remittance_claims') }}
    where is_counted and claim_status_code not in ('23', '25')
)

select decisions.tenant_id, decisions.remittance_claim_id, reversals.remittance_claim_id as reversal_id
from answers as decisions
inner join answers as reversals
    on decisions.tenant_id = reversals.tenant_id
    and decisions.claim_key = reversals.claim_key
    and decisions.payer_id = reversals.payer_id
    and decisions.place = reversals.place + 1
    and not decisions.is_reversal
    and reversals.is_reversal
left join {{ ref('int_remittance_reversals') }} as taken_back
    on reversals.tenant_id = taken_back.tenant_id
    and reversals.remittance_claim_id = taken_back.remittance_claim_id
-- What a reversal takes back is not what follows it, though both be of one day.
where taken_back.reversed_remittance_claim_id is distinct from decisions.remittance_claim_id
order by decisions.tenant_id, decisions.remittance_claim_id
