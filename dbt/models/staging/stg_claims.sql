with source as (
    select * from {{ source('raw', 'claim') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    claim_submission_id,
    claim_id,
    {{ issued_key('encounter_id') }} as encounter_id,
    {{ issued_key('patient_id') }} as patient_id,
    patient_match_token,
    payer_id,
    service_unit_id,
    {{ issued_key('provider_id') }} as provider_id,
    billing_provider_npi,
    billing_tax_token,
    claim_type,
    frequency_code,
    payer_sequence,
    original_payer_claim_control_number,
    replaced_claim_id,
    sender_code,
    interchange_control_number,
    group_control_number,
    transaction_control_number,
    place_of_service,
    billed_amount,
    service_from_date,
    service_to_date,
    submitted_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'encounter_id': 'encounter', 'patient_id': 'patient', 'provider_id': 'provider'}) }}
