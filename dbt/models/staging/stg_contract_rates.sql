with source as (
    select * from {{ source('raw', 'contract_rate') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    payer_id,
    procedure_code,
    modifiers,
    place_of_service,
    effective_from,
    effective_to,
    rate_amount,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
