-- Everything that moves the balance of a line after it was billed. Money that finds no line goes to its claim's own line,
-- money that finds no claim to a line of its own: nothing is dropped, and sums per claim are exact.
with payer_lines as (
    select
        tenant_id,
        coalesce(
            charge_line_id,
            case when is_matched then 'claim/' || claim_key else 'remittance/' || claim_key end
        ) as charge_line_id,
        case when is_matched then claim_key end as claim_id,
        payment_date as event_date,
        match_method,
        payer_sequence,
        payer_paid_amount,
        case when is_matched then contractual_amount else 0 end as contractual_amount,
        patient_share_amount,
        case when payer_sequence = 1 then allowed_amount else 0 end as allowed_amount
    from {{ ref('int_remittance_lines') }}
),

payer_claims as (
    select
        tenant_id,
        case when is_matched then 'claim/' || claim_key else 'remittance/' || claim_key end as charge_line_id,
        case when is_matched then claim_key end as claim_id,
        payment_date as event_date,
        case when is_matched then 'claim' else 'none' end as match_method,
        payer_sequence,
        unlined_paid_amount as payer_paid_amount,
        case when is_matched then unlined_contractual_amount else 0 end as contractual_amount,
        unlined_patient_share_amount as patient_share_amount,
        case when payer_sequence = 1 then unlined_allowed_amount else 0 end as allowed_amount
    from {{ ref('int_adjudications') }}
    where unlined_paid_amount <> 0
        or unlined_contractual_amount <> 0
        or unlined_patient_share_amount <> 0
        or (payer_sequence = 1 and unlined_allowed_amount <> 0)
),

patient_payments as (
    {{ collapse(ref('stg_patient_payments'), 'patient_payment', 'patient_payment_id',
        ['charge_id', 'claim_id', 'encounter_id', 'payment_amount', 'paid_date', 'posted_date']) }}
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
        0,
        case when adjustment_type = 'contractual' then 0 else adjustment_amount end,
        case when adjustment_type = 'contractual' then adjustment_amount else 0 end
    from adjustments
)

select
    tenant_id,
    charge_line_id,
    claim_id,
    event_date,
    match_method,
    payer_sequence,
    payer_paid_amount,
    0 as patient_paid_amount,
    contractual_amount,
    0 as written_off_amount,
    patient_share_amount,
    allowed_amount
from payer_lines
union all
select
    tenant_id,
    charge_line_id,
    claim_id,
    event_date,
    match_method,
    payer_sequence,
    payer_paid_amount,
    0,
    contractual_amount,
    0,
    patient_share_amount,
    allowed_amount
from payer_claims
union all
select
    practice.tenant_id,
    coalesce(
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
    null,
    0,
    practice.patient_paid_amount,
    practice.contractual_amount,
    practice.written_off_amount,
    0,
    0
from practice
left join {{ ref('int_charges') }} as charges
    on practice.tenant_id = charges.tenant_id
    and practice.charge_id = charges.charge_id
    and charges.status = 'posted'
left join {{ ref('int_claim_context') }} as context
    on practice.tenant_id = context.tenant_id
    and practice.claim_id = context.claim_id
order by 1, 2
