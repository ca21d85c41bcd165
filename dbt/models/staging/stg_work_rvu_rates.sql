with source as (
    select * from {{ source('raw', 'work_rvu_rate') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    procedure_code,
    modifier,
    effective_from,
    effective_to,
    work_rvus,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
