{%- set bases = ['', '_by_first_bill', '_by_posting', '_by_last_activity', '_by_transfer'] -%}
{%- set dimensions = ['tenant_id', 'snapshot_date', 'service_unit_id', 'provider_id', 'payer_id', 'payer_class'] -%}
{%- set windows = ['90_days', '365_days', '3_months', '6_months', '12_months'] -%}
with bounds as (
    select tenant_id, min(first_month_number) as first_month_number, min(first_day) as first_day,
        min(case when snapshot_date >= first_day then snapshot_number end) as first_day_number,
        max(snapshot_number) as last_number
    from {{ ref('int_receivable_snapshots') }}
    group by tenant_id
),

open_days as (
    select
        states.tenant_id,
        states.charge_line_id,
        states.valid_from,
        states.transferred_date,
        states.open_balance,
        states.patient_due_amount,
        {{ each_month(
            'greatest(' ~ receivable_snapshot_number('states.valid_from', 'bounds') ~ ', 0)',
            'coalesce(' ~ receivable_snapshot_number('states.valid_before', 'bounds') ~ ' - 1, bounds.last_number)') }} as snapshot_number
    from {{ ref('int_receivable_states') }} as states
    inner join bounds
        on states.tenant_id = bounds.tenant_id
),

placed as (
    select
        lines.tenant_id,
        snapshots.snapshot_date,
        lines.service_unit_id,
        lines.provider_id,
        lines.payer_id,
        lines.payer_class,
        lines.service_date,
        lines.posted_date,
        case when lines.first_submitted_date <= snapshots.snapshot_date then lines.first_submitted_date end
            as first_billed_date,
        open_days.valid_from as last_activity_date,
        open_days.transferred_date,
        -- What insured patients' visits cost waits for a claim; money without a charge waits for nothing.
        lines.payer_class <> 'self_pay' and lines.line_kind <> 'unapplied' as needs_claim,
        open_days.open_balance,
        case
            when open_days.open_balance < 0 then 0
            when lines.payer_class = 'self_pay' then open_days.open_balance
            else least(open_days.patient_due_amount, open_days.open_balance)
        end as patient_balance
    from open_days
    inner join {{ ref('int_charge_lines') }} as lines
        on open_days.tenant_id = lines.tenant_id
        and open_days.charge_line_id = lines.charge_line_id
    inner join {{ ref('int_receivable_snapshots') }} as snapshots
        on open_days.tenant_id = snapshots.tenant_id
        and open_days.snapshot_number = snapshots.snapshot_number
),

spread as (
    select *, 'payer' as responsibility, open_balance - patient_balance as balance,
        case when open_balance < 0 then open_balance else 0 end as credit, service_date as due_date
    from placed
    union all
    select *, 'patient', patient_balance, 0, coalesce(transferred_date, service_date)
    from placed
    where patient_balance <> 0
),

aged as (
    select
        *,
        {{ ageing_bucket('service_date', 'snapshot_date') }} as ageing_bucket,
        case
            when first_billed_date is not null then {{ ageing_bucket('first_billed_date', 'snapshot_date') }}
            when needs_claim then 'unbilled'
            else {{ ageing_bucket('posted_date', 'snapshot_date') }}
        end as ageing_bucket_by_first_bill,
        {{ ageing_bucket('posted_date', 'snapshot_date') }} as ageing_bucket_by_posting,
        {{ ageing_bucket('last_activity_date', 'snapshot_date') }} as ageing_bucket_by_last_activity,
        {{ ageing_bucket('due_date', 'snapshot_date') }} as ageing_bucket_by_transfer,
        {{ date_diff_days('service_date', 'snapshot_date') }} > 5 as is_over_hold
    from spread
    where balance <> 0 or credit <> 0
),

-- Charges of the periods before a snapshot have no age: they stand once per group, on its first bucket, beside a
-- balance that may be zero.
together as (
    select
        {%- for column in dimensions %}
        {{ column }},
        {%- endfor %}
        responsibility,
        {%- for basis in bases %}
        ageing_bucket{{ basis }},
        {%- endfor %}
        balance,
        credit,
        case when ageing_bucket_by_first_bill = 'unbilled' and is_over_hold then balance else 0 end as over_hold,
        {%- for name in windows %}
        0 as billed_{{ name }}_amount,
        {%- endfor %}
        {%- for months in [3, 6, 12] %}
        cast(null as integer) as days_of_{{ months }}_months{{ ',' if not loop.last }}
        {%- endfor %}
    from aged
    union all
    select
        {%- for column in dimensions %}
        {{ column }},
        {%- endfor %}
        'payer',
        {%- for basis in bases %}
        '0-30',
        {%- endfor %}
        0,
        0,
        0,
        {%- for name in windows %}
        billed_{{ name }}_amount,
        {%- endfor %}
        {%- for months in [3, 6, 12] %}
        days_of_{{ months }}_months{{ ',' if not loop.last }}
        {%- endfor %}
    from {{ ref('int_trailing_charges') }}
),

summed as (
    select
        {%- for column in dimensions %}
        {{ column }},
        {%- endfor %}
        responsibility,
        {%- for basis in bases %}
        ageing_bucket{{ basis }},
        {%- endfor %}
        sum(balance) as open_balance,
        sum(credit) as credit_balance,
        sum(over_hold) as unbilled_over_hold_balance,
        {%- for name in windows %}
        sum(billed_{{ name }}_amount) as billed_{{ name }}_amount,
        {%- endfor %}
        {%- for months in [3, 6, 12] %}
        max(days_of_{{ months }}_months) as days_of_{{ months }}_months{{ ',' if not loop.last }}
        {%- endfor %}
    from together
    group by {% for column in dimensions %}{{ column }}, {% endfor %}responsibility
        {%- for basis in bases %}, ageing_bucket{{ basis }}{% endfor %}
)

select
    {{ entity_key(['cast(snapshot_date as varchar)', 'service_unit_id', 'provider_id', 'payer_id', 'payer_class',
        'responsibility', 'ageing_bucket', 'ageing_bucket_by_first_bill', 'ageing_bucket_by_posting',
        'ageing_bucket_by_last_activity', 'ageing_bucket_by_transfer']) }} as receivable_key,
    tenant_id,
    snapshot_date,
    service_unit_id,
    provider_id,
    payer_id,
    payer_class,
    responsibility,
    {%- for basis in bases %}
    ageing_bucket{{ basis }},
    {%- endfor %}
    {{ service_unit_key('summed.service_unit_id', 'summed.tenant_id', 'summed.snapshot_date') }}
        as service_unit_key,
    {%- for name in ['provider', 'payer'] %}
    {{ entity_key(name ~ '_id') }} as {{ name }}_key,
    {%- endfor %}
    {{ money('open_balance') }} as open_balance,
    {{ money('credit_balance') }} as credit_balance,
    {{ money("case when ageing_bucket in ('91-120', '121+') then open_balance else 0 end") }} as over_90_balance,
    {{ money("case when ageing_bucket_by_first_bill = 'unbilled' then open_balance else 0 end") }} as unbilled_balance,
    {{ money('unbilled_over_hold_balance') }} as unbilled_over_hold_balance,
    {%- for name in windows %}
    {{ money('billed_' ~ name ~ '_amount') }} as billed_{{ name }}_amount,
    {%- endfor %}
    {%- for months in [3, 6, 12] %}
    cast(days_of_{{ months }}_months as integer) as days_of_{{ months }}_months{{ ',' if not loop.last }}
    {%- endfor %}
from summed
order by tenant_id, snapshot_date
