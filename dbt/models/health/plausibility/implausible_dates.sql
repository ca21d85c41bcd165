-- CM-PLAUS-008: dates that lie outside the range which their contract calls plausible, as the gate notes them.
select
    tenant_id,
    'CM-PLAUS-008' as code,
    feed,
    '' as other_feed,
    split_part(detail, '.', 1) as entity,
    cast(null as date) as found_day,
    rows as found_rows,
    cast(null as decimal(18, 4)) as found_amount
from {{ source('raw', 'notice_reason') }}
where reason = 'date_not_plausible'
