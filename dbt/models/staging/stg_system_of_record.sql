with source as (
    select * from {{ source('raw', 'system_of_record') }}{{ where_touched() }}
)

select
    tenant_id,
    entity,
    source_system,
    precedence
from source
