-- The latest word counts: what was allowed once and denied, or taken back, later is not allowed. What a decision allows for the
-- claim as a whole stands on the lines it is spread over.
with taken_back as (
    select tenant_id, reversed_remittance_claim_id
    from {{ ref('int_remittance_reversals') }}
    where is_whole
),

allowed as (
    select tenant_id, charge_line_id, remittance_claim_id, adjudicated_date, allowed_amount
    from {{ ref('int_remittance_lines') }}
    where charge_line_id is not null and payer_sequence = 1 and not is_reversal
    union all
    select shares.tenant_id, shares.charge_line_id, claims.remittance_claim_id, claims.adjudicated_date, shares.allowed_amount
    from {{ ref('int_claim_event_shares') }} as shares
    inner join {{ ref('int_adjudications') }} as claims
        on shares.tenant_id = claims.tenant_id
        and shares.event_id = 'claim/' || claims.remittance_claim_id
        and claims.payer_sequence = 1
        and not claims.is_reversal
),

decisions as (
    select tenant_id, charge_line_id, remittance_claim_id, adjudicated_date, sum(allowed_amount) as allowed_amount
    from allowed
    group by tenant_id, charge_line_id, remittance_claim_id, adjudicated_date
),

ranked as (
    select
        decisions.tenant_id,
        decisions.charge_line_id,
        decisions.allowed_amount,
        row_number() over (
            partition by decisions.tenant_id, decisions.charge_line_id
            order by decisions.adjudicated_date desc, decisions.remittance_claim_id desc
        ) as recency
    from decisions
    left join taken_back
        on decisions.tenant_id = taken_back.tenant_id
        and decisions.remittance_claim_id = taken_back.reversed_remittance_claim_id
    where taken_back.reversed_remittance_claim_id is null
)

select tenant_id, charge_line_id, allowed_amount
from ranked
where recency = 1 and allowed_amount > 0
order by tenant_id, charge_line_id
