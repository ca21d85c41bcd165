select tenant_id, feed, entity, measure, step, reason, cast(total as decimal(38, 4)) as total, '' as counted_as
from {{ source('raw', 'reconciliation_step') }}
union all
select tenant_id, '' as feed, entity, measure, step, reason, total, counted_as
from {{ ref('reconciliation_mart') }}
order by 1, 3, 4, 2, 5, 6
