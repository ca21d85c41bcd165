-- What of each amount lowers the balance: of the primary payer all that is contractual, of a later one what was not posted
-- before. Where only a part of a later payer's amounts counts, sequestration counts first: nobody takes it off twice.
with judged as (
    select
        reasons.*,
        claims.claim_key,
        claims.is_matched and claims.claim_status_code not in ('23', '25') as is_decision,
        coalesce(on_line.target, on_claim.target) as target,
        coalesce(on_line.counted_amount, on_claim.counted_amount) as counted_amount,
        coalesce(on_line.stated_amount, on_claim.stated_amount) as stated_amount
    from {{ ref('int_adjustment_reasons') }} as reasons
    inner join {{ ref('int_remittance_claims') }} as claims
        on reasons.tenant_id = claims.tenant_id
        and reasons.remittance_claim_id = claims.remittance_claim_id
    left join {{ ref('int_remittance_line_matches') }} as matches
        on reasons.tenant_id = matches.tenant_id
        and reasons.remittance_line_id = matches.remittance_line_id
    left join {{ ref('int_coordinated_contractuals') }} as on_line
        on reasons.tenant_id = on_line.tenant_id
        and reasons.remittance_claim_id = on_line.remittance_claim_id
        and matches.charge_line_id = on_line.target
    left join {{ ref('int_coordinated_contractuals') }} as on_claim
        on reasons.tenant_id = on_claim.tenant_id
        and reasons.remittance_claim_id = on_claim.remittance_claim_id
        and on_claim.target = 'claim'
),

-- A part is handed out in order, as far as it goes.
running as (
    select
        tenant_id,
        remittance_adjustment_id,
        case
            when counted_amount > 0 then least(sum(stated_contractual_amount) over line, counted_amount)
            when counted_amount < 0 then greatest(sum(stated_contractual_amount) over line, counted_amount)
            else 0
        end as part_after,
        case
            when counted_amount > 0 then least(sum(stated_contractual_amount) over line - stated_contractual_amount, counted_amount)
            when counted_amount < 0 then greatest(sum(stated_contractual_amount) over line - stated_contractual_amount, counted_amount)
            else 0
        end as part_before
    from judged
    where counted_amount <> stated_amount
    window line as (
        partition by tenant_id, remittance_claim_id, target
        order by case when is_sequestration then 0 else 1 end, remittance_adjustment_id
        rows unbounded preceding
    )
)

select
    judged.tenant_id,
    judged.remittance_adjustment_id,
    judged.remittance_claim_id,
    judged.remittance_line_id,
    judged.claim_key,
    judged.group_code,
    judged.reason_code,
    judged.adjustment_amount,
    judged.quantity,
    judged.denial_category,
    case when judged.is_decision
        then coalesce(running.part_after - running.part_before, judged.stated_contractual_amount)
        else 0 end as contractual_amount,
    -- Which line a part belongs to is not known where amounts were compared on the claim.
    judged.remittance_line_id is not null
    and not (judged.target is not distinct from 'claim' and judged.counted_amount <> judged.stated_amount)
        as is_on_line,
    judged.is_contractual,
    judged.is_cost_share,
    judged.counts_as_denial,
    judged.is_preventable,
    judged.is_sequestration,
    judged.ruleset_version,
    judged.source_system,
    judged.source_record_id,
    judged.source_position
from judged
left join running
    on judged.tenant_id = running.tenant_id
    and judged.remittance_adjustment_id = running.remittance_adjustment_id
order by judged.tenant_id, judged.remittance_claim_id
