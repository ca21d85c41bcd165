select
    {{ entity_key('provider_id') }} as provider_key,
    tenant_id,
    provider_id,
    name,
    npi,
    specialty,
    provider_type,
    is_active,
    is_listed
from {{ ref('int_providers') }}
order by tenant_id, provider_id
