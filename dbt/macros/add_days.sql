{# A date moved by a whole number of days (an SQL expression or a number). #}
{% macro add_days(date_expression, days) -%}
    (cast({{ date_expression }} as date) + cast({{ days }} as integer))
{%- endmacro %}
