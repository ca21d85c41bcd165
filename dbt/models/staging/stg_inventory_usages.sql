with source as (
    select * from {{ source('raw', 'inventory_usage') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    inventory_usage_id,
    service_unit_id,
    {{ issued_key('encounter_id') }} as encounter_id,
    item_code,
    item_name,
    quantity,
    cost_amount,
    used_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'encounter_id': 'encounter'}) }}
