with collapsed as (
    {{ collapse(ref('stg_provider_adjustments'), 'provider_adjustment', 'provider_adjustment_id',
        ['remittance_id', 'provider_npi', 'reason_code', 'reference_number', 'adjustment_amount',
         'fiscal_period_date']) }}
),

payments as (
    {{ collapse(ref('stg_remittances'), 'remittance', 'remittance_id', ['payer_id', 'payment_date', 'produced_date']) }}
),

dated as (
    select
        collapsed.*,
        coalesce(crosswalk.current_payer_id, payments.payer_id, 'unknown') as payer_id,
        coalesce(
            payments.payment_date,
            payments.produced_date,
            {{ local_date('collapsed.source_updated_at', 'tenants.time_zone') }}
        ) as payment_date
    from collapsed
    inner join {{ ref('stg_tenants') }} as tenants on collapsed.tenant_id = tenants.tenant_id
    left join payments
        on collapsed.tenant_id = payments.tenant_id
        and collapsed.remittance_id = payments.remittance_id
    left join {{ ref('int_payer_crosswalk') }} as crosswalk
        on payments.tenant_id = crosswalk.tenant_id
        and payments.payer_id = crosswalk.payer_id
)

select
    {{ entity_key('dated.provider_adjustment_id', 'dated.tenant_id') }} as provider_adjustment_key,
    dated.tenant_id,
    dated.provider_adjustment_id,
    dated.remittance_id,
    'unknown' as service_unit_id,
    {{ entity_key("'unknown'", 'dated.tenant_id') }} as service_unit_key,
    dated.payer_id,
    {{ entity_key('dated.payer_id', 'dated.tenant_id') }} as payer_key,
    coalesce(classes.payer_class, 'unmapped') as payer_class,
    dated.provider_npi,
    dated.reason_code,
    case dated.reason_code
        when 'WO' then 'recoupment'
        when 'FB' then 'forwarded_balance'
        when 'L6' then 'interest'
        when 'CS' then 'adjustment'
        when '72' then 'authorized_return'
        else 'other'
    end as adjustment_kind,
    dated.reason_code = 'WO' as is_takeback,
    dated.reference_number,
    dated.payment_date,
    dated.fiscal_period_date,
    {{ money('dated.adjustment_amount') }} as adjustment_amount,
    dated.source_system,
    dated.source_record_id,
    dated.source_position
from dated
left join {{ ref('int_payer_classes') }} as classes
    on dated.tenant_id = classes.tenant_id
    and dated.payer_id = classes.payer_id
    and dated.payment_date between classes.valid_from and classes.valid_to
order by dated.tenant_id, dated.payment_date
