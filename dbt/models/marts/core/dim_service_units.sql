select
    {{ entity_key('service_unit_id') }} as service_unit_key,
    tenant_id,
    service_unit_id,
    name,
    unit_type,
    parent_service_unit_id,
    {%- for level in range(1, 7) %}
    level_{{ level }}_id,
    level_{{ level }}_name,
    {%- endfor %}
    path,
    business_unit_id,
    business_unit_name,
    program_id,
    program_name,
    service_line_id,
    service_line_name,
    clinic_id,
    clinic_name,
    ward_id,
    ward_name,
    depth,
    staffed_beds,
    billing_profile,
    time_zone,
    sort_order,
    is_active,
    is_listed
from {{ ref('int_service_units') }}
order by tenant_id, sort_order
