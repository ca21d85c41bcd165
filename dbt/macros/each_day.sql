{# One row for each day from the first to the last, both included. Stands in a select list, once. #}
{% macro each_day(first_day, last_day) -%}
    {{ return(adapter.dispatch('each_day', 'clinicmart')(first_day, last_day)) }}
{%- endmacro %}

{% macro duckdb__each_day(first_day, last_day) -%}
    cast(unnest(generate_series({{ first_day }}, {{ last_day }}, interval 1 day)) as date)
{%- endmacro %}

{% macro default__each_day(first_day, last_day) -%}
    cast(generate_series({{ first_day }}, {{ last_day }}, interval '1 day') as date)
{%- endmacro %}
