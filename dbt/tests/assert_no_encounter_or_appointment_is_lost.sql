-- Whatever the dimensions and crosswalks hold, each encounter and appointment that a feed names is one row of its fact.
{%- set facts = [('encounter', 'encounters'), ('appointment', 'appointments')] %}
{% for entity, plural in facts %}
select
    '{{ entity }}' as entity,
    coalesce(staged.tenant_id, fact.tenant_id) as tenant_id,
    coalesce(staged.{{ entity }}_id, fact.{{ entity }}_id) as entity_id
from (
    select distinct tenant_id, {{ entity }}_id from {{ ref('stg_' ~ plural) }}
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
