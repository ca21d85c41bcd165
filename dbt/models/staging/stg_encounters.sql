with source as (
    select * from {{ source('raw', 'encounter') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    {{ issued_key('encounter_id') }} as encounter_id,
    {{ issued_key('patient_id') }} as patient_id,
    service_unit_id,
    {{ issued_key('provider_id') }} as provider_id,
    payer_id,
    visit_type_id,
    {{ issued_key('appointment_id') }} as appointment_id,
    {{ issued_key('part_of_encounter_id') }} as part_of_encounter_id,
    encounter_class,
    status,
    admission_source,
    discharge_disposition,
    started_at,
    case when coalesce(started_precision, 'minute') = 'minute' then started_at end as started_exact_at,
    ended_at,
    case when coalesce(ended_precision, 'minute') = 'minute' then ended_at end as ended_exact_at,
    signed_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({
    'encounter_id': 'encounter',
    'patient_id': 'patient',
    'provider_id': 'provider',
    'appointment_id': 'appointment',
    'part_of_encounter_id': 'encounter',
}) }}
