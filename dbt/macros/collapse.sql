{#
    One row per tenant and entity key out of several feeds. The system of record wins; where two rows of equal rank
    compete, the newer one, then the feed's name in alphabetical order. What the record leaves empty is taken from the
    next feed that knows it, except for columns in `winner_only`, where an empty value is a statement.

    Rows of tenants with one feed for the entity, and keys only one feed has, pass through without being grouped: that
    is nearly all of them, and grouping wide rows is what costs.

    relation     staging model, e.g. ref('stg_encounters')
    entity       name under which the configuration ranks feeds, e.g. 'encounter'
    key          key column (or list) without tenant_id
    columns      columns to bring along
#}
{% macro collapse(relation, entity, key, columns, winner_only=[]) -%}
{%- set keys = [key] if key is string else key -%}
{%- set lineage = ['source_system', 'source_record_id', 'source_position', 'source_updated_at'] -%}
{%- set plain = (['tenant_id'] + keys + columns + lineage) -%}
with fed as (
    select tenant_id, count(distinct source_system) as feeds
    from {{ relation }}
    group by tenant_id
),

shared as (
    select
        entity.*,
        row_number() over (
            partition by entity.tenant_id{% for name in keys %}, entity.{{ name }}{% endfor %}
            order by coalesce(ranking.precedence, 999), entity.source_updated_at desc, entity.source_system
        ) as record_rank,
        count(*) over (partition by entity.tenant_id{% for name in keys %}, entity.{{ name }}{% endfor %}) as feeds
    from {{ relation }} as entity
    inner join fed
        on entity.tenant_id = fed.tenant_id
        and fed.feeds > 1
    left join (select * from {{ ref('stg_system_of_record') }} where entity = '{{ entity }}') as ranking
        on entity.tenant_id = ranking.tenant_id
        and entity.source_system = ranking.source_system
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
