with source as (
    select * from {{ source('raw', 'claim_status') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    claim_status_id,
    claim_id,
    payer_claim_control_number,
    billing_provider_npi,
    billed_amount,
    service_from_date,
    service_to_date,
    category_code,
    status_code,
    is_accepted,
    stage,
    reported_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
