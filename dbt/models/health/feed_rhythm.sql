select
    tenant_id,
    feed,
    rhythm,
    period_days,
    usual_rows,
    newest_day
from {{ source('raw', 'feed_rhythm') }}
order by tenant_id, feed
