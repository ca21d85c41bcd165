select
    {{ entity_key('lines.remittance_line_id', 'lines.tenant_id') }} as remittance_line_key,
    lines.tenant_id,
    lines.remittance_line_id,
    lines.remittance_claim_id,
    claims.claim_id,
    lines.charge_line_id,
    lines.match_method,
    lines.charge_line_id is not null as is_matched,
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
    coalesce(lines.billed_code, 'none') as procedure_code,
    lines.modifiers,
    claims.is_reversal,
    claims.service_date,
    claims.adjudicated_date,
    claims.payment_date,
    {%- for name in ['billed', 'payer_paid', 'allowed', 'contractual', 'patient_share'] %}
    {{ money('lines.' ~ name ~ '_amount') }} as {{ name }}_amount,
    {%- endfor %}
    lines.source_system,
    lines.source_record_id,
    lines.source_position
from {{ ref('int_remittance_lines') }} as lines
inner join {{ ref('fct_remittance_claims') }} as claims
    on lines.tenant_id = claims.tenant_id
    and lines.remittance_claim_id = claims.remittance_claim_id
order by lines.tenant_id, claims.payment_date
