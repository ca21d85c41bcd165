{#
Schemas are named as configured, without the target's schema in front: published files carry the same names. On PostgreSQL a run
builds beside what readers see, in schemas of this name and CLINICMART_PG_SUFFIX, and the names are switched when all has passed.
#}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ (custom_schema_name or target.schema) | trim }}{{ env_var('CLINICMART_PG_SUFFIX', '') if target.type == 'postgres' }}
{%- endmacro %}
