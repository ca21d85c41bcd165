{# First and last day of the month of a date. #}
{% macro month_start(date_expression) -%}
    cast(date_trunc('month', {{ date_expression }}) as date)
{%- endmacro %}

{% macro month_end(date_expression) -%}
    cast(cast(date_trunc('month', {{ date_expression }}) as timestamp) + interval '1 month' - interval '1 day' as date)
{%- endmacro %}
