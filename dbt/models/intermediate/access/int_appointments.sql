with collapsed as (
    {{ collapse(ref('stg_appointments'), 'appointment', 'appointment_id',
        ['patient_id', 'service_unit_id', 'provider_id', 'visit_type_id', 'payer_id', 'encounter_id', 'referral_id',
         'rescheduled_from_appointment_id', 'status', 'cancel_initiator', 'cancel_reason_code', 'is_walk_in',
         'is_telehealth', 'booked_at', 'requested_date', 'scheduled_start_at', 'scheduled_end_at', 'cancelled_at'],
        winner_only=['cancel_initiator', 'cancel_reason_code', 'cancelled_at'],
        unknown={'status': 'unknown'}) }}
)

select
    collapsed.tenant_id,
    collapsed.appointment_id,
    {{ current_id('collapsed', 'patient') }} as patient_id,
    coalesce(collapsed.service_unit_id, 'unknown') as service_unit_id,
    coalesce({{ current_id('collapsed', 'provider') }}, 'unknown') as provider_id,
    coalesce(collapsed.visit_type_id, 'unknown') as visit_type_id,
    {{ current_id('collapsed', 'payer') }} as payer_id,
    {{ current_id('collapsed', 'encounter') }} as encounter_id,
    collapsed.referral_id,
    collapsed.rescheduled_from_appointment_id,
    collapsed.status,
    collapsed.cancel_initiator,
    collapsed.cancel_reason_code,
    collapsed.is_walk_in,
    collapsed.is_telehealth,
    collapsed.booked_at,
    collapsed.requested_date,
    collapsed.scheduled_start_at,
    collapsed.scheduled_end_at,
    collapsed.cancelled_at,
    units.time_zone,
    {{ local_timestamp('collapsed.scheduled_start_at', 'units.time_zone') }} as local_start_at,
    {{ local_date('collapsed.scheduled_start_at', 'units.time_zone') }} as appointment_date,
    collapsed.source_system,
    collapsed.source_record_id,
    collapsed.source_position,
    collapsed.source_updated_at,
    collapsed.feeds
from collapsed
{{ crosswalk_joins('collapsed', ['patient', 'provider', 'payer', 'encounter']) }}
inner join {{ ref('int_service_units') }} as units
    on collapsed.tenant_id = units.tenant_id
    and coalesce(collapsed.service_unit_id, 'unknown') = units.service_unit_id
