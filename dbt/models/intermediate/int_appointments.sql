with collapsed as (
    {{ collapse(ref('stg_appointments'), 'appointment', 'appointment_id',
        ['patient_id', 'service_unit_id', 'provider_id', 'visit_type_id', 'payer_id', 'encounter_id', 'referral_id',
         'rescheduled_from_appointment_id', 'status', 'cancel_initiator', 'cancel_reason_code', 'is_walk_in',
         'is_telehealth', 'booked_at', 'requested_date', 'scheduled_start_at', 'scheduled_end_at', 'cancelled_at'],
        winner_only=['cancel_initiator', 'cancel_reason_code', 'cancelled_at']) }}
)

select
    collapsed.tenant_id,
    collapsed.appointment_id,
    coalesce(patients.current_patient_id, collapsed.patient_id) as patient_id,
    coalesce(collapsed.service_unit_id, 'unknown') as service_unit_id,
    coalesce(providers.current_provider_id, collapsed.provider_id, 'unknown') as provider_id,
    coalesce(collapsed.visit_type_id, 'unknown') as visit_type_id,
    coalesce(payers.current_payer_id, collapsed.payer_id) as payer_id,
    collapsed.encounter_id,
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
left join {{ ref('int_patient_crosswalk') }} as patients
    on collapsed.tenant_id = patients.tenant_id
    and collapsed.patient_id = patients.patient_id
left join {{ ref('int_provider_crosswalk') }} as providers
    on collapsed.tenant_id = providers.tenant_id
    and collapsed.provider_id = providers.provider_id
left join {{ ref('int_payer_crosswalk') }} as payers
    on collapsed.tenant_id = payers.tenant_id
    and collapsed.payer_id = payers.payer_id
inner join {{ ref('int_service_units') }} as units
    on collapsed.tenant_id = units.tenant_id
    and coalesce(collapsed.service_unit_id, 'unknown') = units.service_unit_id
