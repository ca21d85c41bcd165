with lines as (
    select * from {{ ref('int_remittance_line_amounts') }}
),

targets as (
    select
        tenant_id,
        claim_id,
        charge_line_id,
        line_control_number,
        coalesce(procedure_code, revenue_code) as billed_code,
        abs(billed_amount) as billed_size,
        -- A line without a day of its own may be any day's.
        case when has_own_date then service_date end as own_date,
        row_number() over (
            partition by tenant_id, claim_id, line_control_number
            order by case when is_reversal then 1 else 0 end, billed_amount desc, charge_line_id
        ) as number_choice,
        row_number() over (
            partition by tenant_id, claim_id, coalesce(procedure_code, revenue_code), abs(billed_amount),
                case when has_own_date then service_date end
            order by case when is_reversal then 1 else 0 end, charge_line_id
        ) as likeness_order
    from {{ ref('int_billed_lines') }}
    where line_kind <> 'claim_balance' and claim_id is not null
),

numbered as (
    select
        lines.*,
        by_number.charge_line_id as by_number_id,
        -- Only lines without a number of ours look for their like. No condition on one side alone in the joins below:
        -- DuckDB would compare every row with every other.
        case when by_number.charge_line_id is null then lines.billed_code end as searched_code,
        row_number() over (
            partition by lines.tenant_id, lines.remittance_claim_id, lines.billed_code, lines.billed_size,
                lines.service_date
            order by lines.line_number, lines.remittance_line_id
        ) as likeness_order,
        row_number() over (
            partition by lines.tenant_id, lines.remittance_claim_id, lines.billed_code, lines.billed_size
            order by lines.line_number, lines.remittance_line_id
        ) as dateless_order
    from lines
    left join (select * from targets where number_choice = 1) as by_number
        on lines.tenant_id = by_number.tenant_id
        and lines.claim_id = by_number.claim_id
        and lines.line_control_number = by_number.line_control_number
)

select
    numbered.tenant_id,
    numbered.remittance_line_id,
    numbered.remittance_claim_id,
    numbered.claim_key,
    numbered.is_matched,
    numbered.is_reversal,
    numbered.payer_sequence,
    numbered.payment_date,
    numbered.adjudicated_date,
    coalesce(numbered.by_number_id, by_likeness.charge_line_id, dateless.charge_line_id) as charge_line_id,
    case
        when numbered.by_number_id is not null then 'line_control_number'
        when by_likeness.charge_line_id is not null then 'code_amount_date'
        when dateless.charge_line_id is not null then 'code_amount'
        when numbered.is_matched then 'claim'
        else 'none'
    end as match_method,
    numbered.billed_amount,
    numbered.payer_paid_amount,
    numbered.contractual_amount,
    numbered.patient_share_amount,
    numbered.allowed_amount
from numbered
left join targets as by_likeness
    on numbered.tenant_id = by_likeness.tenant_id
    and numbered.claim_id = by_likeness.claim_id
    and numbered.searched_code = by_likeness.billed_code
    and numbered.billed_size = by_likeness.billed_size
    and numbered.service_date = by_likeness.own_date
    and numbered.likeness_order = by_likeness.likeness_order
left join (select * from targets where own_date is null) as dateless
    on numbered.tenant_id = dateless.tenant_id
    and numbered.claim_id = dateless.claim_id
    and numbered.searched_code = dateless.billed_code
    and numbered.billed_size = dateless.billed_size
    and numbered.dateless_order = dateless.likeness_order
order by numbered.tenant_id, numbered.remittance_claim_id
