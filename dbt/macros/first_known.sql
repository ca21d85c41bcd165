{# Aggregate: the first value that is not null, in the order given. #}
{% macro first_known(expression, order_by) -%}
    {{ return(adapter.dispatch('first_known', 'clinicmart')(expression, order_by)) }}
{%- endmacro %}

{% macro duckdb__first_known(expression, order_by) -%}
    arg_min({{ expression }}, {{ order_by }})
{%- endmacro %}

{% macro default__first_known(expression, order_by) -%}
    (array_agg({{ expression }} order by {{ order_by }}) filter (where {{ expression }} is not null))[1]
{%- endmacro %}
