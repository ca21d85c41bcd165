with source as (
    select * from {{ source('raw', 'appointment_event') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    appointment_event_id,
    {{ issued_key('appointment_id') }} as appointment_id,
    status,
    initiator,
    reason_code,
    scheduled_start_at,
    occurred_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'appointment_id': 'appointment'}) }}
