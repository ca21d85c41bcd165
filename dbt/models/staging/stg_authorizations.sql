with source as (
    select * from {{ source('raw', 'authorization') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    authorization_id,
    {{ issued_key('patient_id') }} as patient_id,
    payer_id,
    service_unit_id,
    procedure_code,
    status,
    units_approved,
    units_used,
    requested_at,
    decided_at,
    valid_from,
    valid_to,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'patient_id': 'patient'}) }}
