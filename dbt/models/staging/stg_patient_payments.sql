with source as (
    select * from {{ source('raw', 'patient_payment') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    patient_payment_id,
    {{ issued_key('patient_id') }} as patient_id,
    {{ issued_key('encounter_id') }} as encounter_id,
    claim_id,
    charge_id,
    service_unit_id,
    payment_method,
    is_point_of_service,
    payment_amount,
    paid_date,
    posted_date,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'patient_id': 'patient', 'encounter_id': 'encounter'}) }}
