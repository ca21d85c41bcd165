with bounds as (
    select tenant_id, min(month_number) as first_month, max(month_number) as last_month
    from {{ ref('int_receivable_snapshots') }}
    group by tenant_id
),

open_months as (
    select
        states.tenant_id,
        states.charge_line_id,
        states.open_balance,
        states.patient_due_amount,
        {{ each_month(
            'greatest(states.month_number, bounds.first_month)',
            'least(coalesce(states.until_month_number, bounds.last_month), bounds.last_month)') }} as month_number
    from {{ ref('int_receivable_states') }} as states
    inner join bounds
        on states.tenant_id = bounds.tenant_id
        and states.month_number <= bounds.last_month
        and coalesce(states.until_month_number, bounds.last_month) >= bounds.first_month
),

aged as (
    select
        lines.tenant_id,
        snapshots.snapshot_date,
        lines.service_unit_id,
        lines.provider_id,
        lines.payer_id,
        lines.payer_class,
        {{ date_diff_days('lines.service_date', 'snapshots.snapshot_date') }} as age_days,
        open_months.open_balance,
        case
            when open_months.open_balance < 0 then 0
            when lines.payer_class = 'self_pay' then open_months.open_balance
            else least(open_months.patient_due_amount, open_months.open_balance)
        end as patient_balance
    from open_months
    inner join {{ ref('int_charge_lines') }} as lines
        on open_months.tenant_id = lines.tenant_id
        and open_months.charge_line_id = lines.charge_line_id
    inner join {{ ref('int_receivable_snapshots') }} as snapshots
        on open_months.tenant_id = snapshots.tenant_id
        and open_months.month_number = snapshots.month_number
),

balances as (
    select
        tenant_id,
        snapshot_date,
        service_unit_id,
        provider_id,
        payer_id,
        payer_class,
        case
            when age_days <= 30 then '0-30'
            when age_days <= 60 then '31-60'
            when age_days <= 90 then '61-90'
            when age_days <= 120 then '91-120'
            else '121+'
        end as ageing_bucket,
        sum(open_balance - patient_balance) as payer_balance,
        sum(patient_balance) as patient_balance,
        sum(case when open_balance < 0 then open_balance else 0 end) as credit_balance
    from aged
    group by 1, 2, 3, 4, 5, 6, 7
),

spread as (
    select *, 'payer' as responsibility, payer_balance as balance, credit_balance as credit from balances
    union all
    select *, 'patient', patient_balance, 0 from balances where patient_balance <> 0
),

-- Charges of the last 90 days stand once per group, on its first bucket, beside a balance that may be zero.
billed as (
    select *, '0-30' as ageing_bucket, 'payer' as responsibility from {{ ref('int_trailing_charges') }}
),

joined as (
    select
        {%- for column in ['tenant_id', 'snapshot_date', 'service_unit_id', 'provider_id', 'payer_id', 'payer_class',
            'responsibility', 'ageing_bucket'] %}
        coalesce(spread.{{ column }}, billed.{{ column }}) as {{ column }},
        {%- endfor %}
        coalesce(spread.balance, 0) as open_balance,
        coalesce(spread.credit, 0) as credit_balance,
        coalesce(billed.billed_amount, 0) as trailing_billed_amount
    from spread
    full outer join billed
        on spread.tenant_id = billed.tenant_id
        and spread.snapshot_date = billed.snapshot_date
        and spread.service_unit_id = billed.service_unit_id
        and spread.provider_id = billed.provider_id
        and spread.payer_id = billed.payer_id
        and spread.payer_class = billed.payer_class
        and spread.ageing_bucket = billed.ageing_bucket
        and spread.responsibility = billed.responsibility
)

select
    {{ entity_key(['cast(snapshot_date as varchar)', 'service_unit_id', 'provider_id', 'payer_id', 'payer_class',
        'responsibility', 'ageing_bucket']) }} as receivable_key,
    tenant_id,
    snapshot_date,
    service_unit_id,
    provider_id,
    payer_id,
    payer_class,
    responsibility,
    ageing_bucket,
    {{ service_unit_key('joined.service_unit_id', 'joined.tenant_id', 'joined.snapshot_date') }} as service_unit_key,
    {%- for name in ['provider', 'payer'] %}
    {{ entity_key(name ~ '_id') }} as {{ name }}_key,
    {%- endfor %}
    {{ money('open_balance') }} as open_balance,
    {{ money('credit_balance') }} as credit_balance,
    {{ money("case when ageing_bucket in ('91-120', '121+') then open_balance else 0 end") }} as over_90_balance,
    {{ money('trailing_billed_amount') }} as trailing_billed_amount
from joined
order by tenant_id, snapshot_date
