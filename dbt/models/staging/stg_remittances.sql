with source as (
    select * from {{ source('raw', 'remittance') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    remittance_id,
    payer_id,
    payee_npi,
    payee_tax_token,
    trace_number,
    payment_method,
    payment_amount,
    payment_date,
    produced_date,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
