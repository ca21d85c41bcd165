-- What one submission or feed leaves empty another may say: the counted feed first, the primary payer's submission
-- first.
with ordered as (
    select
        submissions.*,
        row_number() over (
            partition by tenant_id, claim_id
            order by
                case when is_counted then 0 else 1 end,
                case when payer_sequence in ('secondary', 'tertiary') then 1 else 0 end,
                precedence,
                submission_number
        ) as knowledge_rank,
        -- A replacement stands for what it replaces, a void for nothing billed.
        row_number() over (
            partition by tenant_id, claim_id
            order by
                case when is_counted then 0 else 1 end,
                case when payer_sequence in ('secondary', 'tertiary') then 1 else 0 end,
                submission_number desc
        ) as currency_rank
    from {{ ref('int_claim_submissions') }} as submissions
),

-- Submissions whose claim has another name than their number.
renamed as (
    select tenant_id, source_system, claim_submission_id, claim_id
    from {{ ref('int_claim_submissions') }}
    where claim_id <> claim_number
),

line_encounters as (
    select
        lines.tenant_id,
        coalesce(renamed.claim_id, lines.claim_id) as claim_id,
        min({{ current_id('lines', 'encounter') }}) as encounter_id,
        min(lines.service_date) as service_from_date
    from {{ ref('stg_claim_lines') }} as lines
    left join renamed
        on lines.tenant_id = renamed.tenant_id
        and lines.source_system = renamed.source_system
        and lines.claim_submission_id = renamed.claim_submission_id
    {{ crosswalk_joins('lines', ['encounter'], visits=ref('int_billed_encounters')) | indent(4) }}
    group by lines.tenant_id, coalesce(renamed.claim_id, lines.claim_id)
),

claims as (
    select
        tenant_id,
        claim_id,
        {{ first_known('encounter_id', 'knowledge_rank') }} as encounter_id,
        {{ first_known('patient_id', 'knowledge_rank') }} as patient_id,
        {{ first_known('payer_id', 'knowledge_rank') }} as payer_id,
        {{ first_known('service_unit_id', 'knowledge_rank') }} as service_unit_id,
        {{ first_known('provider_id', 'knowledge_rank') }} as provider_id,
        {{ first_known('billing_provider_npi', 'knowledge_rank') }} as billing_provider_npi,
        {{ first_known('claim_type', 'knowledge_rank') }} as claim_type,
        {{ first_known('place_of_service', 'knowledge_rank') }} as place_of_service,
        {{ first_known('service_from_date', 'knowledge_rank') }} as service_from_date,
        {{ first_known('service_to_date', 'knowledge_rank') }} as service_to_date,
        min(case when is_counted then submitted_at end) as first_submitted_at,
        sum(case when is_counted then 1 else 0 end) as submissions,
        max(case when is_counted and frequency_code = '7' then 1 else 0 end) = 1 as has_replacement,
        max(case when currency_rank = 1 then claim_submission_id end) as current_submission_id,
        max(case when currency_rank = 1 then claim_number end) as claim_number,
        max(case when currency_rank = 1 then source_system end) as source_system,
        max(case when currency_rank = 1 then source_record_id end) as source_record_id,
        max(case when currency_rank = 1 then source_position end) as source_position,
        max(case when currency_rank = 1 then frequency_code end) = '8' as is_void,
        max(case when currency_rank = 1 and frequency_code <> '8' then billed_amount else 0 end) as billed_amount
    from ordered
    group by tenant_id, claim_id
)

select
    claims.tenant_id,
    claims.claim_id,
    claims.claim_number,
    coalesce(claims.encounter_id, line_encounters.encounter_id) as encounter_id,
    claims.patient_id,
    claims.payer_id,
    claims.service_unit_id,
    claims.provider_id,
    claims.billing_provider_npi,
    claims.claim_type,
    claims.place_of_service,
    coalesce(claims.service_from_date, line_encounters.service_from_date) as service_from_date,
    claims.service_to_date,
    claims.first_submitted_at,
    claims.submissions,
    claims.has_replacement,
    claims.current_submission_id,
    claims.source_system,
    claims.source_record_id,
    claims.source_position,
    claims.is_void,
    claims.billed_amount
from claims
left join line_encounters
    on claims.tenant_id = line_encounters.tenant_id
    and claims.claim_id = line_encounters.claim_id
order by claims.tenant_id, claims.claim_id
