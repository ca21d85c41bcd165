{%- set levels_and_kinds = ['level_1', 'level_2', 'level_3', 'level_4', 'level_5', 'level_6',
    'business_unit', 'program', 'service_line', 'clinic', 'ward'] -%}
select
    versions.service_unit_key,
    versions.tenant_id,
    versions.service_unit_id,
    units.name,
    units.unit_type,
    versions.valid_from,
    versions.valid_to,
    versions.is_current,
    versions.parent_service_unit_id,
    versions.path,
    versions.depth,
    versions.billing_profile,
    {%- for name in levels_and_kinds %}
    versions.{{ name }}_id,
    versions.{{ name }}_name,
    {%- endfor %}
    units.path as current_path,
    coalesce(units.billing_profile, 'none') as current_billing_profile
    {%- for name in levels_and_kinds %},
    units.{{ name }}_id as current_{{ name }}_id,
    units.{{ name }}_name as current_{{ name }}_name
    {%- endfor %}
from {{ ref('int_service_unit_versions') }} as versions
inner join {{ ref('int_service_units') }} as units
    on versions.tenant_id = units.tenant_id
    and versions.service_unit_id = units.service_unit_id
order by versions.tenant_id, versions.service_unit_id, versions.valid_from
