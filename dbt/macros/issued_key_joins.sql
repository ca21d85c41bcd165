{#
    What a staging model needs to know its identifiers by who issued them (README.md, "Who issued a number").

    issued_key_joins(columns)   left joins, after `from source`; `columns` maps a column to the entity that it names
    issued_key(column)          the identifier as all models know it: without its issuer, but where two issuers gave the number
#}
{% macro issued_key_joins(columns) -%}
{%- for column, entity in columns.items() %}
left join (
    select
        tenant_id as {{ column }}_tenant,
        source_system as {{ column }}_feed,
        identifier as {{ column }}_issued,
        issued_key as {{ column }}_key
    from {{ ref('int_' ~ entity ~ '_keys') }}
) as {{ column }}_keys
    on source.tenant_id = {{ column }}_keys.{{ column }}_tenant
    and source.source_system = {{ column }}_keys.{{ column }}_feed
    and source.{{ column }} = {{ column }}_keys.{{ column }}_issued
{%- endfor %}
{%- endmacro %}

{% macro issued_key(column) -%}
    coalesce(
        {{ column }}_keys.{{ column }}_key,
        case when source.{{ column }} like '%^^^%' then split_part(source.{{ column }}, '^^^', 1) else source.{{ column }} end
    )
{%- endmacro %}

{# Columns of raw tables that name an entity by a number that somebody issued: list of {entity, column}. #}
{% macro issued_references(entity) -%}
    {%- set found = [{'entity': entity, 'column': entity ~ '_id'}] -%}
    {%- if entity == 'patient' -%}
        {%- do found.extend([
            {'entity': 'patient_merge', 'column': 'from_patient_id'}, {'entity': 'patient_merge', 'column': 'to_patient_id'}
        ]) -%}
    {%- endif -%}
    {%- for item in contract_references() if item.target == entity -%}
        {%- do found.append({'entity': item.entity, 'column': item.column}) -%}
    {%- endfor -%}
    {{ return(found) }}
{%- endmacro %}
