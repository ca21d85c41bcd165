with source as (
    select * from {{ source('raw', 'provider_service_unit') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    {{ issued_key('provider_id') }} as provider_id,
    service_unit_id,
    credentialed_from,
    credentialed_to,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'provider_id': 'provider'}) }}
