{# A UTC timestamp as the wall clock shows it in an IANA time zone. Both arguments are SQL expressions. #}
{% macro local_timestamp(utc_timestamp, time_zone) -%}
    {{ return(adapter.dispatch('local_timestamp', 'clinicmart')(utc_timestamp, time_zone)) }}
{%- endmacro %}

{% macro default__local_timestamp(utc_timestamp, time_zone) -%}
    timezone({{ time_zone }}, timezone('UTC', {{ utc_timestamp }}))
{%- endmacro %}
