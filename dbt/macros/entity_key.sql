{# The join key of an entity in semantic models: tenant and identifier, because identifiers repeat across tenants. #}
{% macro entity_key(identifier, tenant='tenant_id') -%}
    ({{ tenant }} || '|' || {{ identifier }})
{%- endmacro %}
