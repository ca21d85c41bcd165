select
    tenant_id,
    feed,
    entity,
    column_name,
    field,
    word,
    became,
    rows,
    profile_key,
    first_position,
    last_seen_at
from {{ source('raw', 'unknown_word') }}
order by tenant_id, feed, rows desc
