with source as (
    select * from {{ source('raw', 'staff_shift') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    staff_shift_id,
    service_unit_id,
    {{ issued_key('provider_id') }} as provider_id,
    staff_role,
    is_clinical,
    started_at,
    ended_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'provider_id': 'provider'}) }}
