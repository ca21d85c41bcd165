with collapsed as (
    {{ collapse(ref('stg_remittance_lines'), 'remittance_line', 'remittance_line_id',
        ['remittance_claim_id', 'line_number', 'line_control_number', 'procedure_code', 'submitted_procedure_code',
         'modifiers', 'revenue_code', 'remark_codes', 'billed_amount', 'payer_paid_amount', 'allowed_amount', 'service_date']) }}
)

select
    collapsed.tenant_id,
    collapsed.remittance_line_id,
    collapsed.remittance_claim_id,
    claims.claim_key,
    claims.claim_id,
    claims.is_matched,
    claims.is_reversal,
    claims.payment_date,
    claims.adjudicated_date,
    collapsed.line_number,
    collapsed.line_control_number,
    coalesce(collapsed.submitted_procedure_code, collapsed.procedure_code, collapsed.revenue_code) as billed_code,
    coalesce(collapsed.procedure_code, collapsed.revenue_code) as adjudicated_code,
    collapsed.modifiers,
    collapsed.remark_codes,
    abs(collapsed.billed_amount) as billed_size,
    coalesce(collapsed.service_date, claims.service_from_date) as service_date,
    collapsed.billed_amount,
    collapsed.payer_paid_amount,
    collapsed.allowed_amount as stated_allowed_amount,
    collapsed.source_system,
    collapsed.source_record_id,
    collapsed.source_position
from collapsed
inner join {{ ref('int_remittance_claims') }} as claims
    on collapsed.tenant_id = claims.tenant_id
    and collapsed.remittance_claim_id = claims.remittance_claim_id
    and claims.is_counted
order by collapsed.tenant_id, claims.claim_id
