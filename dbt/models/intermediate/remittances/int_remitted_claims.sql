with collapsed as (
    {{ collapse(ref('stg_remittance_claims'), 'remittance_claim', 'remittance_claim_id',
        ['remittance_id', 'claim_id', 'patient_id', 'payer_id', 'payer_claim_control_number',
         'original_payer_claim_control_number', 'claim_status_code', 'filing_indicator', 'billed_amount', 'payer_paid_amount', 'patient_responsibility_amount', 'allowed_amount',
         'service_from_date', 'service_to_date', 'adjudicated_date']) }}
),

payments as (
    {{ collapse(ref('stg_remittances'), 'remittance', 'remittance_id',
        ['payer_id', 'payee_npi', 'payee_tax_token', 'payment_date', 'produced_date']) }}
)

select
    collapsed.tenant_id,
    collapsed.remittance_claim_id,
    collapsed.remittance_id,
    collapsed.claim_id as claim_number,
    payments.payee_npi,
    payments.payee_tax_token,
    {{ current_id('collapsed', 'patient') }} as patient_id,
    coalesce(crosswalk.current_payer_id, collapsed.payer_id, payments.payer_id, 'unknown') as payer_id,
    collapsed.payer_claim_control_number,
    collapsed.original_payer_claim_control_number,
    collapsed.claim_status_code,
    collapsed.filing_indicator,
    collapsed.billed_amount,
    collapsed.payer_paid_amount,
    collapsed.patient_responsibility_amount,
    collapsed.allowed_amount,
    collapsed.service_from_date,
    collapsed.service_to_date,
    coalesce(payments.payment_date, collapsed.adjudicated_date, {{ local_date('collapsed.source_updated_at', 'tenants.time_zone') }})
        as payment_date,
    coalesce(collapsed.adjudicated_date, payments.payment_date, {{ local_date('collapsed.source_updated_at', 'tenants.time_zone') }})
        as adjudicated_date,
    collapsed.source_system,
    collapsed.source_record_id,
    collapsed.source_position,
    collapsed.source_updated_at
from collapsed
inner join {{ ref('stg_tenants') }} as tenants on collapsed.tenant_id = tenants.tenant_id
left join payments
    on collapsed.tenant_id = payments.tenant_id
    and collapsed.remittance_id = payments.remittance_id
left join {{ ref('int_payer_crosswalk') }} as crosswalk
    on collapsed.tenant_id = crosswalk.tenant_id
    and coalesce(collapsed.payer_id, payments.payer_id) = crosswalk.payer_id
{{ crosswalk_joins('collapsed', ['patient']) }}
order by collapsed.tenant_id, collapsed.claim_id
