select
    tenant_id,
    feed,
    entity,
    reason,
    column_name,
    rows,
    first_position,
    last_seen_at
from {{ source('raw', 'quarantine_reason') }}
order by tenant_id
