-- A payer takes money back by reversing a claim, or by withholding it from a payment as a whole.
select
    {{ entity_key("'claim/' || remittance_claim_id") }} as takeback_key,
    tenant_id,
    'claim/' || remittance_claim_id as takeback_id,
    'reversal' as takeback_kind,
    remittance_id,
    claim_id,
    service_unit_id,
    service_unit_key,
    provider_id,
    provider_key,
    payer_id,
    payer_key,
    payer_class,
    payment_date,
    {{ money('- payer_paid_amount') }} as takeback_amount,
    source_system,
    source_record_id,
    source_position
from {{ ref('fct_remittance_claims') }}
where is_reversal
union all
select
    {{ entity_key("'provider/' || provider_adjustment_id") }},
    tenant_id,
    'provider/' || provider_adjustment_id,
    'provider_level',
    remittance_id,
    null,
    service_unit_id,
    service_unit_key,
    'unknown',
    {{ entity_key("'unknown'") }},
    payer_id,
    payer_key,
    payer_class,
    payment_date,
    adjustment_amount,
    source_system,
    source_record_id,
    source_position
from {{ ref('fct_provider_adjustments') }}
where is_takeback
order by 2, payment_date
