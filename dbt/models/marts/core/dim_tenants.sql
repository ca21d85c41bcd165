select
    tenant_id,
    name,
    time_zone,
    data_as_of_date
from {{ ref('stg_tenants') }}
order by tenant_id
