{# The join key of an entity in semantic models: tenant and identifier, or a list of parts that identify together. #}
{% macro entity_key(identifier, tenant='tenant_id') -%}
    ({{ tenant }} || '|' || {{ identifier if identifier is string else identifier | join(" || '|' || ") }})
{%- endmacro %}
