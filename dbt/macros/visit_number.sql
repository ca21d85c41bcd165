{# The number of a visit as the sender wrote it, without the issuer that some identifiers carry behind it. #}
{% macro visit_number(encounter_id) -%}
    split_part({{ encounter_id }}, '^^^', 1)
{%- endmacro %}
