with source as (
    select * from {{ source('raw', 'patient') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    {{ issued_key('patient_id') }} as patient_id,
    birth_year,
    sex,
    zip3,
    language,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'patient_id': 'patient'}) }}
