{# The calendar day of a UTC timestamp in an IANA time zone. Both arguments are SQL expressions. #}
{% macro local_date(utc_timestamp, time_zone) -%}
    cast({{ local_timestamp(utc_timestamp, time_zone) }} as date)
{%- endmacro %}
