-- What a claim payment says as a whole, claim level and lines together, and what of it no line carries.
with adjusted as (
    select
        tenant_id,
        remittance_claim_id,
        sum(contractual_amount) as contractual_amount,
        -- Sequestration is taken off what was allowed.
        sum(case when (is_cost_share or is_sequestration) and remittance_line_id is null then adjustment_amount else 0 end)
            as unlined_cost_share_amount,
        sum(case when group_code = 'PR' then adjustment_amount else 0 end) as patient_share_amount,
        sum(case when counts_as_denial then adjustment_amount - contractual_amount else 0 end) as denial_amount,
        max(case when counts_as_denial then 1 else 0 end) = 1 as has_denial_reason,
        max(case when denial_category = 'duplicate' then 1 else 0 end) = 1 as has_duplicate_reason
    from {{ ref('int_remittance_adjustments') }}
    group by tenant_id, remittance_claim_id
),

lines as (
    select
        tenant_id,
        remittance_claim_id,
        sum(payer_paid_amount) as payer_paid_amount,
        sum(contractual_amount) as contractual_amount,
        sum(patient_share_amount) as patient_share_amount,
        sum(allowed_amount) as allowed_amount
    from {{ ref('int_remittance_lines') }}
    group by tenant_id, remittance_claim_id
),

whole as (
    select
        claims.*,
        coalesce(adjusted.contractual_amount, 0) as contractual_amount,
        coalesce(adjusted.patient_share_amount, claims.patient_responsibility_amount, 0) as patient_share_amount,
        -- Allowed is what the payer states, else paid + cost share, the claim's own and its lines'.
        coalesce(
            claims.allowed_amount,
            claims.payer_paid_amount
                + coalesce(lines.allowed_amount - lines.payer_paid_amount, 0)
                + case
                    when adjusted.remittance_claim_id is not null then adjusted.unlined_cost_share_amount
                    when lines.remittance_claim_id is null then coalesce(claims.patient_responsibility_amount, 0)
                    else 0
                end
        ) as total_allowed_amount,
        coalesce(adjusted.denial_amount, 0) as denial_amount,
        coalesce(adjusted.has_denial_reason, false) as has_denial_reason,
        coalesce(adjusted.has_duplicate_reason, false) as has_duplicate_reason,
        coalesce(lines.payer_paid_amount, 0) as line_paid_amount,
        coalesce(lines.contractual_amount, 0) as line_contractual_amount,
        coalesce(lines.patient_share_amount, 0) as line_patient_share_amount,
        coalesce(lines.allowed_amount, 0) as line_allowed_amount,
        -- Reversals, forwarded claims and predeterminations decide nothing.
        sequences.payer_sequence,
        sequences.payer_sequence = 1 and claims.claim_status_code not in ('22', '23', '25') as is_primary_decision
    from {{ ref('int_remittance_claims') }} as claims
    inner join {{ ref('int_payer_sequences') }} as sequences
        on claims.tenant_id = sequences.tenant_id
        and claims.remittance_claim_id = sequences.remittance_claim_id
    left join adjusted
        on claims.tenant_id = adjusted.tenant_id
        and claims.remittance_claim_id = adjusted.remittance_claim_id
    left join lines
        on claims.tenant_id = lines.tenant_id
        and claims.remittance_claim_id = lines.remittance_claim_id
    where claims.is_counted
)

select
    tenant_id,
    remittance_claim_id,
    remittance_id,
    claim_key,
    claim_id,
    is_matched,
    patient_id,
    payer_id,
    payer_claim_control_number,
    original_payer_claim_control_number,
    claim_status_code,
    is_reversal,
    payer_sequence,
    is_primary_decision,
    row_number() over (
        partition by tenant_id, claim_key, is_primary_decision
        order by adjudicated_date, remittance_claim_id
    ) as decision_number,
    filing_indicator,
    service_from_date,
    adjudicated_date,
    payment_date,
    billed_amount,
    payer_paid_amount,
    contractual_amount,
    patient_share_amount,
    total_allowed_amount as allowed_amount,
    denial_amount,
    not is_reversal
    and (claim_status_code = '4' or (total_allowed_amount = 0 and has_denial_reason)) as is_denied,
    has_duplicate_reason and payer_paid_amount = 0 as is_duplicate,
    payer_paid_amount - line_paid_amount as unlined_paid_amount,
    contractual_amount - line_contractual_amount as unlined_contractual_amount,
    patient_share_amount - line_patient_share_amount as unlined_patient_share_amount,
    total_allowed_amount - line_allowed_amount as unlined_allowed_amount,
    source_system,
    source_record_id,
    source_position
from whole
order by tenant_id, claim_key
