with source as (
    select * from {{ source('raw', 'visit_type') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    visit_type_id,
    name,
    is_new_patient,
    is_procedure,
    expected_minutes,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
