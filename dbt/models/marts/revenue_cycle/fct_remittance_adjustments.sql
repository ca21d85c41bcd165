select
    {{ entity_key('adjustments.remittance_adjustment_id', 'adjustments.tenant_id') }} as remittance_adjustment_key,
    adjustments.tenant_id,
    adjustments.remittance_adjustment_id,
    adjustments.remittance_claim_id,
    adjustments.remittance_line_id,
    claims.claim_id,
    lines.charge_line_id,
    claims.service_unit_id,
    claims.service_unit_key,
    claims.provider_id,
    claims.provider_key,
    claims.payer_id,
    claims.payer_key,
    claims.payer_class,
    claims.visit_type_id,
    claims.visit_type_key,
    claims.encounter_class,
    adjustments.group_code,
    adjustments.reason_code,
    adjustments.group_code || '-' || adjustments.reason_code as carc,
    coalesce(lines.remark_codes, 'none') as remark_codes,
    adjustments.denial_category,
    adjustments.is_contractual,
    adjustments.contractual_amount <> 0 as leaves_balance,
    adjustments.counts_as_denial,
    adjustments.counts_as_denial and claims.is_denied as is_denial,
    adjustments.is_preventable,
    adjustments.ruleset_version,
    claims.is_reversal,
    claims.service_date,
    claims.adjudicated_date,
    claims.payment_date,
    {{ money('adjustments.adjustment_amount') }} as adjustment_amount,
    {{ money('adjustments.contractual_amount') }} as contractual_amount,
    {{ money('case when adjustments.is_sequestration then adjustments.adjustment_amount else 0 end') }}
        as sequestration_amount,
    adjustments.quantity,
    adjustments.source_system,
    adjustments.source_record_id,
    adjustments.source_position
from {{ ref('int_remittance_adjustments') }} as adjustments
inner join {{ ref('fct_remittance_claims') }} as claims
    on adjustments.tenant_id = claims.tenant_id
    and adjustments.remittance_claim_id = claims.remittance_claim_id
left join {{ ref('int_remittance_lines') }} as lines
    on adjustments.tenant_id = lines.tenant_id
    and adjustments.remittance_line_id = lines.remittance_line_id
order by adjustments.tenant_id, claims.payment_date
