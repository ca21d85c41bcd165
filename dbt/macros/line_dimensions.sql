{# The dimensions by which money of a charge line is shown: unit where it stood on the day of service, provider, payer, visit type, class. #}
{% macro line_dimensions(lines) -%}
    {{ lines }}.service_unit_id,
    {{ service_unit_key(lines ~ '.service_unit_id', lines ~ '.tenant_id', lines ~ '.service_date') }} as service_unit_key,
    {{ lines }}.provider_id,
    {{ entity_key(lines ~ '.provider_id', lines ~ '.tenant_id') }} as provider_key,
    {{ lines }}.payer_id,
    {{ entity_key(lines ~ '.payer_id', lines ~ '.tenant_id') }} as payer_key,
    {{ lines }}.payer_class,
    {{ lines }}.visit_type_id,
    {{ entity_key(lines ~ '.visit_type_id', lines ~ '.tenant_id') }} as visit_type_key,
    {{ lines }}.encounter_class
{%- endmacro %}
