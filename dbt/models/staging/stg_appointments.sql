with source as (
    select * from {{ source('raw', 'appointment') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    {{ issued_key('appointment_id') }} as appointment_id,
    {{ issued_key('patient_id') }} as patient_id,
    service_unit_id,
    {{ issued_key('provider_id') }} as provider_id,
    visit_type_id,
    payer_id,
    {{ issued_key('encounter_id') }} as encounter_id,
    referral_id,
    {{ issued_key('rescheduled_from_appointment_id') }} as rescheduled_from_appointment_id,
    status,
    cancel_initiator,
    cancel_reason_code,
    is_walk_in,
    is_telehealth,
    booked_at,
    requested_date,
    scheduled_start_at,
    scheduled_end_at,
    cancelled_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({
    'appointment_id': 'appointment',
    'patient_id': 'patient',
    'provider_id': 'provider',
    'encounter_id': 'encounter',
    'rescheduled_from_appointment_id': 'appointment',
}) }}
