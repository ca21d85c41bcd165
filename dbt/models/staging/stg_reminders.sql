with source as (
    select * from {{ source('raw', 'reminder') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    reminder_id,
    {{ issued_key('appointment_id') }} as appointment_id,
    channel,
    outcome,
    sent_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'appointment_id': 'appointment'}) }}
