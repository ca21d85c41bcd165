with source as (
    select * from {{ source('raw', 'provider') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    {{ issued_key('provider_id') }} as provider_id,
    npi,
    display_name,
    specialty,
    provider_type,
    is_active,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'provider_id': 'provider'}) }}
