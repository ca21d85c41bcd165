with source as (
    select * from {{ source('raw', 'remittance_claim') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    remittance_claim_id,
    remittance_id,
    claim_id,
    {{ issued_key('patient_id') }} as patient_id,
    payer_id,
    payer_claim_control_number,
    original_payer_claim_control_number,
    claim_status_code,
    filing_indicator,
    billed_amount,
    payer_paid_amount,
    patient_responsibility_amount,
    allowed_amount,
    service_from_date,
    service_to_date,
    adjudicated_date,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'patient_id': 'patient'}) }}
