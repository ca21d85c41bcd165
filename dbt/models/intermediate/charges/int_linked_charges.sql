{{ config(materialized='view') }}
-- Charges with the claim that a link tells where they name none. A charge that another feed's line stands for is not counted.
select
    charges.tenant_id,
    charges.charge_id,
    charges.encounter_id,
    coalesce(charges.claim_id, links.claim_id) as claim_id,
    charges.claim_id is not null as names_claim,
    charges.line_control_number,
    charges.patient_id,
    charges.service_unit_id,
    charges.provider_id,
    charges.payer_id,
    charges.procedure_code,
    charges.modifiers,
    charges.revenue_code,
    charges.place_of_service,
    charges.reversal_of_charge_id,
    charges.status,
    charges.units,
    charges.billed_amount,
    charges.service_date,
    charges.posted_date,
    charges.entered_at,
    links.counted_line_id,
    charges.source_system,
    charges.source_record_id,
    charges.source_position,
    charges.source_updated_at
from {{ ref('int_charges') }} as charges
left join {{ ref('int_billing_links') }} as links
    on charges.tenant_id = links.tenant_id
    and 'charge/' || charges.charge_id = links.line_id
