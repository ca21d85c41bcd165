{# Words of the columns diagnosis_chapter and diagnosis_category where there is no chapter to name. #}
{% macro no_diagnosis() -%}{{ return('not stated') }}{%- endmacro %}
{% macro other_code() -%}{{ return('other code') }}{%- endmacro %}

{# The condition under which a code, without its dot and in capitals, has the form of ICD-10-CM. #}
{% macro has_icd10_form(code) -%}
    {{ code }} similar to '[A-Z][0-9][0-9AB][0-9A-Z]{0,4}'
{%- endmacro %}

{#
    The first diagnosis of a row's charge, claim or visit, in the order of `owners`: left joins, and the columns diagnosis_chapter and
    diagnosis_category.

    alias    alias of the row's relation
    owners   kind of owner -> the column that names it
#}
{% macro first_diagnosis_joins(alias, owners) -%}
{%- for kind, column in owners.items() %}
left join (select * from {{ ref('int_first_diagnoses') }} where owner_kind = '{{ kind }}') as diagnosis_of_{{ kind }}
    on {{ alias }}.tenant_id = diagnosis_of_{{ kind }}.tenant_id
    and {{ alias }}.{{ column }} = diagnosis_of_{{ kind }}.owner_id
{%- endfor %}
{%- endmacro %}

{% macro first_diagnosis(owners) -%}
    {%- for name in ['chapter', 'category'] %}
    coalesce({% for kind in owners %}diagnosis_of_{{ kind }}.diagnosis_{{ name }}, {% endfor %}'{{ no_diagnosis() }}') as diagnosis_{{ name }}
    {%- if not loop.last %},{% endif %}
    {%- endfor %}
{%- endmacro %}
