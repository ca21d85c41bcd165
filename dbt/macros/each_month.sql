{# One row for each month, by number, from the first to the last, both included. Stands in a select list, once. #}
{% macro each_month(first_month, last_month) -%}
    {{ return(adapter.dispatch('each_month', 'clinicmart')(first_month, last_month)) }}
{%- endmacro %}

{% macro duckdb__each_month(first_month, last_month) -%}
    unnest(range({{ first_month }}, {{ last_month }} + 1))
{%- endmacro %}

{% macro default__each_month(first_month, last_month) -%}
    generate_series({{ first_month }}, {{ last_month }})
{%- endmacro %}

{# A month as one number, counted from year 0, and the last day of a month given so. #}
{% macro month_number(date_expression) -%}
    cast(extract(year from {{ date_expression }}) * 12 + extract(month from {{ date_expression }}) - 1 as integer)
{%- endmacro %}

{% macro month_number_end(number) -%}
    {{ return(adapter.dispatch('month_number_end', 'clinicmart')(number)) }}
{%- endmacro %}

{% macro duckdb__month_number_end(number) -%}
    last_day(make_date({{ number }} // 12, {{ number }} % 12 + 1, 1))
{%- endmacro %}

{% macro default__month_number_end(number) -%}
    cast(make_date({{ number }} / 12, {{ number }} % 12 + 1, 1) + interval '1 month' - interval '1 day' as date)
{%- endmacro %}
