-- What payers paid on a claim is on its lines, to the last fraction, with or without a match to its line.
with lines as (
    select
        tenant_id,
        claim_id,
        sum(payer_paid_amount) as payer_paid_amount,
        sum(contractual_amount) as contractual_amount
    from {{ ref('fct_charge_lines') }}
    where line_kind <> 'unapplied'
    group by tenant_id, claim_id
),

practice as (
    select tenant_id, claim_id, sum(contractual_amount) as contractual_amount
    from {{ ref('int_practice_events') }}
    group by tenant_id, claim_id
),

payers as (
    select
        tenant_id,
        claim_id,
        sum(payer_paid_amount) as payer_paid_amount,
        sum(contractual_amount) as contractual_amount
    from {{ ref('fct_remittance_claims') }}
    where is_matched
    group by tenant_id, claim_id
)

select payers.*, lines.payer_paid_amount as on_lines
from payers
left join lines
    on payers.tenant_id = lines.tenant_id
    and payers.claim_id = lines.claim_id
left join practice
    on payers.tenant_id = practice.tenant_id
    and payers.claim_id = practice.claim_id
where lines.claim_id is null and (payers.payer_paid_amount <> 0 or payers.contractual_amount <> 0)
    or lines.payer_paid_amount <> payers.payer_paid_amount
    or lines.contractual_amount <> payers.contractual_amount + coalesce(practice.contractual_amount, 0)
