{#
    A crosswalk of identifiers by one that feeds share: feeds that know only the shared identifier (an NPI, an electronic
    payer identifier) and feeds with other identifiers mean the same. The identifier of the best feed stands
    for it, an identifier of that feed before the shared one; two identifiers of one feed stay two, as that feed means to keep them
    apart. Gives (tenant_id, <name>_id, current_<name>_id) for identifiers that stand for another one.

    relation   staging model
    name       provider or payer; also the entity under which the configuration ranks feeds
    shared     column of the shared identifier
    newest     column by which the newer of two rows of equal rank goes first, or none
#}
{% macro shared_identifier(relation, name, shared, newest=none) -%}
{%- set id = name ~ '_id' -%}
with listed as (
    select
        entity.tenant_id,
        entity.source_system,
        entity.{{ id }},
        entity.{{ shared }},
        row_number() over (
            partition by entity.tenant_id, entity.{{ shared }}
            order by
                case when entity.{{ id }} = entity.{{ shared }} then 1 else 0 end,
                coalesce(ranking.precedence, 999),
                {{ 'entity.' ~ newest ~ ' desc,' if newest }}
                entity.{{ id }}
        ) as choice
    from {{ relation }} as entity
    left join {{ ref('stg_system_of_record') }} as ranking
        on entity.tenant_id = ranking.tenant_id
        and entity.source_system = ranking.source_system
        and ranking.entity = '{{ name }}'
    where entity.{{ shared }} is not null
),

record as (
    select tenant_id, source_system, {{ id }}, {{ shared }} from listed where choice = 1
),

aliases as (
    select listed.tenant_id, listed.{{ id }}, record.{{ id }} as current_{{ id }}
    from listed
    inner join record
        on listed.tenant_id = record.tenant_id
        and listed.{{ shared }} = record.{{ shared }}
        and listed.source_system <> record.source_system
    union
    select tenant_id, {{ shared }}, {{ id }} from record
)

select
    aliases.tenant_id,
    aliases.{{ id }},
    min(aliases.current_{{ id }}) as current_{{ id }}
from aliases
left join record
    on aliases.tenant_id = record.tenant_id
    and aliases.{{ id }} = record.{{ id }}
where record.{{ id }} is null
group by aliases.tenant_id, aliases.{{ id }}
order by 1, 2
{%- endmacro %}
