with source as (
    select * from {{ source('raw', 'adjustment') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    adjustment_id,
    charge_id,
    claim_id,
    adjustment_type,
    reason_code,
    adjustment_amount,
    adjusted_date,
    posted_date,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
