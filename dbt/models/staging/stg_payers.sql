with source as (
    select * from {{ source('raw', 'payer') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    payer_id,
    effective_from,
    effective_to,
    name,
    payer_class,
    electronic_payer_id,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
