{# Hour of the day (0 to 23) of a wall-clock timestamp. #}
{% macro hour_of_day(local_timestamp) -%}
    cast(extract(hour from {{ local_timestamp }}) as integer)
{%- endmacro %}

{# Day of the week of a date or wall-clock timestamp: 1 is Monday, 7 Sunday (ISO 8601). #}
{% macro weekday(local_timestamp) -%}
    cast(extract(isodow from {{ local_timestamp }}) as integer)
{%- endmacro %}
