with source as (
    select * from {{ source('raw', 'slot') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    slot_id,
    snapshot_date,
    service_unit_id,
    {{ issued_key('provider_id') }} as provider_id,
    visit_type_id,
    status,
    start_at,
    end_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'provider_id': 'provider'}) }}
