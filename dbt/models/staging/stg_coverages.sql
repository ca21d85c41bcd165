with source as (
    select * from {{ source('raw', 'coverage') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    coverage_id,
    {{ issued_key('patient_id') }} as patient_id,
    payer_id,
    member_token,
    plan_name,
    priority,
    effective_from,
    effective_to,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'patient_id': 'patient'}) }}
