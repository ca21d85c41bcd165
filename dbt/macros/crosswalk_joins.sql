{#
    Left joins of the crosswalks of what a row names: `patients`, `providers`, `payers`, `visits` for patient, provider,
    payer, encounter. Without a row there an identifier stands for itself, see current_id.

    alias    alias of the row's relation
    names    list of these; the row's column is <name>_id
    visits   relation in place of the crosswalk of encounters: one that `encounter_references` made
#}
{% macro crosswalk_joins(alias, names, visits=none) -%}
{%- for name in names %}
left join {{ visits if visits and name == 'encounter' else ref('int_' ~ name ~ '_crosswalk') }} as {{ crosswalk_alias(name) }}
    on {{ alias }}.tenant_id = {{ crosswalk_alias(name) }}.tenant_id
    and {{ alias }}.{{ name }}_id = {{ crosswalk_alias(name) }}.{{ name }}_id
{%- endfor %}
{%- endmacro %}

{# The identifier that stands for what the row names now; needs the join above. #}
{% macro current_id(alias, name) -%}
    coalesce({{ crosswalk_alias(name) }}.current_{{ name }}_id, {{ alias }}.{{ name }}_id)
{%- endmacro %}

{% macro crosswalk_alias(name) -%}
    {{ return({'patient': 'patients', 'provider': 'providers', 'payer': 'payers', 'encounter': 'visits'}[name]) }}
{%- endmacro %}
