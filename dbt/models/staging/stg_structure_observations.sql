with source as (
    select * from {{ source('raw', 'structure_observation') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    entity,
    identifier,
    parent_service_unit_id,
    billing_profile,
    payer_class,
    observed_at
from source
