{%- set statuses = {'1': 1, '19': 1, '2': 2, '20': 2, '3': 3, '21': 3} -%}
with resolved as (
    select
        answers.*,
        matches.claim_id is not null as is_matched,
        coalesce(matches.match_method, 'none') as match_method,
        coalesce(matches.claim_id, answers.claim_number) as claim_id,
        coalesce(
            matches.claim_id,
            -- What reverses or corrects a decision stands with it.
            answers.claim_number || '/' || coalesce(
                answers.original_payer_claim_control_number, answers.payer_claim_control_number, ''
            )
        ) as claim_key,
        answers.payer_id as paying_payer_id,
        case answers.claim_status_code
            {%- for code, sequence in statuses.items() %}
            when '{{ code }}' then {{ sequence }}
            {%- endfor %}
        end as stated_sequence
    from {{ ref('int_remitted_claims') }} as answers
    left join {{ ref('int_remittance_claim_matches') }} as matches
        on answers.tenant_id = matches.tenant_id
        and answers.remittance_claim_id = matches.remittance_claim_id
),

-- An explanation of benefit and an 835 may tell of the same decision: where an 835 speaks of a claim, it alone counts.
paid_by_remittance as (
    select tenant_id, claim_key from resolved where remittance_id is not null group by tenant_id, claim_key
)

select
    resolved.tenant_id,
    resolved.remittance_claim_id,
    resolved.remittance_id,
    resolved.claim_key,
    resolved.claim_id,
    resolved.claim_number,
    resolved.is_matched,
    resolved.match_method,
    resolved.remittance_id is not null or paid_by_remittance.claim_key is null as is_counted,
    resolved.patient_id,
    resolved.paying_payer_id as payer_id,
    resolved.payer_claim_control_number,
    resolved.original_payer_claim_control_number,
    resolved.claim_status_code,
    resolved.claim_status_code = '22' as is_reversal,
    resolved.stated_sequence,
    resolved.filing_indicator,
    resolved.billed_amount,
    resolved.payer_paid_amount,
    resolved.patient_responsibility_amount,
    resolved.allowed_amount,
    resolved.service_from_date,
    resolved.adjudicated_date,
    resolved.payment_date,
    resolved.source_system,
    resolved.source_record_id,
    resolved.source_position,
    resolved.source_updated_at
from resolved
left join paid_by_remittance
    on resolved.tenant_id = paid_by_remittance.tenant_id
    and resolved.claim_key = paid_by_remittance.claim_key
order by resolved.tenant_id, resolved.claim_key
