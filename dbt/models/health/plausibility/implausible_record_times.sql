-- CM-PLAUS-009: a feed whose newest record lies more than a day after the moment it is judged at. It looks up to date, and is not.
select
    tenant_id,
    'CM-PLAUS-009' as code,
    feed,
    '' as other_feed,
    '' as entity,
    cast(newest_record_at as date) as found_day,
    1 as found_rows,
    cast(null as decimal(18, 4)) as found_amount
from {{ source('raw', 'feed_status') }}
where newest_record_at > judged_at + interval '1 day' and newest_record_at > last_read_at
