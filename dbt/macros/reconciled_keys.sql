{#
    One row per tenant and key of an entity, from any feed, with what is known of some columns: the first feed of
    the record that fills them. Made without `collapse`, so that the reconciliation does not rest on what it checks.

    relation, entity, key   as for `collapse`
    columns                 columns to bring along
#}
{% macro reconciled_keys(relation, entity, key, columns) -%}
select
    tenant_id,
    {{ key }}
    {%- for name in columns %},
    max(case when {{ name }}_rank = 1 then {{ name }} end) as {{ name }}
    {%- endfor %}
from (
    select
        told.tenant_id,
        told.{{ key }}
        {%- for name in columns %},
        told.{{ name }},
        row_number() over (
            partition by told.tenant_id, told.{{ key }}
            order by
                case when told.{{ name }} is null then 1 else 0 end,
                coalesce(ranking.precedence, 999),
                told.source_updated_at desc,
                told.source_system
        ) as {{ name }}_rank
        {%- endfor %}
    from {{ relation }} as told
    left join (select * from {{ ref('stg_system_of_record') }} where entity = '{{ entity }}') as ranking
        on told.tenant_id = ranking.tenant_id
        and told.source_system = ranking.source_system
) as ranked
group by tenant_id, {{ key }}
{%- endmacro %}
