{#- Staging models know identifiers by who issued them. -#}
{#- What the contracts say of references, and patients, whose tokens every feed makes alike. -#}
{%- set references = contract_references() -%}
{%- set targets = [] -%}
{%- for item in references if (item.target, item.target_column) not in targets -%}
    {%- do targets.append((item.target, item.target_column)) -%}
{%- endfor -%}
{#- Identifiers of a feed that another feed's row stands for: an NPI for a listed provider, and the like. -#}
{%- set crosswalks = {'provider': 'int_provider_crosswalk', 'payer': 'int_payer_crosswalk', 'patient': 'int_patient_crosswalk'} -%}
with
{%- for target, column in targets %}
known_{{ target }}_{{ column }} as (
    select tenant_id, {{ column }} as id
    from {{ ref(staging_name(target)) }}
    where {{ column }} is not null
    {%- if target in crosswalks %}
    union
    select tenant_id, {{ column }} from {{ ref(crosswalks[target]) }}
    {%- else %}
    group by tenant_id, {{ column }}
    {%- endif %}
),
{%- endfor %}

counted as (
{%- for item in references %}
    select
        named.tenant_id,
        named.source_system as feed,
        '{{ item.entity }}' as entity,
        '{{ item.column }}' as column_name,
        '{{ item.target }}' as referenced_entity,
        count(*) as rows_with_reference,
        sum(case when known.id is null then 1 else 0 end) as unmatched_rows,
        count(distinct case when known.id is null then named.{{ item.column }} end) as unmatched_ids
    from {{ ref(staging_name(item.entity)) }} as named
    left join known_{{ item.target }}_{{ item.target_column }} as known
        on named.tenant_id = known.tenant_id
        and named.{{ item.column }} = known.id
    where named.{{ item.column }} is not null
    group by named.tenant_id, named.source_system
    {%- if not loop.last %}
    union all
    {%- endif %}
{%- endfor %}
)

select
    tenant_id,
    feed,
    entity,
    column_name,
    referenced_entity,
    rows_with_reference,
    cast(unmatched_rows as bigint) as unmatched_rows,
    unmatched_ids
from counted
where unmatched_rows > 0
order by tenant_id, feed, entity, column_name
