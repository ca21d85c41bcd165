-- A later payer often states again what was posted before it, with reason 23 or without. Of what it explains by others only
-- that part is new which the payments and reductions posted before do not hold, and never more than its own contractual
-- amount. Payers are taken in their order, so that it does not matter whose remittance came first.
with recursive reversed_claims as (
    select tenant_id, reversed_remittance_claim_id
    from {{ ref('int_remittance_reversals') }}
    where is_whole
),

primary_posted as (
    select tenant_id, claim_key, target, sum(payer_paid_amount + contractual_amount) as posted_amount
    from {{ ref('int_coordinated_amounts') }}
    where payer_sequence = 1
    group by tenant_id, claim_key, target
),

later as (
    select
        amounts.tenant_id,
        amounts.claim_key,
        amounts.remittance_claim_id,
        amounts.target,
        amounts.payer_paid_amount,
        amounts.contractual_amount,
        amounts.explained_amount,
        reversed_claims.reversed_remittance_claim_id is null as stands,
        row_number() over (
            partition by amounts.tenant_id, amounts.claim_key, amounts.target
            order by amounts.payer_sequence, amounts.adjudicated_date, amounts.remittance_claim_id
        ) as place
    from {{ ref('int_coordinated_amounts') }} as amounts
    left join reversed_claims
        on amounts.tenant_id = reversed_claims.tenant_id
        and amounts.remittance_claim_id = reversed_claims.reversed_remittance_claim_id
    left join {{ ref('int_remittance_reversals') }} as reversals
        on amounts.tenant_id = reversals.tenant_id
        and amounts.remittance_claim_id = reversals.remittance_claim_id
    where amounts.payer_sequence > 1 and reversals.remittance_claim_id is null
),

-- posted_amount is what payments and reductions of the payers before come to; a decision that was taken back adds nothing.
counted as (
    select
        later.tenant_id,
        later.claim_key,
        later.remittance_claim_id,
        later.target,
        later.place,
        {{ money('later.contractual_amount') }} as stated_amount,
        {{ money(new_contractual('later', 'coalesce(primary_posted.posted_amount, 0)')) }} as counted_amount,
        {{ money('coalesce(primary_posted.posted_amount, 0) + case when later.stands then later.payer_paid_amount + '
            ~ new_contractual('later', 'coalesce(primary_posted.posted_amount, 0)') ~ ' else 0 end') }} as posted_amount
    from later
    left join primary_posted
        on later.tenant_id = primary_posted.tenant_id
        and later.claim_key = primary_posted.claim_key
        and later.target = primary_posted.target
    where later.place = 1
    union all
    select
        later.tenant_id,
        later.claim_key,
        later.remittance_claim_id,
        later.target,
        later.place,
        {{ money('later.contractual_amount') }},
        {{ money(new_contractual('later', 'counted.posted_amount')) }},
        {{ money('counted.posted_amount + case when later.stands then later.payer_paid_amount + '
            ~ new_contractual('later', 'counted.posted_amount') ~ ' else 0 end') }}
    from counted
    inner join later
        on counted.tenant_id = later.tenant_id
        and counted.claim_key = later.claim_key
        and counted.target = later.target
        and later.place = counted.place + 1
)

select tenant_id, remittance_claim_id, target, stated_amount, counted_amount
from counted
union all
-- A reversal takes back what the decision lowered the balance by.
select
    amounts.tenant_id,
    amounts.remittance_claim_id,
    amounts.target,
    amounts.contractual_amount,
    {{ money('greatest(amounts.contractual_amount, - coalesce(counted.counted_amount, 0))') }}
from {{ ref('int_coordinated_amounts') }} as amounts
inner join {{ ref('int_remittance_reversals') }} as reversals
    on amounts.tenant_id = reversals.tenant_id
    and amounts.remittance_claim_id = reversals.remittance_claim_id
left join counted
    on reversals.tenant_id = counted.tenant_id
    and reversals.reversed_remittance_claim_id = counted.remittance_claim_id
    and amounts.target = counted.target
where amounts.payer_sequence > 1
order by 1, 2
