{#
    One row per tenant and entity key out of several feeds. The system of record wins; where two rows of equal rank
    compete, the newer one, then the feed's name in alphabetical order. What the record leaves empty is taken from the
    next feed that knows it, except for columns in `winner_only`, where an empty value is a statement.

    relation     staging model, e.g. ref('stg_encounters')
    entity       name under which the configuration ranks feeds, e.g. 'encounter'
    key          key column (or list) without tenant_id
    columns      columns to bring along
#}
{% macro collapse(relation, entity, key, columns, winner_only=[]) -%}
{%- set keys = [key] if key is string else key -%}
select
    tenant_id,
    {% for name in keys -%}
    {{ name }},
    {% endfor -%}
    {% for name in columns -%}
    {% if name in winner_only -%}
    max(case when record_rank = 1 then {{ name }} end) as {{ name }},
    {% else -%}
    {{ first_known(name, 'record_rank') }} as {{ name }},
    {% endif -%}
    {% endfor -%}
    min(case when record_rank = 1 then source_system end) as source_system,
    min(case when record_rank = 1 then source_record_id end) as source_record_id,
    min(case when record_rank = 1 then source_position end) as source_position,
    max(source_updated_at) as source_updated_at,
    count(*) as feeds
from (
    select
        entity.*,
        row_number() over (
            partition by entity.tenant_id{% for name in keys %}, entity.{{ name }}{% endfor %}
            order by coalesce(ranking.precedence, 999), entity.source_updated_at desc, entity.source_system
        ) as record_rank
    from {{ relation }} as entity
    left join {{ ref('stg_system_of_record') }} as ranking
        on entity.tenant_id = ranking.tenant_id
        and entity.source_system = ranking.source_system
        and ranking.entity = '{{ entity }}'
) as ranked
group by tenant_id{% for name in keys %}, {{ name }}{% endfor %}
{%- endmacro %}
