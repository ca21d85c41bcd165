{# The instant, in UTC, at which a calendar day begins in an IANA time zone. Both arguments are SQL expressions. #}
{% macro utc_midnight(local_date, time_zone) -%}
    {{ return(adapter.dispatch('utc_midnight', 'clinicmart')(local_date, time_zone)) }}
{%- endmacro %}

{% macro default__utc_midnight(local_date, time_zone) -%}
    timezone('UTC', timezone({{ time_zone }}, cast({{ local_date }} as timestamp)))
{%- endmacro %}
