{# Joins of the patient that a row of a raw table names: by issuer and after merges; see current_issued_patient. #}
{% macro issued_patient_joins(alias) -%}
left join {{ ref('int_patient_keys') }} as patient_keys
    on {{ alias }}.tenant_id = patient_keys.tenant_id
    and {{ alias }}.source_system = patient_keys.source_system
    and {{ alias }}.patient_id = patient_keys.identifier
left join {{ ref('int_patient_crosswalk') }} as merged
    on {{ alias }}.tenant_id = merged.tenant_id
    and coalesce(patient_keys.issued_key, split_part({{ alias }}.patient_id, '^^^', 1)) = merged.patient_id
{%- endmacro %}

{% macro current_issued_patient(alias) -%}
    coalesce(merged.current_patient_id, patient_keys.issued_key, split_part({{ alias }}.patient_id, '^^^', 1))
{%- endmacro %}
