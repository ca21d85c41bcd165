select
    tenant_id,
    feed,
    batch_id,
    batch_sequence,
    run_id,
    entity,
    rows_read,
    rows_landed,
    rows_quarantined,
    landed_at
from {{ source('raw', 'batch') }}
order by tenant_id
