-- Every dollar a feed brought is on exactly one line: charges, payments of payers and patients, adjustments of the
-- practice.
with brought as (
    select tenant_id, 'billed' as what, sum(billed_amount) as amount
    from {{ ref('int_billed_lines') }}
    group by tenant_id
    union all
    select tenant_id, 'paid by payers', sum(payer_paid_amount)
    from {{ ref('int_remittance_claims') }}
    where is_counted
    group by tenant_id
    union all
    select tenant_id, 'paid by patients', sum(payment_amount)
    from (
        {{ collapse(ref('stg_patient_payments'), 'patient_payment', 'patient_payment_id', ['payment_amount']) }}
    ) as payments
    group by tenant_id
    union all
    select tenant_id, 'adjusted by the practice', sum(adjustment_amount)
    from ({{ collapse(ref('stg_adjustments'), 'adjustment', 'adjustment_id', ['adjustment_amount']) }}) as adjustments
    group by tenant_id
),

kept as (
    select tenant_id, 'billed' as what, sum(billed_amount) as amount
    from {{ ref('fct_charge_lines') }}
    group by tenant_id
    union all
    select tenant_id, 'paid by payers', sum(payer_paid_amount)
    from {{ ref('fct_charge_lines') }}
    group by tenant_id
    union all
    select tenant_id, 'paid by patients', sum(patient_paid_amount)
    from {{ ref('fct_charge_lines') }}
    group by tenant_id
    union all
    select lines.tenant_id, 'adjusted by the practice', sum(lines.adjusted_amount) - max(coalesce(payers.amount, 0))
    from {{ ref('fct_charge_lines') }} as lines
    left join (
        select tenant_id, sum(contractual_amount) as amount from {{ ref('fct_remittance_claims') }} group by tenant_id
    ) as payers
        on lines.tenant_id = payers.tenant_id
    group by lines.tenant_id
)

select brought.tenant_id, brought.what, brought.amount as brought, kept.amount as kept
from brought
left join kept
    on brought.tenant_id = kept.tenant_id
    and brought.what = kept.what
where coalesce(kept.amount, 0) <> coalesce(brought.amount, 0)
