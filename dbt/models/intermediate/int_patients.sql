with rekeyed as (
    select
        patients.tenant_id,
        patients.source_system,
        coalesce(crosswalk.current_patient_id, patients.patient_id) as patient_id,
        patients.birth_year,
        patients.sex,
        patients.zip3,
        patients.language,
        row_number() over (
            partition by patients.tenant_id, coalesce(crosswalk.current_patient_id, patients.patient_id)
            order by
                case when crosswalk.current_patient_id is null then 0 else 1 end,
                coalesce(ranking.precedence, 999),
                patients.source_updated_at desc,
                patients.patient_id
        ) as record_rank
    from {{ ref('stg_patients') }} as patients
    left join {{ ref('int_patient_crosswalk') }} as crosswalk
        on patients.tenant_id = crosswalk.tenant_id
        and patients.patient_id = crosswalk.patient_id
    left join {{ ref('stg_system_of_record') }} as ranking
        on patients.tenant_id = ranking.tenant_id
        and patients.source_system = ranking.source_system
        and ranking.entity = 'patient'
),

listed as (
    select
        tenant_id,
        patient_id,
        {{ first_known('birth_year', 'record_rank') }} as birth_year,
        {{ first_known('sex', 'record_rank') }} as sex,
        {{ first_known('zip3', 'record_rank') }} as zip3,
        {{ first_known('language', 'record_rank') }} as language
    from rekeyed
    group by tenant_id, patient_id
),

-- Facts may name a patient before the record of the patient arrives, or without it.
referenced as (
    {{ referenced_ids('patient_id', ['appointments', 'encounters', 'charges', 'claims', 'coverages', 'referrals',
        'remittance_claims', 'patient_payments', 'bed_movements']) }}
),

inferred as (
    select distinct
        referenced.tenant_id,
        coalesce(crosswalk.current_patient_id, referenced.patient_id) as patient_id
    from referenced
    left join {{ ref('int_patient_crosswalk') }} as crosswalk
        on referenced.tenant_id = crosswalk.tenant_id
        and referenced.patient_id = crosswalk.patient_id
)

select tenant_id, patient_id, birth_year, sex, zip3, language, true as is_listed
from listed
union all
select inferred.tenant_id, inferred.patient_id, null, null, null, null, false
from inferred
left join listed
    on inferred.tenant_id = listed.tenant_id
    and inferred.patient_id = listed.patient_id
where listed.patient_id is null
order by 1, 2
