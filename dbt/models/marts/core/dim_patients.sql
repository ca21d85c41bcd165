select
    {{ entity_key('patient_id') }} as patient_key,
    tenant_id,
    patient_id,
    birth_year,
    coalesce(sex, 'unknown') as sex,
    zip3,
    language,
    is_listed
from {{ ref('int_patients') }}
order by tenant_id, patient_id
