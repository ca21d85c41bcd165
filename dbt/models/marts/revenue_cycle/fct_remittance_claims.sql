select
    {{ entity_key('decisions.remittance_claim_id', 'decisions.tenant_id') }} as remittance_claim_key,
    decisions.tenant_id,
    decisions.remittance_claim_id,
    decisions.remittance_id,
    decisions.claim_key as claim_id,
    decisions.is_matched,
    claims.patient_id,
    claims.service_unit_id,
    claims.service_unit_key,
    claims.provider_id,
    claims.provider_key,
    decisions.payer_id,
    {{ entity_key('decisions.payer_id', 'decisions.tenant_id') }} as payer_key,
    coalesce(classes.payer_class, 'unmapped') as payer_class,
    claims.visit_type_id,
    claims.visit_type_key,
    claims.encounter_class,
    decisions.payer_claim_control_number,
    decisions.original_payer_claim_control_number,
    decisions.claim_status_code,
    case decisions.payer_sequence when 1 then 'primary' when 2 then 'secondary' else 'tertiary' end as payer_sequence,
    decisions.is_reversal,
    case when decisions.is_reversal then coalesce(reversals.match_method, 'none') else 'not_reversal' end
        as reversal_match_method,
    reversals.reversed_remittance_claim_id,
    taken_back.remittance_claim_id is not null as is_reversed,
    not decisions.is_reversal and corrections.remittance_claim_id is not null as is_correction,
    decisions.is_denied,
    decisions.is_primary_decision,
    decisions.is_duplicate,
    decisions.is_primary_decision and not decisions.is_duplicate and decisions.payer_paid_amount = 0 as is_zero_paid,
    cast(case when decisions.is_primary_decision then decisions.decision_number end as integer) as decision_number,
    coalesce(decisions.filing_indicator, 'unknown') as filing_indicator,
    claims.service_date,
    decisions.adjudicated_date,
    decisions.payment_date,
    {{ money('decisions.billed_amount') }} as billed_amount,
    {{ money('decisions.payer_paid_amount') }} as payer_paid_amount,
    {{ money('decisions.allowed_amount') }} as allowed_amount,
    {{ money('decisions.contractual_amount') }} as contractual_amount,
    {{ money('decisions.patient_share_amount') }} as patient_share_amount,
    {{ money('decisions.denial_amount') }} as denial_amount,
    decisions.source_system,
    decisions.source_record_id,
    decisions.source_position
from {{ ref('int_adjudications') }} as decisions
inner join {{ ref('fct_claims') }} as claims
    on decisions.tenant_id = claims.tenant_id
    and decisions.claim_key = claims.claim_id
left join {{ ref('int_remittance_reversals') }} as reversals
    on decisions.tenant_id = reversals.tenant_id
    and decisions.remittance_claim_id = reversals.remittance_claim_id
left join (select * from {{ ref('int_remittance_reversals') }} where is_whole) as taken_back
    on decisions.tenant_id = taken_back.tenant_id
    and decisions.remittance_claim_id = taken_back.reversed_remittance_claim_id
left join {{ ref('int_remittance_corrections') }} as corrections
    on decisions.tenant_id = corrections.tenant_id
    and decisions.remittance_claim_id = corrections.remittance_claim_id
left join {{ ref('int_payer_classes') }} as classes
    on decisions.tenant_id = classes.tenant_id
    and decisions.payer_id = classes.payer_id
    and claims.service_date between classes.valid_from and classes.valid_to
order by decisions.tenant_id, decisions.payment_date
