with source as (
    select * from {{ source('raw', 'remittance_adjustment') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    remittance_adjustment_id,
    remittance_claim_id,
    remittance_line_id,
    claim_id,
    group_code,
    reason_code,
    adjustment_amount,
    quantity,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
