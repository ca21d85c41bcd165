with source as (
    select * from {{ source('raw', 'diagnosis') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    diagnosis_id,
    {{ issued_key('encounter_id') }} as encounter_id,
    claim_submission_id,
    claim_id,
    charge_id,
    {{ issued_key('patient_id') }} as patient_id,
    code_stated_in_id,
    diagnosis_code,
    code_system,
    diagnosis_type,
    sequence_number,
    status,
    recorded_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'encounter_id': 'encounter', 'patient_id': 'patient'}) }}
