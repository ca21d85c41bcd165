with source as (
    select * from {{ source('raw', 'encounter_event') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    encounter_event_id,
    {{ issued_key('encounter_id') }} as encounter_id,
    event_type,
    encounter_class,
    occurred_at,
    case when coalesce(occurred_precision, 'minute') = 'minute' then occurred_at end as occurred_exact_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'encounter_id': 'encounter'}) }}
