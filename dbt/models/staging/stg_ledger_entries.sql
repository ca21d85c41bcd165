with source as (
    select * from {{ source('raw', 'ledger_entry') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    ledger_entry_id,
    account_code,
    account_name,
    entry_type,
    service_unit_id,
    entry_amount,
    entry_date,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
