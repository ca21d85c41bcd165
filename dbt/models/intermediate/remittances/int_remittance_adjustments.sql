-- What of each amount lowers the balance: of the primary payer all that is contractual, of a later one what was not posted
-- before. Where only a part of a later payer's amounts counts, sequestration counts first: nobody takes it off twice. A view,
-- because nearly all rows are those of int_adjustment_reasons.
{{ config(materialized='view') }}
with parts as (
    select
        reasons.tenant_id,
        reasons.remittance_adjustment_id,
        reasons.stated_contractual_amount,
        counted.target,
        counted.counted_amount,
        sum(reasons.stated_contractual_amount) over (
            partition by reasons.tenant_id, reasons.remittance_claim_id, counted.target
            order by case when reasons.is_sequestration then 0 else 1 end, reasons.remittance_adjustment_id
            rows unbounded preceding
        ) as running_amount
    from {{ ref('int_coordinated_contractuals') }} as counted
    inner join {{ ref('int_adjustment_reasons') }} as reasons
        on counted.tenant_id = reasons.tenant_id
        and counted.remittance_claim_id = reasons.remittance_claim_id
    left join {{ ref('int_remittance_line_matches') }} as matches
        on reasons.tenant_id = matches.tenant_id
        and reasons.remittance_line_id = matches.remittance_line_id
    where counted.counted_amount <> counted.stated_amount
        and (counted.target = 'claim' or counted.target = matches.charge_line_id)
),

-- A part is handed out in order, as far as it goes.
handed_out as (
    select
        tenant_id,
        remittance_adjustment_id,
        target,
        case
            when counted_amount > 0
                then least(running_amount, counted_amount)
                    - least(running_amount - stated_contractual_amount, counted_amount)
            when counted_amount < 0
                then greatest(running_amount, counted_amount)
                    - greatest(running_amount - stated_contractual_amount, counted_amount)
            else 0
        end as contractual_amount
    from parts
)

select
    reasons.tenant_id,
    reasons.remittance_adjustment_id,
    reasons.remittance_claim_id,
    reasons.remittance_line_id,
    reasons.claim_key,
    reasons.group_code,
    reasons.reason_code,
    reasons.adjustment_amount,
    reasons.quantity,
    reasons.denial_category,
    {{ money('case when reasons.is_decision
        then coalesce(handed_out.contractual_amount, reasons.stated_contractual_amount)
        else 0 end') }} as contractual_amount,
    -- Which line a part belongs to is not known where amounts were compared on the claim.
    reasons.remittance_line_id is not null and handed_out.target is distinct from 'claim' as is_on_line,
    reasons.is_contractual,
    reasons.is_cost_share,
    reasons.counts_as_denial,
    reasons.is_preventable,
    reasons.is_sequestration,
    reasons.ruleset_version,
    reasons.source_system,
    reasons.source_record_id,
    reasons.source_position
from {{ ref('int_adjustment_reasons') }} as reasons
left join handed_out
    on reasons.tenant_id = handed_out.tenant_id
    and reasons.remittance_adjustment_id = handed_out.remittance_adjustment_id
