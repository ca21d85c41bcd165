{# Elapsed days from one timestamp to another as an exact fraction, to eight places. #}
{% macro days_between(from_timestamp, to_timestamp) -%}
    {{ return(adapter.dispatch('days_between', 'clinicmart')(from_timestamp, to_timestamp)) }}
{%- endmacro %}

{% macro duckdb__days_between(from_timestamp, to_timestamp) -%}
    cast((epoch_us({{ to_timestamp }}) - epoch_us({{ from_timestamp }})) / 86400000000.0 as decimal(18, 8))
{%- endmacro %}

{% macro default__days_between(from_timestamp, to_timestamp) -%}
    cast(extract(epoch from ({{ to_timestamp }} - {{ from_timestamp }})) / 86400.0 as numeric(18, 8))
{%- endmacro %}
