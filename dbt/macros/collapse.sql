{#
    One row per tenant and entity key out of several feeds. The system of record wins; where two rows of equal rank
    compete, the newer one, then the feed's name in alphabetical order. What the record leaves empty is taken from the
    next feed that knows it, except where an empty value is a statement: always for columns in `winner_only`, and for
    those in `empty_says` where the condition holds on the record's row (a visit under way has no end).

    Rows of tenants with one feed for the entity, and keys only one feed has, pass through without being grouped: that
    is nearly all of them, and grouping wide rows is what costs.

    relation     staging model, e.g. ref('stg_encounters')
    entity       name under which the configuration ranks feeds, e.g. 'encounter'
    key          key column (or list) without tenant_id
    columns      columns to bring along
    unknown      column -> word that stands for "not known": another feed that knows goes before it
    crosswalk    relation (tenant_id, <key>, current_<key>) of keys that stand for another one; rows of feeds whose keys
                 come together there are one
#}
{% macro collapse(relation, entity, key, columns, winner_only=[], empty_says={}, unknown={}, crosswalk=none) -%}
{%- set keys = [key] if key is string else key -%}
{%- set lineage = ['source_system', 'source_record_id', 'source_position', 'source_updated_at'] -%}
{%- set plain = (['tenant_id'] + keys + columns + lineage) -%}
{%- set key_expressions = [] -%}
{%- for name in keys -%}
    {%- do key_expressions.append(
        'entity.' ~ name if crosswalk is none else 'coalesce(crosswalk.current_' ~ name ~ ', entity.' ~ name ~ ')'
    ) -%}
{%- endfor -%}
{%- set partition = (['entity.tenant_id'] + key_expressions) | join(', ') -%}
with fed as (
    select tenant_id, count(distinct source_system) as feeds
    from {{ relation }}
    group by tenant_id
),

shared as (
    select
        entity.tenant_id,
        {%- for name in keys %}
        {{ key_expressions[loop.index0] }} as {{ name }},
        {%- endfor %}
        {%- for name in columns + lineage %}
        entity.{{ name }},
        {%- endfor %}
        row_number() over (
            partition by {{ partition }}
            order by coalesce(ranking.precedence, 999), entity.source_updated_at desc, entity.source_system
        ) as record_rank,
        count(*) over (partition by {{ partition }}) as feeds
    from {{ relation }} as entity
    inner join fed
        on entity.tenant_id = fed.tenant_id
        and fed.feeds > 1
    left join (select * from {{ ref('stg_system_of_record') }} where entity = '{{ entity }}') as ranking
        on entity.tenant_id = ranking.tenant_id
        and entity.source_system = ranking.source_system
    {%- if crosswalk is not none %}
    left join {{ crosswalk }} as crosswalk
        on entity.tenant_id = crosswalk.tenant_id
        and entity.{{ keys[0] }} = crosswalk.{{ keys[0] }}
    {%- endif %}
)

select {% for name in plain %}entity.{{ name }}, {% endfor %}1 as feeds
from {{ relation }} as entity
inner join fed
    on entity.tenant_id = fed.tenant_id
    and fed.feeds = 1
union all
select {{ plain | join(', ') }}, 1
from shared
where feeds = 1
union all
select
    tenant_id,
    {%- for name in keys %}
    {{ name }},
    {%- endfor %}
    {%- for name in columns %}
    {% if name in winner_only -%}
    max(case when record_rank = 1 then {{ name }} end),
    {%- elif name in empty_says -%}
    case
        when max(case when record_rank = 1 and {{ name }} is null and {{ empty_says[name] }} then 1 else 0 end) = 0
            then {{ first_known(name, 'record_rank') }}
    end,
    {%- elif name in unknown -%}
    coalesce(
        {{ first_known("nullif(" ~ name ~ ", '" ~ unknown[name] ~ "')", 'record_rank') }},
        max({{ name }})
    ),
    {%- else -%}
    {{ first_known(name, 'record_rank') }},
    {%- endif -%}
    {% endfor %}
    min(case when record_rank = 1 then source_system end),
    min(case when record_rank = 1 then source_record_id end),
    min(case when record_rank = 1 then source_position end),
    max(source_updated_at),
    cast(count(*) as integer)
from shared
where feeds > 1
group by tenant_id{% for name in keys %}, {{ name }}{% endfor %}
{%- endmacro %}
