-- A claim's submissions may reach us from the PM system and from the 837 itself: those of one feed count, the record's. Of
-- two 837 feeds each counts for what only it sends.
with renamed as (
    select tenant_id, bill_id, claim_id, chain_place
    from {{ ref('int_bill_claims') }}
    where claim_id <> claim_number or chain_place > 0
),

-- Tenants with several feeds that bring 837s.
senders as (
    select claims.tenant_id
    from {{ ref('stg_claims') }} as claims
    where {{ is_837('claims') }}
    group by claims.tenant_id
    having min(claims.source_system) < max(claims.source_system)
),

keyed as (
    select
        claims.*,
        coalesce(renamed.claim_id, claims.claim_id) as current_claim_id,
        coalesce(submissions.bill_id, claims.claim_id || '/1') as bill_id,
        coalesce(renamed.chain_place, 0) as chain_place,
        {{ claim_kind('claims') }} as claim_kind,
        {{ is_837('claims') }} as is_837,
        senders.tenant_id is not null as has_senders,
        submissions.patient_id as bill_patient_id,
        coalesce(ranking.precedence, 999) as precedence
    from {{ ref('stg_claims') }} as claims
    left join {{ ref('int_claim_submission_bills') }} as submissions
        on claims.tenant_id = submissions.tenant_id
        and claims.source_system = submissions.source_system
        and claims.claim_submission_id = submissions.claim_submission_id
    left join renamed
        on claims.tenant_id = renamed.tenant_id
        and coalesce(submissions.bill_id, claims.claim_id || '/1') = renamed.bill_id
    left join senders
        on claims.tenant_id = senders.tenant_id
    left join (select * from {{ ref('stg_system_of_record') }} where entity = 'claim') as ranking
        on claims.tenant_id = ranking.tenant_id
        and claims.source_system = ranking.source_system
),

chosen as (
    select
        keyed.*,
        dense_rank() over (partition by tenant_id, current_claim_id order by precedence, source_system) as feed_choice
    from keyed
    where not has_senders
    union all
    select
        keyed.*,
        case
            when min(case when is_837 then 1 else 0 end) over (partition by tenant_id, current_claim_id) = 0
                then dense_rank() over (partition by tenant_id, current_claim_id order by precedence, source_system)
            else dense_rank() over (
                partition by tenant_id, current_claim_id, bill_id, claim_kind, payer_sequence
                order by precedence, source_system
            )
        end
    from keyed
    where has_senders
),

ranked as (
    select
        chosen.*,
        row_number() over (
            partition by tenant_id, current_claim_id
            order by
                feed_choice,
                submitted_at,
                chain_place,
                case claim_kind when 'original' then 0 when 'replacement' then 1 else 2 end,
                claim_submission_id,
                source_system
        ) as submission_number
    from chosen
)

select
    ranked.tenant_id,
    ranked.current_claim_id as claim_id,
    ranked.claim_id as claim_number,
    ranked.claim_submission_id,
    ranked.feed_choice = 1 as is_counted,
    ranked.precedence,
    ranked.submission_number,
    {{ current_id('ranked', 'encounter') }} as encounter_id,
    coalesce({{ current_id('ranked', 'patient') }}, ranked.bill_patient_id) as patient_id,
    {{ current_id('ranked', 'payer') }} as payer_id,
    ranked.service_unit_id,
    {{ current_id('ranked', 'provider') }} as provider_id,
    ranked.billing_provider_npi,
    ranked.claim_type,
    coalesce(ranked.frequency_code, '1') as frequency_code,
    coalesce(ranked.payer_sequence, 'unknown') as payer_sequence,
    ranked.original_payer_claim_control_number,
    ranked.place_of_service,
    ranked.billed_amount,
    ranked.service_from_date,
    ranked.service_to_date,
    ranked.submitted_at,
    ranked.source_system,
    ranked.source_record_id,
    ranked.source_position,
    ranked.source_updated_at
from ranked
{{ crosswalk_joins('ranked', ['patient', 'provider', 'payer', 'encounter'], visits=ref('int_billed_encounters')) }}
order by ranked.tenant_id, ranked.current_claim_id
