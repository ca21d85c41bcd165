-- The survivor's record wins over one that was merged into it; what feed it is from decides among the survivor's own.
with rekeyed as (
    select
        listing.tenant_id,
        {{ current_id('listing', 'patient') }} as patient_id,
        listing.birth_year,
        listing.sex,
        listing.zip3,
        listing.language,
        row_number() over (
            partition by listing.tenant_id, {{ current_id('listing', 'patient') }}
            order by
                case
                    when coalesce(aliases.record_patient_id, listing.patient_id)
                        = {{ current_id('listing', 'patient') }} then 0
                    else 1
                end,
                coalesce(ranking.precedence, 999),
                listing.source_updated_at desc,
                listing.patient_id,
                listing.source_system
        ) as record_rank
    from {{ ref('stg_patients') }} as listing
    {{ crosswalk_joins('listing', ['patient']) | indent(4) }}
    left join {{ ref('int_patient_aliases') }} as aliases
        on listing.tenant_id = aliases.tenant_id
        and listing.patient_id = aliases.patient_id
    left join {{ ref('stg_system_of_record') }} as ranking
        on listing.tenant_id = ranking.tenant_id
        and listing.source_system = ranking.source_system
        and ranking.entity = 'patient'
),

listed as (
    select
        tenant_id,
        patient_id,
        {{ first_known('birth_year', 'record_rank') }} as birth_year,
        coalesce({{ first_known("nullif(sex, 'unknown')", 'record_rank') }}, max(sex)) as sex,
        {{ first_known('zip3', 'record_rank') }} as zip3,
        {{ first_known('language', 'record_rank') }} as language
    from rekeyed
    group by tenant_id, patient_id
),

-- Facts may name a patient before the record of the patient arrives, or without it.
referenced as (
    {{ referenced_ids('patient_id', ['appointments', 'encounters', 'charges', 'claims', 'coverages', 'referrals',
        'remittance_claims', 'patient_payments', 'bed_movements', 'authorizations',
        'diagnoses']) }}
),

inferred as (
    select distinct
        referenced.tenant_id,
        {{ current_id('referenced', 'patient') }} as patient_id
    from referenced
    {{ crosswalk_joins('referenced', ['patient']) | indent(4) }}
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
