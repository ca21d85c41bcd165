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
        claims.claim_key,
        claims.is_matched and claims.claim_status_code not in ('23', '25') as is_decision,
        -- A reversal states amounts with the sign turned.
        case when claims.is_reversal then -1 else 1 end as direction,
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
    inner join {{ ref('int_remittance_claims') }} as claims
        on collapsed.tenant_id = claims.tenant_id
        and collapsed.remittance_claim_id = claims.remittance_claim_id
        and claims.is_counted
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

-- Reasons that come in pairs are judged over the lines of a claim payment: what one line is paid above its charge is the
-- charge of the lines that its payment includes.
excesses as (
    select
        ruled.tenant_id,
        ruled.remittance_claim_id,
        - sum(case when pairs.nets_over_claim then direction * adjustment_amount
            else least(direction * adjustment_amount, 0) end) as excess_amount
    from ruled
    inner join {{ ref('adjustment_pairs') }} as pairs
        on ruled.reason_code = pairs.reason_code
        and pairs.side = 'excess'
    group by ruled.tenant_id, ruled.remittance_claim_id
    having sum(case when pairs.nets_over_claim then direction * adjustment_amount
        else least(direction * adjustment_amount, 0) end) < 0
),

-- The lines that the payer processed under one procedure code belong together.
bundles as (
    select ruled.tenant_id, ruled.remittance_claim_id, lines.adjudicated_code
    from ruled
    inner join {{ ref('adjustment_pairs') }} as pairs
        on ruled.reason_code = pairs.reason_code
        and pairs.side = 'excess'
    inner join {{ ref('int_remittance_line_amounts') }} as lines
        on ruled.tenant_id = lines.tenant_id
        and ruled.remittance_line_id = lines.remittance_line_id
    where ruled.direction * ruled.adjustment_amount < 0
    group by ruled.tenant_id, ruled.remittance_claim_id, lines.adjudicated_code
),

included as (
    select
        ruled.tenant_id,
        ruled.remittance_adjustment_id,
        ruled.direction,
        ruled.adjustment_amount,
        excesses.excess_amount,
        sum(ruled.direction * ruled.adjustment_amount) over (
            partition by ruled.tenant_id, ruled.remittance_claim_id
            order by
                case when bundles.adjudicated_code is null then 1 else 0 end,
                lines.line_number,
                ruled.remittance_adjustment_id
            rows unbounded preceding
        ) as included_amount
    from ruled
    inner join {{ ref('adjustment_pairs') }} as pairs
        on ruled.reason_code = pairs.reason_code
        and pairs.side = 'included'
    inner join excesses
        on ruled.tenant_id = excesses.tenant_id
        and ruled.remittance_claim_id = excesses.remittance_claim_id
    inner join {{ ref('int_remittance_line_amounts') }} as lines
        on ruled.tenant_id = lines.tenant_id
        and ruled.remittance_line_id = lines.remittance_line_id
    left join bundles
        on ruled.tenant_id = bundles.tenant_id
        and ruled.remittance_claim_id = bundles.remittance_claim_id
        and lines.adjudicated_code = bundles.adjudicated_code
    where ruled.direction * ruled.adjustment_amount > 0
),

paired as (
    select
        tenant_id,
        remittance_adjustment_id,
        direction * least(direction * adjustment_amount, excess_amount - included_amount + direction * adjustment_amount)
            as paired_amount
    from included
    where excess_amount - included_amount + direction * adjustment_amount > 0
)

select
    ruled.tenant_id,
    ruled.remittance_adjustment_id,
    ruled.remittance_claim_id,
    ruled.remittance_line_id,
    ruled.claim_key,
    ruled.is_decision,
    ruled.group_code,
    ruled.reason_code,
    ruled.adjustment_amount,
    ruled.quantity,
    ruled.denial_category,
    ruled.is_contractual or coalesce(paired.paired_amount = ruled.adjustment_amount, false) as is_contractual,
    case when ruled.is_contractual then ruled.adjustment_amount else coalesce(paired.paired_amount, 0) end
        as stated_contractual_amount,
    ruled.is_cost_share,
    ruled.counts_as_denial and not coalesce(paired.paired_amount = ruled.adjustment_amount, false) as counts_as_denial,
    ruled.is_preventable and not coalesce(paired.paired_amount = ruled.adjustment_amount, false) as is_preventable,
    ruled.denial_category = 'sequestration' as is_sequestration,
    {{ var('denial_ruleset_version') }} as ruleset_version,
    ruled.source_system,
    ruled.source_record_id,
    ruled.source_position
from ruled
left join paired
    on ruled.tenant_id = paired.tenant_id
    and ruled.remittance_adjustment_id = paired.remittance_adjustment_id
order by ruled.tenant_id, ruled.remittance_claim_id
