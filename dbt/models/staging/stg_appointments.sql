with source as (
    select * from {{ source('raw', 'appointment') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    appointment_id,
    patient_id,
    service_unit_id,
    provider_id,
    visit_type_id,
    payer_id,
    encounter_id,
    referral_id,
    rescheduled_from_appointment_id,
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
from source
