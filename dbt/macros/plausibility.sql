{# Columns that a plausibility check gives, in the order in which their rows are put together. #}
{% macro plausibility_columns() -%}
    tenant_id, code, feed, other_feed, entity, source_position, found_day, found_rows, found_amount
{%- endmacro %}

{# Whether a part is worth a finding: one in a hundred of the whole, or more. Both are rows, or both are absolute money. #}
{% macro is_material(part, whole) -%}
    ({{ part }} > 0 and {{ part }} * 100 >= {{ whole }})
{%- endmacro %}
