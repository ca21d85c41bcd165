with collapsed as (
    {{ collapse(ref('stg_remittance_lines'), 'remittance_line', 'remittance_line_id',
        ['remittance_claim_id', 'line_number', 'line_control_number', 'procedure_code', 'submitted_procedure_code',
         'modifiers', 'revenue_code', 'remark_codes', 'billed_amount', 'payer_paid_amount', 'allowed_amount', 'service_date']) }}
),

adjusted as (
    select
        tenant_id,
        remittance_line_id,
        sum(case when leaves_balance then adjustment_amount else 0 end) as contractual_amount,
        -- Sequestration is taken off what was allowed.
        sum(case when is_cost_share or is_sequestration then adjustment_amount else 0 end) as cost_share_amount,
        sum(case when group_code = 'PR' then adjustment_amount else 0 end) as patient_share_amount
    from {{ ref('int_remittance_adjustments') }}
    where remittance_line_id is not null
    group by tenant_id, remittance_line_id
)

select
    collapsed.tenant_id,
    collapsed.remittance_line_id,
    collapsed.remittance_claim_id,
    claims.claim_key,
    claims.claim_id,
    claims.is_matched,
    claims.is_reversal,
    claims.payer_sequence,
    claims.payment_date,
    claims.adjudicated_date,
    collapsed.line_number,
    collapsed.line_control_number,
    coalesce(collapsed.submitted_procedure_code, collapsed.procedure_code, collapsed.revenue_code) as billed_code,
    collapsed.modifiers,
    collapsed.remark_codes,
    abs(collapsed.billed_amount) as billed_size,
    coalesce(collapsed.service_date, claims.service_from_date) as service_date,
    collapsed.billed_amount,
    collapsed.payer_paid_amount,
    coalesce(adjusted.contractual_amount, 0) as contractual_amount,
    coalesce(adjusted.patient_share_amount, 0) as patient_share_amount,
    coalesce(collapsed.allowed_amount, collapsed.payer_paid_amount + coalesce(adjusted.cost_share_amount, 0))
        as allowed_amount,
    collapsed.source_system,
    collapsed.source_record_id,
    collapsed.source_position
from collapsed
inner join {{ ref('int_remittance_claims') }} as claims
    on collapsed.tenant_id = claims.tenant_id
    and collapsed.remittance_claim_id = claims.remittance_claim_id
    and claims.is_counted
left join adjusted
    on collapsed.tenant_id = adjusted.tenant_id
    and collapsed.remittance_line_id = adjusted.remittance_line_id
order by collapsed.tenant_id, claims.claim_id
