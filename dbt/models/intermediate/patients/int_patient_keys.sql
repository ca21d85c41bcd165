{#- Two people: at least two of birth year, sex and family name differ. One of them alone may be a mistake, or a marriage. -#}
{%- set differences -%}
    case when one.birth_year <> other.birth_year then 1 else 0 end
        + case when one.sex <> other.sex then 1 else 0 end
        + case when one.family_name_token <> other.family_name_token then 1 else 0 end
{%- endset -%}
with patients as (
    select
        tenant_id,
        source_system,
        patient_id,
        birth_year,
        nullif(sex, 'unknown') as sex,
        family_name_token,
        source_updated_at
    from {{ source('raw', 'patient') }}{{ where_touched() }}
),

-- A feed with other identifiers says which number they stand for.
listed as (
    select tenant_id, source_system, patient_id as identifier, birth_year, sex, family_name_token, source_updated_at
    from patients
    union all
    select
        patients.tenant_id,
        patients.source_system,
        aliases.to_patient_id,
        patients.birth_year,
        patients.sex,
        patients.family_name_token,
        patients.source_updated_at
    from patients
    inner join {{ source('raw', 'patient_merge') }} as aliases
        on patients.tenant_id = aliases.tenant_id
        and patients.source_system = aliases.source_system
        and patients.patient_id = aliases.from_patient_id
    where aliases.merge_type = 'alias'
),

{{ issued_keys(
    'patient',
    ['birth_year', 'sex', 'family_name_token'],
    is_doubtful="case when min(birth_year) <> max(birth_year) then 1 else 0 end
        + case when min(sex) <> max(sex) then 1 else 0 end
        + case when min(family_name_token) <> max(family_name_token) then 1 else 0 end >= 2",
    contradicts=differences ~ ' >= 2',
    agrees='one.birth_year = other.birth_year',
    differs='one.birth_year <> other.birth_year',
) }}
