select
    {{ entity_key('payer_id') }} as payer_key,
    tenant_id,
    payer_id,
    name,
    payer_class as current_payer_class,
    electronic_payer_id,
    is_listed
from {{ ref('int_payers') }}
order by tenant_id, payer_id
