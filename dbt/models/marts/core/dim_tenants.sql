select
    tenant.tenant_id,
    tenant.name,
    tenant.time_zone,
    tenant.data_as_of_date,
    credentialed.tenant_id is not null as has_credentials
from {{ ref('stg_tenants') }} as tenant
left join (select distinct tenant_id from {{ ref('int_credentials') }}) as credentialed
    on tenant.tenant_id = credentialed.tenant_id
order by tenant.tenant_id
