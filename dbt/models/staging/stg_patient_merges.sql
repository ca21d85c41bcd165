with source as (
    select * from {{ source('raw', 'patient_merge') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    patient_merge_id,
    {{ issued_key('from_patient_id') }} as from_patient_id,
    {{ issued_key('to_patient_id') }} as to_patient_id,
    merge_type,
    merged_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'from_patient_id': 'patient', 'to_patient_id': 'patient'}) }}
