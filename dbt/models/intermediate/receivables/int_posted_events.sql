-- Everything that moves the balance of a line after it was billed, as it was stated. Money that finds no line goes to its
-- claim's own line, money that finds no claim to a separate line: nothing is dropped, and sums per claim are exact.
with payer_lines as (
    select
        tenant_id,
        'line/' || remittance_line_id as event_id,
        coalesce(
            charge_line_id,
            case when is_matched then 'claim/' || claim_key else 'remittance/' || claim_key end
        ) as charge_line_id,
        case when is_matched then claim_key end as claim_id,
        payment_date as event_date,
        match_method,
        payer_sequence,
        is_reversal,
        payer_paid_amount,
        case when is_matched then contractual_amount else 0 end as contractual_amount,
        patient_share_amount,
        case when payer_sequence = 1 then allowed_amount else 0 end as allowed_amount
    from {{ ref('int_remittance_lines') }}
),

payer_claims as (
    select
        tenant_id,
        'claim/' || remittance_claim_id as event_id,
        case when is_matched then 'claim/' || claim_key else 'remittance/' || claim_key end as charge_line_id,
        case when is_matched then claim_key end as claim_id,
        payment_date as event_date,
        case when is_matched then 'claim' else 'none' end as match_method,
        payer_sequence,
        is_reversal,
        unlined_paid_amount as payer_paid_amount,
        case when is_matched then unlined_contractual_amount else 0 end as contractual_amount,
        unlined_patient_share_amount as patient_share_amount,
        case when payer_sequence = 1 then unlined_allowed_amount else 0 end as allowed_amount
    from {{ ref('int_adjudications') }}
    where unlined_paid_amount <> 0
        or unlined_contractual_amount <> 0
        or unlined_patient_share_amount <> 0
        or (payer_sequence = 1 and unlined_allowed_amount <> 0)
)

select
    tenant_id,
    event_id,
    charge_line_id,
    claim_id,
    event_date,
    match_method,
    payer_sequence,
    is_reversal,
    payer_paid_amount,
    0 as patient_paid_amount,
    contractual_amount,
    0 as written_off_amount,
    patient_share_amount,
    allowed_amount,
    cast(null as date) as paid_date,
    false as is_point_of_service,
    case when contractual_amount <> 0 then 'contractual' end as adjustment_type
from payer_lines
union all
select
    tenant_id,
    event_id,
    charge_line_id,
    claim_id,
    event_date,
    match_method,
    payer_sequence,
    is_reversal,
    payer_paid_amount,
    0,
    contractual_amount,
    0,
    patient_share_amount,
    allowed_amount,
    cast(null as date),
    false,
    case when contractual_amount <> 0 then 'contractual' end
from payer_claims
union all
select
    tenant_id,
    event_id,
    charge_line_id,
    claim_id,
    event_date,
    match_method,
    null,
    false,
    0,
    patient_paid_amount,
    contractual_amount,
    written_off_amount,
    0,
    0,
    paid_date,
    is_point_of_service,
    adjustment_type
from {{ ref('int_practice_events') }}
order by 1, 3
