with decided as (
    select
        tenant_id,
        claim_key,
        count(*) as remittance_claims,
        sum(billed_amount) as remitted_billed_amount,
        sum(payer_paid_amount) as payer_paid_amount,
        min(claim_id) as claim_id,
        min(payer_id) as payer_id,
        min(coalesce(service_from_date, adjudicated_date)) as service_date,
        min(case when is_primary_decision and decision_number = 1 then adjudicated_date end) as first_decision_date,
        max(case when is_primary_decision and decision_number = 1 and is_denied then 1 else 0 end) as is_denied,
        max(case when is_primary_decision and decision_number = 1 and payer_paid_amount > 0 then 1 else 0 end)
            as is_paid_first,
        max(case when is_primary_decision and decision_number = 1 then remittance_claim_id end)
            as first_remittance_claim_id,
        max(case when is_primary_decision and decision_number > 1 and allowed_amount > 0 then 1 else 0 end)
            as is_allowed_later,
        sum(case when is_primary_decision and decision_number = 1 then billed_amount else 0 end) as first_billed_amount,
        min(case when is_primary_decision and decision_number > 1 and allowed_amount > 0 then adjudicated_date end)
            as first_allowed_later_date,
        max(case when is_reversal then 1 else 0 end) as has_reversal,
        min(source_system) as source_system,
        min(source_record_id) as source_record_id,
        min(source_position) as source_position
    from {{ ref('int_adjudications') }}
    group by tenant_id, claim_key
),

-- The denial that weighs most names the claim's denial.
reasons as (
    select
        tenant_id,
        remittance_claim_id,
        denial_category,
        group_code,
        reason_code,
        sum(sum(adjustment_amount)) over (partition by tenant_id, remittance_claim_id) as denied_amount,
        row_number() over (
            partition by tenant_id, remittance_claim_id
            order by sum(adjustment_amount) desc, reason_code, group_code
        ) as weight
    from {{ ref('int_remittance_adjustments') }}
    where counts_as_denial
    group by tenant_id, remittance_claim_id, denial_category, group_code, reason_code
)

select
    decided.tenant_id,
    decided.claim_key,
    decided.remittance_claims,
    decided.remitted_billed_amount,
    decided.payer_paid_amount,
    decided.claim_id,
    decided.payer_id,
    decided.service_date,
    decided.first_decision_date,
    decided.is_denied,
    decided.is_paid_first,
    decided.is_allowed_later,
    decided.first_billed_amount,
    decided.first_allowed_later_date,
    decided.has_reversal,
    reasons.denial_category,
    reasons.group_code || '-' || reasons.reason_code as denial_carc,
    reasons.denied_amount,
    decided.source_system,
    decided.source_record_id,
    decided.source_position
from decided
left join reasons
    on decided.tenant_id = reasons.tenant_id
    and decided.first_remittance_claim_id = reasons.remittance_claim_id
    and reasons.weight = 1
order by decided.tenant_id, decided.claim_key
