-- A claim's submissions may reach us from the PM system and from the 837 itself: those of one feed count, the record's.
with ranked as (
    select
        claims.*,
        coalesce(ranking.precedence, 999) as precedence,
        dense_rank() over (
            partition by claims.tenant_id, claims.claim_id
            order by coalesce(ranking.precedence, 999), claims.source_system
        ) as feed_choice
    from {{ ref('stg_claims') }} as claims
    left join {{ ref('stg_system_of_record') }} as ranking
        on claims.tenant_id = ranking.tenant_id
        and claims.source_system = ranking.source_system
        and ranking.entity = 'claim'
)

select
    ranked.tenant_id,
    ranked.claim_id,
    ranked.claim_submission_id,
    ranked.feed_choice = 1 as is_counted,
    ranked.precedence,
    row_number() over (
        partition by ranked.tenant_id, ranked.claim_id
        order by ranked.feed_choice, ranked.submitted_at, ranked.claim_submission_id
    ) as submission_number,
    {{ current_id('ranked', 'encounter') }} as encounter_id,
    {{ current_id('ranked', 'patient') }} as patient_id,
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
{{ crosswalk_joins('ranked', ['patient', 'provider', 'payer', 'encounter']) }}
order by ranked.tenant_id, ranked.claim_id
