{#
    The tree of service units from the top down, as CTEs `tree` and `placed`: each unit with its depth, its path and its
    ancestors, itself included. No level is ever null: below its own depth a unit stands for itself, so that grouping by
    any level sums to the total and joins of two metrics meet. Units whose parents form a circle hang from no top: each
    stands at the top itself rather than vanish. The query that uses it begins with `with recursive`.

    units   CTE with tenant_id, service_unit_id, parent_service_unit_id, unit_type, time_zone and the columns of `over`
    over    columns beside the tenant that tell trees apart, such as the day from which a tree holds
#}
{% macro unit_tree(units, over=[]) -%}
{%- set levels = range(1, 7) -%}
{%- set kinds = ['business_unit', 'program', 'service_line', 'clinic', 'ward'] -%}
tree as (
    select
        units.tenant_id,
        {%- for name in over %}
        units.{{ name }},
        {%- endfor %}
        units.service_unit_id,
        1 as depth,
        '/' || units.service_unit_id || '/' as path,
        units.time_zone as own_time_zone,
        {%- for kind in kinds %}
        case when units.unit_type = '{{ kind }}' then units.service_unit_id end as {{ kind }}_id,
        {%- endfor %}
        {%- for level in levels %}
        units.service_unit_id as level_{{ level }}_id{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ units }} as units
    where units.parent_service_unit_id is null
    union all
    select
        units.tenant_id,
        {%- for name in over %}
        units.{{ name }},
        {%- endfor %}
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
    inner join {{ units }} as units
        on tree.tenant_id = units.tenant_id
        {%- for name in over %}
        and tree.{{ name }} = units.{{ name }}
        {%- endfor %}
        and tree.service_unit_id = units.parent_service_unit_id
    where tree.depth < 32
),

placed as (
    select * from tree
    union all
    select
        units.tenant_id,
        {%- for name in over %}
        units.{{ name }},
        {%- endfor %}
        units.service_unit_id,
        1,
        '/' || units.service_unit_id || '/',
        units.time_zone,
        {%- for kind in kinds %}
        case when units.unit_type = '{{ kind }}' then units.service_unit_id end,
        {%- endfor %}
        {%- for level in levels %}
        units.service_unit_id{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ units }} as units
    left join tree
        on units.tenant_id = tree.tenant_id
        {%- for name in over %}
        and units.{{ name }} = tree.{{ name }}
        {%- endfor %}
        and units.service_unit_id = tree.service_unit_id
    where tree.service_unit_id is null
)
{%- endmacro %}
