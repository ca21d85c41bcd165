{%- set levels = range(1, 7) -%}
{%- set kinds = ['business_unit', 'program', 'service_line', 'clinic', 'ward'] -%}
-- The whole tree as it stood from each day on which any unit of the tenant was moved, then of each unit the days on which
-- its own path or billing changed: a unit moves along with what stands above it.
with recursive moments as (
    select distinct tenant_id, valid_from as holds_from
    from {{ ref('int_service_unit_placements') }}
),

standing as (
    select
        places.tenant_id,
        moments.holds_from,
        places.service_unit_id,
        places.parent_service_unit_id,
        places.billing_profile,
        places.unit_type,
        places.time_zone,
        row_number() over (
            partition by places.tenant_id, places.service_unit_id, moments.holds_from
            order by places.valid_from desc
        ) as choice
    from {{ ref('int_service_unit_placements') }} as places
    inner join moments
        on places.tenant_id = moments.tenant_id
        and places.valid_from <= moments.holds_from
),

placed_then as (
    select * from standing where choice = 1
),

{{ unit_tree('placed_then', over=['holds_from']) }},

looked_at as (
    select
        placed.*,
        standing.billing_profile,
        standing.parent_service_unit_id,
        row_number() over unit as place_number,
        lag(placed.path) over unit as former_path,
        lag(standing.billing_profile) over unit as former_billing_profile
    from placed
    inner join standing
        on placed.tenant_id = standing.tenant_id
        and placed.holds_from = standing.holds_from
        and placed.service_unit_id = standing.service_unit_id
        and standing.choice = 1
    window unit as (partition by placed.tenant_id, placed.service_unit_id order by placed.holds_from)
),

changed as (
    select
        looked_at.*,
        lead(holds_from) over (partition by tenant_id, service_unit_id order by holds_from) as next_from
    from looked_at
    where place_number = 1
        or path <> former_path
        or coalesce(billing_profile, '') <> coalesce(former_billing_profile, '')
)

-- The key of the present place is the unit's own: what joins by it alone stands where the unit is now.
select
    changed.tenant_id,
    changed.service_unit_id,
    case
        when changed.next_from is null then {{ entity_key('changed.service_unit_id', 'changed.tenant_id') }}
        else {{ entity_key(['changed.service_unit_id', 'cast(changed.holds_from as varchar)'], 'changed.tenant_id') }}
    end as service_unit_key,
    changed.holds_from as valid_from,
    coalesce({{ add_days('changed.next_from', -1) }}, cast('9999-12-31' as date)) as valid_to,
    changed.next_from is null as is_current,
    case when changed.depth > 1 then changed.parent_service_unit_id end as parent_service_unit_id,
    {%- for level in levels %}
    changed.level_{{ level }}_id,
    level_{{ level }}.name as level_{{ level }}_name,
    {%- endfor %}
    {%- for kind in kinds %}
    coalesce(changed.{{ kind }}_id, 'none') as {{ kind }}_id,
    coalesce({{ kind }}.name, 'No {{ kind | replace('_', ' ') }}') as {{ kind }}_name,
    {%- endfor %}
    changed.path,
    changed.depth,
    coalesce(changed.billing_profile, 'none') as billing_profile
from changed
{%- for name in kinds %}
left join {{ ref('int_service_units_listed') }} as {{ name }}
    on changed.tenant_id = {{ name }}.tenant_id
    and changed.{{ name }}_id = {{ name }}.service_unit_id
{%- endfor %}
{%- for level in levels %}
left join {{ ref('int_service_units_listed') }} as level_{{ level }}
    on changed.tenant_id = level_{{ level }}.tenant_id
    and changed.level_{{ level }}_id = level_{{ level }}.service_unit_id
{%- endfor %}
order by 1, 2, 4
