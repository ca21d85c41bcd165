with source as (
    select * from {{ source('raw', 'evaluation_level') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    procedure_code,
    effective_from,
    effective_to,
    evaluation_level,
    evaluation_group,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
