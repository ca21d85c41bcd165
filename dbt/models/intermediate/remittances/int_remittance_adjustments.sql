with collapsed as (
    {{ collapse(ref('stg_remittance_adjustments'), 'remittance_adjustment', 'remittance_adjustment_id',
        ['remittance_claim_id', 'remittance_line_id', 'claim_id', 'group_code', 'reason_code', 'adjustment_amount',
         'quantity'], winner_only=['remittance_line_id']) }}
),

-- A version of the ruleset is what it says itself over what earlier versions said.
ranked_rules as (
    select
        *,
        row_number() over (partition by group_code, reason_code order by ruleset_version desc) as recency
    from {{ ref('denial_ruleset') }}
    where ruleset_version <= {{ var('denial_ruleset_version') }}
),

rules as (
    select * from ranked_rules
    where recency = 1
),

-- The most particular rule wins: group and reason, any group with the reason, the group with any reason, the rest.
ruled as (
    select
        collapsed.tenant_id,
        collapsed.remittance_adjustment_id,
        collapsed.remittance_claim_id,
        collapsed.remittance_line_id,
        collapsed.group_code,
        collapsed.reason_code,
        collapsed.adjustment_amount,
        collapsed.quantity,
        collapsed.source_system,
        collapsed.source_record_id,
        collapsed.source_position,
        coalesce(exact.category, reason.category, grouped.category, rest.category) as denial_category,
        coalesce(exact.leaves_balance, reason.leaves_balance, grouped.leaves_balance, rest.leaves_balance)
            as is_contractual,
        coalesce(exact.is_cost_share, reason.is_cost_share, grouped.is_cost_share, rest.is_cost_share)
            and collapsed.group_code = 'PR' as is_cost_share,
        coalesce(exact.counts_as_denial, reason.counts_as_denial, grouped.counts_as_denial, rest.counts_as_denial)
            as counts_as_denial,
        coalesce(exact.is_preventable, reason.is_preventable, grouped.is_preventable, rest.is_preventable)
            as is_preventable
    from collapsed
    left join rules as exact
        on collapsed.group_code = exact.group_code
        and collapsed.reason_code = exact.reason_code
    left join rules as reason
        on reason.group_code = '*'
        and collapsed.reason_code = reason.reason_code
    left join rules as grouped
        on collapsed.group_code = grouped.group_code
        and grouped.reason_code = '*'
    inner join rules as rest
        on rest.group_code = '*'
        and rest.reason_code = '*'
),

-- A later payer repeats the first one's contractual part unless it states what the payers before it did (reason 23).
states_prior_payer as (
    select tenant_id, remittance_claim_id
    from collapsed
    where reason_code = '23'
    group by tenant_id, remittance_claim_id
)

select
    ruled.tenant_id,
    ruled.remittance_adjustment_id,
    ruled.remittance_claim_id,
    ruled.remittance_line_id,
    claims.claim_key,
    ruled.group_code,
    ruled.reason_code,
    ruled.adjustment_amount,
    ruled.quantity,
    ruled.denial_category,
    ruled.is_contractual
    and claims.is_matched
    and (claims.payer_sequence = 1 or states_prior_payer.remittance_claim_id is not null) as leaves_balance,
    ruled.is_contractual,
    ruled.is_cost_share,
    ruled.counts_as_denial,
    ruled.is_preventable,
    ruled.denial_category = 'sequestration' as is_sequestration,
    {{ var('denial_ruleset_version') }} as ruleset_version,
    ruled.source_system,
    ruled.source_record_id,
    ruled.source_position
from ruled
inner join {{ ref('int_remittance_claims') }} as claims
    on ruled.tenant_id = claims.tenant_id
    and ruled.remittance_claim_id = claims.remittance_claim_id
    and claims.is_counted
left join states_prior_payer
    on ruled.tenant_id = states_prior_payer.tenant_id
    and ruled.remittance_claim_id = states_prior_payer.remittance_claim_id
order by ruled.tenant_id, ruled.remittance_claim_id
