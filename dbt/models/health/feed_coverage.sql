select
    tenant_id,
    feed,
    day,
    expected,
    low,
    high,
    received,
    status
from {{ source('raw', 'feed_coverage') }}
order by tenant_id, feed, day
