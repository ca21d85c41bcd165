{#
    A select of the feeds that have rows of an entity: (tenant_id, source_system, feed_number, feeds). feed_number is 1 for
    the system of record, feeds is how many the tenant has.

    relation   staging model
    entity     name under which the configuration ranks feeds
#}
{% macro ranked_feeds(relation, entity) -%}
select
    fed.tenant_id,
    fed.source_system,
    row_number() over (
        partition by fed.tenant_id order by coalesce(ranking.precedence, 999), fed.source_system
    ) as feed_number,
    count(*) over (partition by fed.tenant_id) as feeds
from (select tenant_id, source_system from {{ relation }} group by tenant_id, source_system) as fed
left join {{ ref('stg_system_of_record') }} as ranking
    on fed.tenant_id = ranking.tenant_id
    and fed.source_system = ranking.source_system
    and ranking.entity = '{{ entity }}'
{%- endmacro %}
