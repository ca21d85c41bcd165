{# The name of an entity's staging model: stg_charges, stg_claim_statuses, stg_ledger_entries, stg_diagnoses. #}
{% macro staging_name(entity) -%}
    {%- if entity.endswith('y') -%}
        {{ return('stg_' ~ entity[:-1] ~ 'ies') }}
    {%- endif -%}
    {%- if entity.endswith('sis') -%}
        {{ return('stg_' ~ entity[:-3] ~ 'ses') }}
    {%- endif -%}
    {{ return('stg_' ~ entity ~ ('es' if entity.endswith('s') else 's')) }}
{%- endmacro %}
