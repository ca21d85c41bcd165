with source as (
    select * from {{ source('raw', 'patient_merge') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    patient_merge_id,
    from_patient_id,
    to_patient_id,
    merge_type,
    merged_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
