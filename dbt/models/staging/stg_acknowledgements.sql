with source as (
    select * from {{ source('raw', 'acknowledgement') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    acknowledgement_id,
    level,
    transaction_kind,
    interchange_control_number,
    group_control_number,
    transaction_control_number,
    receiver_code,
    outcome_code,
    is_accepted,
    error_codes,
    reported_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
