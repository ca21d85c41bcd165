with adjusted as (
    select
        tenant_id,
        remittance_line_id,
        sum(case when is_on_line then contractual_amount else 0 end) as contractual_amount,
        -- Sequestration is taken off what was allowed.
        sum(case when is_cost_share or is_sequestration then adjustment_amount else 0 end) as cost_share_amount,
        sum(case when group_code = 'PR' then adjustment_amount else 0 end) as patient_share_amount
    from {{ ref('int_remittance_adjustments') }}
    where remittance_line_id is not null
    group by tenant_id, remittance_line_id
)

select
    lines.tenant_id,
    lines.remittance_line_id,
    lines.remittance_claim_id,
    lines.claim_key,
    lines.is_matched,
    lines.is_reversal,
    sequences.payer_sequence,
    lines.payment_date,
    lines.adjudicated_date,
    matches.charge_line_id,
    coalesce(matches.match_method, case when lines.is_matched then 'claim' else 'none' end) as match_method,
    lines.line_number,
    lines.billed_code,
    lines.modifiers,
    lines.remark_codes,
    lines.service_date,
    lines.billed_amount,
    lines.payer_paid_amount,
    {{ money('coalesce(adjusted.contractual_amount, 0)') }} as contractual_amount,
    {{ money('coalesce(adjusted.patient_share_amount, 0)') }} as patient_share_amount,
    {{ money('coalesce(lines.stated_allowed_amount, lines.payer_paid_amount + coalesce(adjusted.cost_share_amount, 0))') }}
        as allowed_amount,
    lines.source_system,
    lines.source_record_id,
    lines.source_position
from {{ ref('int_remittance_line_amounts') }} as lines
inner join {{ ref('int_payer_sequences') }} as sequences
    on lines.tenant_id = sequences.tenant_id
    and lines.remittance_claim_id = sequences.remittance_claim_id
left join {{ ref('int_remittance_line_matches') }} as matches
    on lines.tenant_id = matches.tenant_id
    and lines.remittance_line_id = matches.remittance_line_id
left join adjusted
    on lines.tenant_id = adjusted.tenant_id
    and lines.remittance_line_id = adjusted.remittance_line_id
order by lines.tenant_id, lines.remittance_claim_id
