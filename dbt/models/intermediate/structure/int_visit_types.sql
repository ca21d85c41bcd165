with listed as (
    {{ collapse(ref('stg_visit_types'), 'visit_type', 'visit_type_id',
        ['name', 'is_new_patient', 'is_procedure', 'expected_minutes']) }}
),

referenced as (
    {{ referenced_ids('visit_type_id', ['appointments', 'encounters', 'slots', 'referrals']) }}
)

select tenant_id, visit_type_id, name, is_new_patient, is_procedure, expected_minutes, true as is_listed
from listed
union all
select
    referenced.tenant_id,
    referenced.visit_type_id,
    'Unlisted ' || referenced.visit_type_id,
    null,
    null,
    null,
    false
from referenced
left join listed
    on referenced.tenant_id = listed.tenant_id
    and referenced.visit_type_id = listed.visit_type_id
where listed.visit_type_id is null
union all
select tenant_id, 'unknown', 'Not recorded', null, null, null, false
from {{ ref('stg_tenants') }}
order by 1, 2
