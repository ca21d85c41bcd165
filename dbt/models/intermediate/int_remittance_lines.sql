with collapsed as (
    {{ collapse(ref('stg_remittance_lines'), 'remittance_line', 'remittance_line_id',
        ['remittance_claim_id', 'line_number', 'line_control_number', 'procedure_code', 'submitted_procedure_code',
         'revenue_code', 'billed_amount', 'payer_paid_amount', 'allowed_amount', 'service_date']) }}
),

adjusted as (
    select
        tenant_id,
        remittance_line_id,
        sum(case when leaves_balance then adjustment_amount else 0 end) as contractual_amount,
        sum(case when is_cost_share then adjustment_amount else 0 end) as cost_share_amount,
        sum(case when group_code = 'PR' then adjustment_amount else 0 end) as patient_share_amount
    from {{ ref('int_remittance_adjustments') }}
    where remittance_line_id is not null
    group by tenant_id, remittance_line_id
),

lines as (
    select
        collapsed.tenant_id,
        collapsed.remittance_line_id,
        collapsed.remittance_claim_id,
        claims.claim_key,
        claims.claim_id,
        claims.is_matched,
        claims.is_reversal,
        claims.payer_sequence,
        claims.payment_date,
        claims.adjudicated_date,
        collapsed.line_number,
        collapsed.line_control_number,
        coalesce(collapsed.submitted_procedure_code, collapsed.procedure_code, collapsed.revenue_code) as billed_code,
        abs(collapsed.billed_amount) as billed_size,
        coalesce(collapsed.service_date, claims.service_from_date) as service_date,
        collapsed.billed_amount,
        collapsed.payer_paid_amount,
        coalesce(adjusted.contractual_amount, 0) as contractual_amount,
        coalesce(adjusted.patient_share_amount, 0) as patient_share_amount,
        coalesce(collapsed.allowed_amount, collapsed.payer_paid_amount + coalesce(adjusted.cost_share_amount, 0))
            as allowed_amount
    from collapsed
    inner join {{ ref('int_remittance_claims') }} as claims
        on collapsed.tenant_id = claims.tenant_id
        and collapsed.remittance_claim_id = claims.remittance_claim_id
        and claims.is_counted
    left join adjusted
        on collapsed.tenant_id = adjusted.tenant_id
        and collapsed.remittance_line_id = adjusted.remittance_line_id
),

targets as (
    select
        tenant_id,
        claim_id,
        charge_line_id,
        line_control_number,
        coalesce(procedure_code, revenue_code) as billed_code,
        abs(billed_amount) as billed_size,
        service_date,
        row_number() over (
            partition by tenant_id, claim_id, line_control_number
            order by case when is_reversal then 1 else 0 end, billed_amount desc, charge_line_id
        ) as number_choice,
        row_number() over (
            partition by tenant_id, claim_id, coalesce(procedure_code, revenue_code), abs(billed_amount), service_date
            order by case when is_reversal then 1 else 0 end, charge_line_id
        ) as likeness_order
    from {{ ref('int_billed_lines') }}
    where line_kind <> 'claim_balance' and claim_id is not null
),

numbered as (
    select
        lines.*,
        by_number.charge_line_id as by_number_id,
        row_number() over (
            partition by lines.tenant_id, lines.remittance_claim_id, lines.billed_code, lines.billed_size,
                lines.service_date
            order by lines.line_number, lines.remittance_line_id
        ) as likeness_order
    from lines
    left join targets as by_number
        on lines.tenant_id = by_number.tenant_id
        and lines.claim_id = by_number.claim_id
        and lines.line_control_number = by_number.line_control_number
        and by_number.number_choice = 1
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
    coalesce(numbered.by_number_id, by_likeness.charge_line_id) as charge_line_id,
    case
        when numbered.by_number_id is not null then 'line_control_number'
        when by_likeness.charge_line_id is not null then 'code_amount_date'
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
    on numbered.by_number_id is null
    and numbered.tenant_id = by_likeness.tenant_id
    and numbered.claim_id = by_likeness.claim_id
    and numbered.billed_code = by_likeness.billed_code
    and numbered.billed_size = by_likeness.billed_size
    and numbered.service_date = by_likeness.service_date
    and numbered.likeness_order = by_likeness.likeness_order
order by numbered.tenant_id, numbered.remittance_claim_id
