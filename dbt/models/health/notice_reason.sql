select
    tenant_id,
    feed,
    reason,
    detail,
    rows,
    first_position,
    last_seen_at
from {{ source('raw', 'notice_reason') }}
order by tenant_id, feed, reason
