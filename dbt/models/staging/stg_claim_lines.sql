with source as (
    select * from {{ source('raw', 'claim_line') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    claim_submission_id,
    line_number,
    claim_id,
    line_control_number,
    charge_id,
    {{ issued_key('encounter_id') }} as encounter_id,
    procedure_code,
    modifiers,
    revenue_code,
    place_of_service,
    units,
    billed_amount,
    service_date,
    service_to_date,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'encounter_id': 'encounter'}) }}
