with source as (
    select * from {{ source('raw', 'provider_adjustment') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    provider_adjustment_id,
    remittance_id,
    provider_npi,
    reason_code,
    reference_number,
    adjustment_amount,
    fiscal_period_date,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
