{# Minutes from one timestamp to another, with fractions to eight places, so that a mean is right to six. #}
{% macro minutes_between(from_timestamp, to_timestamp) -%}
    {{ return(adapter.dispatch('minutes_between', 'clinicmart')(from_timestamp, to_timestamp)) }}
{%- endmacro %}

{% macro duckdb__minutes_between(from_timestamp, to_timestamp) -%}
    cast((epoch_us({{ to_timestamp }}) - epoch_us({{ from_timestamp }})) / 60000000.0 as decimal(18, 8))
{%- endmacro %}

{% macro default__minutes_between(from_timestamp, to_timestamp) -%}
    cast(extract(epoch from ({{ to_timestamp }} - {{ from_timestamp }})) / 60.0 as numeric(18, 8))
{%- endmacro %}
