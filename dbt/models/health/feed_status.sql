select
    tenant_id,
    feed,
    kind,
    profile,
    last_read_at,
    judged_at,
    outcome,
    units_read,
    units_refused,
    records_read,
    records_landed,
    records_quarantined,
    rows_landed,
    rows_quarantined,
    newest_record_at,
    problem
from {{ source('raw', 'feed_status') }}
order by tenant_id
