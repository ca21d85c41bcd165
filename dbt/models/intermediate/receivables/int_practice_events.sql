-- What the practice posts itself: patients' payments and its own adjustments.
with patient_payments as (
    {{ collapse(ref('stg_patient_payments'), 'patient_payment', 'patient_payment_id',
        ['charge_id', 'claim_id', 'encounter_id', 'is_point_of_service', 'payment_amount', 'paid_date', 'posted_date']) }}
),

adjustments as (
    {{ collapse(ref('stg_adjustments'), 'adjustment', 'adjustment_id',
        ['charge_id', 'claim_id', 'adjustment_type', 'adjustment_amount', 'adjusted_date', 'posted_date']) }}
),

practice as (
    select
        tenant_id,
        'payment/' || patient_payment_id as event_id,
        charge_id,
        claim_id,
        coalesce(posted_date, paid_date) as event_date,
        paid_date,
        coalesce(is_point_of_service, false) as is_point_of_service,
        cast(null as varchar) as adjustment_type,
        payment_amount as patient_paid_amount,
        0 as written_off_amount,
        0 as contractual_amount
    from patient_payments
    union all
    select
        tenant_id,
        'adjustment/' || adjustment_id,
        charge_id,
        claim_id,
        coalesce(posted_date, adjusted_date),
        cast(null as date),
        false,
        adjustment_type,
        0,
        case when adjustment_type = 'contractual' then 0 else adjustment_amount end,
        case when adjustment_type = 'contractual' then adjustment_amount else 0 end
    from adjustments
)

select
    practice.tenant_id,
    practice.event_id,
    coalesce(
        charges.counted_line_id,
        'charge/' || charges.charge_id,
        'claim/' || context.claim_id,
        practice.event_id
    ) as charge_line_id,
    coalesce(charges.claim_id, context.claim_id) as claim_id,
    practice.event_date,
    case
        when charges.charge_id is not null then 'charge'
        when context.claim_id is not null then 'claim'
        else 'none'
    end as match_method,
    practice.paid_date,
    practice.is_point_of_service,
    practice.adjustment_type,
    practice.patient_paid_amount,
    practice.contractual_amount,
    practice.written_off_amount
from practice
left join {{ ref('int_linked_charges') }} as charges
    on practice.tenant_id = charges.tenant_id
    and practice.charge_id = charges.charge_id
    and charges.status = 'posted'
-- A number that stands for several claims names none of them.
left join {{ ref('int_claim_numbers') }} as claim_numbers
    on practice.tenant_id = claim_numbers.tenant_id
    and practice.claim_id = claim_numbers.claim_number
left join {{ ref('int_claim_context') }} as context
    on practice.tenant_id = context.tenant_id
    and case when claim_numbers.claim_number is null then practice.claim_id else claim_numbers.claim_id end
        = context.claim_id
order by 1, 3
