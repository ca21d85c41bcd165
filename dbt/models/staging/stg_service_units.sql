with source as (
    select * from {{ source('raw', 'service_unit') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    service_unit_id,
    parent_service_unit_id,
    organization_id,
    name,
    unit_type,
    time_zone,
    staffed_beds,
    billing_profile,
    is_active,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
