select
    tenant_id,
    feed,
    entity,
    rule,
    column_name,
    rows,
    unexpected
from {{ source('raw', 'contract_result') }}
order by tenant_id
