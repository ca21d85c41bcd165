select
    {{ entity_key('visit_type_id') }} as visit_type_key,
    tenant_id,
    visit_type_id,
    name,
    is_new_patient,
    is_procedure,
    expected_minutes,
    is_listed
from {{ ref('int_visit_types') }}
order by tenant_id, visit_type_id
