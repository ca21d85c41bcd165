{%- set levels = range(1, 7) -%}
{%- set kinds = ['business_unit', 'program', 'service_line', 'clinic', 'ward'] -%}
with recursive units as (
    select * from {{ ref('int_service_units_listed') }}
),

{{ unit_tree('units') }}

select
    placed.tenant_id,
    placed.service_unit_id,
    units.name,
    units.unit_type,
    case when placed.depth > 1 then units.parent_service_unit_id end as parent_service_unit_id,
    {%- for level in levels %}
    placed.level_{{ level }}_id,
    level_{{ level }}.name as level_{{ level }}_name,
    {%- endfor %}
    {%- for kind in kinds %}
    coalesce(placed.{{ kind }}_id, 'none') as {{ kind }}_id,
    coalesce({{ kind }}.name, 'No {{ kind | replace('_', ' ') }}') as {{ kind }}_name,
    {%- endfor %}
    placed.path,
    placed.depth,
    units.staffed_beds,
    units.billing_profile,
    coalesce(placed.own_time_zone, units.organization_time_zone, tenants.time_zone) as time_zone,
    row_number() over (
        partition by placed.tenant_id
        order by case when units.is_listed then 0 else 1 end, placed.depth, units.name, placed.service_unit_id
    ) as sort_order,
    units.is_active,
    units.is_listed
from placed
inner join units
    on placed.tenant_id = units.tenant_id
    and placed.service_unit_id = units.service_unit_id
inner join {{ ref('stg_tenants') }} as tenants
    on placed.tenant_id = tenants.tenant_id
{%- for level in levels %}
left join units as level_{{ level }}
    on placed.tenant_id = level_{{ level }}.tenant_id
    and placed.level_{{ level }}_id = level_{{ level }}.service_unit_id
{%- endfor %}
{%- for kind in kinds %}
left join units as {{ kind }}
    on placed.tenant_id = {{ kind }}.tenant_id
    and placed.{{ kind }}_id = {{ kind }}.service_unit_id
{%- endfor %}
order by 1, sort_order
