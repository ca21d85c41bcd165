{# Whole calendar days from one date to another; negative where the second is earlier. #}
{% macro date_diff_days(from_date, to_date) -%}
    {{ return(adapter.dispatch('date_diff_days', 'clinicmart')(from_date, to_date)) }}
{%- endmacro %}

{% macro default__date_diff_days(from_date, to_date) -%}
    cast(cast({{ to_date }} as date) - cast({{ from_date }} as date) as integer)
{%- endmacro %}
