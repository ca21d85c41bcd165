{# Noon, in UTC, of the local day of a UTC timestamp in an IANA time zone. Both arguments are SQL expressions. #}
{% macro utc_noon(utc_timestamp, time_zone) -%}
    {{ utc_midnight('cast(' ~ local_date(utc_timestamp, time_zone) ~ " as timestamp) + interval '12 hours'", time_zone) }}
{%- endmacro %}
