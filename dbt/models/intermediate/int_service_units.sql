{%- set levels = range(1, 7) -%}
{%- set kinds = ['business_unit', 'program', 'service_line', 'clinic', 'ward'] -%}
with recursive units as (
    select * from {{ ref('int_service_units_listed') }}
),

-- From the top down; each unit brings its ancestors along, itself included. No level is ever null: below its own
-- depth a unit stands for itself, so that grouping by any level sums to the total and joins of two metrics meet.
tree as (
    select
        units.tenant_id,
        units.service_unit_id,
        1 as depth,
        '/' || units.service_unit_id || '/' as path,
        units.time_zone as own_time_zone,
        {%- for kind in kinds %}
        case when units.unit_type = '{{ kind }}' then units.service_unit_id end as {{ kind }}_id,
        {%- endfor %}
        units.service_unit_id as level_1_id
        {%- for level in levels if level > 1 %},
        units.service_unit_id as level_{{ level }}_id
        {%- endfor %}
    from units
    where units.parent_service_unit_id is null
    union all
    select
        units.tenant_id,
        units.service_unit_id,
        tree.depth + 1,
        tree.path || units.service_unit_id || '/',
        coalesce(units.time_zone, tree.own_time_zone),
        {%- for kind in kinds %}
        case when units.unit_type = '{{ kind }}' then units.service_unit_id else tree.{{ kind }}_id end,
        {%- endfor %}
        tree.level_1_id
        {%- for level in levels if level > 1 %},
        case when tree.depth < {{ level }} then units.service_unit_id else tree.level_{{ level }}_id end
        {%- endfor %}
    from tree
    inner join units
        on tree.tenant_id = units.tenant_id
        and tree.service_unit_id = units.parent_service_unit_id
    where tree.depth < 32
),

-- Units whose parents form a circle hang from no top: each stands at the top itself rather than vanish.
placed as (
    select * from tree
    union all
    select
        units.tenant_id,
        units.service_unit_id,
        1,
        '/' || units.service_unit_id || '/',
        units.time_zone,
        {%- for kind in kinds %}
        case when units.unit_type = '{{ kind }}' then units.service_unit_id end,
        {%- endfor %}
        units.service_unit_id
        {%- for level in levels if level > 1 %},
        units.service_unit_id
        {%- endfor %}
    from units
    left join tree
        on units.tenant_id = tree.tenant_id
        and units.service_unit_id = tree.service_unit_id
    where tree.service_unit_id is null
)

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
