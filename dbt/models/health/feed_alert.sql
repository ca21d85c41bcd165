select
    tenant_id,
    feed,
    kind,
    since,
    newest_day,
    message
from {{ source('raw', 'feed_alert') }}
order by tenant_id, feed
