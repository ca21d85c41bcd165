-- With any rows in dimensions and crosswalks, each encounter and appointment that a feed names is one row of its fact,
-- an encounter under the identifier that stands for the visit.
{%- set facts = [('encounter', 'encounters'), ('appointment', 'appointments')] %}
{% for entity, plural in facts %}
select
    '{{ entity }}' as entity,
    coalesce(staged.tenant_id, fact.tenant_id) as tenant_id,
    coalesce(staged.{{ entity }}_id, fact.{{ entity }}_id) as entity_id
from (
    select distinct
        entity.tenant_id,
        {% if entity == 'encounter' %}{{ current_id('entity', 'encounter') }} as encounter_id{% else %}entity.{{ entity }}_id{% endif %}

    from {{ ref('stg_' ~ plural) }} as entity
    {{ crosswalk_joins('entity', ['encounter'] if entity == 'encounter' else []) | indent(4) }}
) as staged
full outer join {{ ref('fct_' ~ plural) }} as fact
    on staged.tenant_id = fact.tenant_id
    and staged.{{ entity }}_id = fact.{{ entity }}_id
where staged.tenant_id is null
    or fact.tenant_id is null
{% if not loop.last %}
union all
{% endif %}
{% endfor %}
