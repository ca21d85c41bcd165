with source as (
    select * from {{ source('raw', 'organization') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    organization_id,
    parent_organization_id,
    name,
    npi,
    time_zone,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
