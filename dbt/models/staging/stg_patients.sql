with source as (
    select * from {{ source('raw', 'patient') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    patient_id,
    birth_year,
    sex,
    zip3,
    language,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
