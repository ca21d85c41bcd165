-- Diagnoses that stand, by the claim, charge, visit or patient that they are of, with their chapter of ICD-10-CM.
with submissions as (
    select
        tenant_id,
        source_system,
        claim_submission_id,
        claim_id,
        row_number() over (
            partition by tenant_id, claim_id, source_system
            order by case when payer_sequence in ('secondary', 'tertiary') then 1 else 0 end, submission_number desc
        ) as currency_rank
    from {{ ref('int_claim_submissions') }}
),

coded as (
    select
        stated.tenant_id,
        stated.source_system,
        stated.diagnosis_id,
        coalesce(submissions.claim_id, stated.claim_id) as claim_id,
        stated.charge_id,
        {{ current_id('stated', 'encounter') }} as encounter_id,
        {{ current_id('stated', 'patient') }} as patient_id,
        coalesce(stated.diagnosis_code, referred.diagnosis_code) as stated_code,
        case when stated.diagnosis_code is null then coalesce(referred.code_system, 'unknown') else stated.code_system end
            as code_system,
        stated.diagnosis_type,
        stated.sequence_number,
        coalesce(stated.recorded_at, referred.recorded_at) as recorded_at,
        coalesce(ranking.precedence, 999) as precedence,
        stated.source_record_id,
        stated.source_position
    from {{ ref('stg_diagnoses') }} as stated
    -- A visit or claim may refer to the record that states the code.
    left join {{ ref('stg_diagnoses') }} as referred
        on stated.tenant_id = referred.tenant_id
        and stated.source_system = referred.source_system
        and stated.code_stated_in_id = referred.diagnosis_id
    left join submissions
        on stated.tenant_id = submissions.tenant_id
        and stated.source_system = submissions.source_system
        and stated.claim_submission_id = submissions.claim_submission_id
    left join (select * from {{ ref('stg_system_of_record') }} where entity = 'diagnosis') as ranking
        on stated.tenant_id = ranking.tenant_id
        and stated.source_system = ranking.source_system
    {{ crosswalk_joins('stated', ['patient', 'encounter']) | indent(4) }}
    where stated.status = 'stated'
        and coalesce(referred.status, 'stated') = 'stated'
        -- Of the submissions of a claim in one feed the last one to the primary payer counts.
        and coalesce(submissions.currency_rank, 1) = 1
),

cleaned as (
    select
        *,
        upper(replace(replace(stated_code, '.', ''), ' ', '')) as clean_code,
        code_system in ('icd10cm', 'icd10') as is_icd10_system
    from coded
),

classified as (
    select
        cleaned.*,
        chapters.chapter,
        case
            when cleaned.stated_code is null then 'no code'
            when not cleaned.is_icd10_system then 'another code set'
            when not ({{ has_icd10_form('cleaned.clean_code') }}) then 'not of the form of ICD-10-CM'
            when chapters.chapter is null then 'in no chapter'
            else 'in a chapter'
        end as code_state
    from cleaned
    left join {{ ref('icd10_chapters') }} as chapters
        on cleaned.is_icd10_system
        and {{ has_icd10_form('cleaned.clean_code') }}
        and substring(cleaned.clean_code, 1, 3) between chapters.first_category and chapters.last_category
)

select
    classified.tenant_id,
    classified.source_system,
    classified.diagnosis_id,
    case
        when classified.charge_id is not null then 'charge'
        when classified.claim_id is not null then 'claim'
        when classified.encounter_id is not null then 'visit'
        else 'patient'
    end as owner_kind,
    coalesce(classified.charge_id, classified.claim_id, classified.encounter_id, classified.patient_id, 'unknown')
        as owner_id,
    classified.charge_id,
    coalesce(classified.claim_id, lines.claim_id) as claim_id,
    coalesce(classified.encounter_id, context.encounter_id, lines.encounter_id) as encounter_id,
    coalesce(classified.patient_id, context.patient_id, lines.patient_id) as patient_id,
    classified.stated_code,
    classified.code_system,
    classified.code_state,
    case when classified.chapter is not null then classified.clean_code end as diagnosis_code,
    case when classified.chapter is not null then substring(classified.clean_code, 1, 3) else '{{ other_code() }}' end
        as diagnosis_category,
    coalesce(classified.chapter, '{{ other_code() }}') as diagnosis_chapter,
    classified.diagnosis_type,
    cast(classified.sequence_number as integer) as sequence_number,
    -- Which of several comes first: the feed of the record, then the part that each plays, then its place.
    row_number() over (
        partition by classified.tenant_id
        order by
            classified.precedence,
            case classified.diagnosis_type when 'principal' then 0 when 'secondary' then 1 else 2 end,
            coalesce(classified.sequence_number, 999999),
            classified.source_system,
            classified.diagnosis_id
    ) as listing_order,
    classified.recorded_at,
    classified.source_record_id,
    classified.source_position
from classified
left join (select * from {{ ref('int_charge_lines') }} where line_kind = 'charge') as lines
    on classified.tenant_id = lines.tenant_id
    and classified.charge_id = lines.charge_id
left join {{ ref('int_claim_context') }} as context
    on classified.tenant_id = context.tenant_id
    and classified.claim_id = context.claim_id
order by classified.tenant_id, classified.diagnosis_id
