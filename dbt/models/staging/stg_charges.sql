with source as (
    select * from {{ source('raw', 'charge') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    charge_id,
    {{ issued_key('encounter_id') }} as encounter_id,
    claim_id,
    line_control_number,
    {{ issued_key('patient_id') }} as patient_id,
    service_unit_id,
    {{ issued_key('provider_id') }} as provider_id,
    payer_id,
    procedure_code,
    modifiers,
    revenue_code,
    place_of_service,
    reversal_of_charge_id,
    status,
    units,
    billed_amount,
    service_date,
    posted_date,
    entered_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'encounter_id': 'encounter', 'patient_id': 'patient', 'provider_id': 'provider'}) }}
