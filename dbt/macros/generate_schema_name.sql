{# Schemas are named as configured, without the target's schema in front: published files carry the same names. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}
{%- endmacro %}
