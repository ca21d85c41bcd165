{# One row for each full hour from one moment up to, but not including, another. Stands in a select list, once. #}
{% macro each_hour(first_moment, end_moment) -%}
    {{ return(adapter.dispatch('each_hour', 'clinicmart')(first_moment, end_moment)) }}
{%- endmacro %}

{% macro duckdb__each_hour(first_moment, end_moment) -%}
    unnest(generate_series({{ first_moment }}, {{ end_moment }} - interval '1 microsecond', interval '1 hour'))
{%- endmacro %}

{% macro default__each_hour(first_moment, end_moment) -%}
    generate_series({{ first_moment }}, {{ end_moment }} - interval '1 microsecond', interval '1 hour')
{%- endmacro %}
