{# Days from Monday to Friday after one date up to another; holidays are not known. Empty where either date is. #}
{% macro weekdays_between(from_date, to_date) -%}
    ({{ weekdays_up_to(to_date) }} - {{ weekdays_up_to(from_date) }})
{%- endmacro %}

{# Days from Monday to Friday since Monday 5 January 1970, that day and the date included. #}
{% macro weekdays_up_to(date_expression) -%}
    {%- set days = "(cast(" ~ date_expression ~ " as date) - cast('1970-01-05' as date))" -%}
    cast(5 * ({{ days }} - {{ days }} % 7) / 7 + least({{ days }} % 7 + 1, 5) as integer)
{%- endmacro %}
