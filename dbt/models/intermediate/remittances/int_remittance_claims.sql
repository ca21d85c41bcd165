{%- set statuses = {'1': 1, '19': 1, '2': 2, '20': 2, '3': 3, '21': 3} -%}
with collapsed as (
    {{ collapse(ref('stg_remittance_claims'), 'remittance_claim', 'remittance_claim_id',
        ['remittance_id', 'claim_id', 'patient_id', 'payer_id', 'payer_claim_control_number',
         'original_payer_claim_control_number', 'claim_status_code', 'filing_indicator', 'billed_amount', 'payer_paid_amount', 'patient_responsibility_amount', 'allowed_amount',
         'service_from_date', 'service_to_date', 'adjudicated_date']) }}
),

payments as (
    {{ collapse(ref('stg_remittances'), 'remittance', 'remittance_id', ['payer_id', 'payment_date', 'produced_date']) }}
),

resolved as (
    select
        collapsed.*,
        context.claim_id is not null as is_matched,
        case
            when context.claim_id is not null then collapsed.claim_id
            -- What reverses or corrects a decision stands with it.
            else collapsed.claim_id || '/' || coalesce(
                collapsed.original_payer_claim_control_number, collapsed.payer_claim_control_number, ''
            )
        end as claim_key,
        coalesce(crosswalk.current_payer_id, collapsed.payer_id, payments.payer_id, 'unknown') as paying_payer_id,
        coalesce(payments.payment_date, collapsed.adjudicated_date, {{ local_date('collapsed.source_updated_at', 'tenants.time_zone') }})
            as payment_date,
        coalesce(collapsed.adjudicated_date, payments.payment_date, {{ local_date('collapsed.source_updated_at', 'tenants.time_zone') }})
            as decided_date,
        case collapsed.claim_status_code
            {%- for code, sequence in statuses.items() %}
            when '{{ code }}' then {{ sequence }}
            {%- endfor %}
        end as stated_sequence
    from collapsed
    inner join {{ ref('stg_tenants') }} as tenants on collapsed.tenant_id = tenants.tenant_id
    left join payments
        on collapsed.tenant_id = payments.tenant_id
        and collapsed.remittance_id = payments.remittance_id
    left join {{ ref('int_claim_context') }} as context
        on collapsed.tenant_id = context.tenant_id
        and collapsed.claim_id = context.claim_id
    left join {{ ref('int_payer_crosswalk') }} as crosswalk
        on collapsed.tenant_id = crosswalk.tenant_id
        and coalesce(collapsed.payer_id, payments.payer_id) = crosswalk.payer_id
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
    resolved.is_matched,
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
    resolved.decided_date as adjudicated_date,
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
