with payments as (
    {{ collapse(ref('stg_remittances'), 'remittance', 'remittance_id',
        ['payer_id', 'payee_npi', 'trace_number', 'payment_method', 'payment_amount', 'payment_date',
         'produced_date']) }}
),

claims as (
    select tenant_id, remittance_id, count(*) as claim_payments, sum(payer_paid_amount) as claim_paid_amount
    from {{ ref('fct_remittance_claims') }}
    where remittance_id is not null
    group by tenant_id, remittance_id
),

provider_level as (
    select tenant_id, remittance_id, sum(adjustment_amount) as provider_adjustment_amount
    from {{ ref('fct_provider_adjustments') }}
    group by tenant_id, remittance_id
),

dated as (
    select
        payments.*,
        coalesce(crosswalk.current_payer_id, payments.payer_id, 'unknown') as current_payer_id,
        coalesce(
            payments.payment_date,
            payments.produced_date,
            {{ local_date('payments.source_updated_at', 'tenants.time_zone') }}
        ) as paid_date
    from payments
    inner join {{ ref('stg_tenants') }} as tenants on payments.tenant_id = tenants.tenant_id
    left join {{ ref('int_payer_crosswalk') }} as crosswalk
        on payments.tenant_id = crosswalk.tenant_id
        and payments.payer_id = crosswalk.payer_id
)

select
    {{ entity_key('dated.remittance_id', 'dated.tenant_id') }} as remittance_key,
    dated.tenant_id,
    dated.remittance_id,
    dated.current_payer_id as payer_id,
    {{ entity_key('dated.current_payer_id', 'dated.tenant_id') }} as payer_key,
    coalesce(classes.payer_class, 'unmapped') as payer_class,
    dated.payee_npi,
    dated.trace_number,
    coalesce(dated.payment_method, 'unknown') as payment_method,
    dated.paid_date as payment_date,
    cast(coalesce(claims.claim_payments, 0) as integer) as claim_payments,
    {{ money('dated.payment_amount') }} as payment_amount,
    {{ money('coalesce(claims.claim_paid_amount, 0)') }} as claim_paid_amount,
    {{ money('coalesce(provider_level.provider_adjustment_amount, 0)') }} as provider_adjustment_amount,
    -- The payer's own sum does not always add up: what is off is shown, not spread.
    {{ money('dated.payment_amount - coalesce(claims.claim_paid_amount, 0)
        + coalesce(provider_level.provider_adjustment_amount, 0)') }} as out_of_balance_amount,
    dated.source_system,
    dated.source_record_id,
    dated.source_position
from dated
left join claims
    on dated.tenant_id = claims.tenant_id
    and dated.remittance_id = claims.remittance_id
left join provider_level
    on dated.tenant_id = provider_level.tenant_id
    and dated.remittance_id = provider_level.remittance_id
left join {{ ref('int_payer_classes') }} as classes
    on dated.tenant_id = classes.tenant_id
    and dated.current_payer_id = classes.payer_id
    and dated.paid_date between classes.valid_from and classes.valid_to
order by dated.tenant_id, dated.paid_date
