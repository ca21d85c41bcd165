with source as (
    select * from {{ source('raw', 'bed_movement') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    bed_movement_id,
    {{ issued_key('encounter_id') }} as encounter_id,
    {{ issued_key('patient_id') }} as patient_id,
    movement_type,
    service_unit_id,
    from_service_unit_id,
    bed,
    occurred_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'encounter_id': 'encounter', 'patient_id': 'patient'}) }}
