select
    lines.tenant_id,
    lines.remittance_line_id,
    lines.remittance_claim_id,
    lines.claim_key,
    lines.is_matched,
    lines.is_reversal,
    lines.payer_sequence,
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
    lines.contractual_amount,
    lines.patient_share_amount,
    lines.allowed_amount,
    lines.source_system,
    lines.source_record_id,
    lines.source_position
from {{ ref('int_remittance_line_amounts') }} as lines
left join {{ ref('int_remittance_line_matches') }} as matches
    on lines.tenant_id = matches.tenant_id
    and lines.remittance_line_id = matches.remittance_line_id
order by lines.tenant_id, lines.remittance_claim_id
