select
    tenant_id,
    feed,
    unit,
    position,
    code,
    problem,
    remedy,
    run_id,
    refused_at
from {{ source('raw', 'refused_unit') }}
order by tenant_id
