with source as (
    select * from {{ source('raw', 'service_unit_placement') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    service_unit_id,
    effective_from,
    effective_to,
    parent_service_unit_id,
    billing_profile,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
