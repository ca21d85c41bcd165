with collapsed as (
    {{ collapse(ref('stg_encounters'), 'encounter', 'encounter_id',
        ['patient_id', 'service_unit_id', 'provider_id', 'payer_id', 'visit_type_id', 'appointment_id',
         'encounter_class', 'status', 'admission_source', 'discharge_disposition', 'started_at', 'ended_at',
         'signed_at']) }}
)

select
    collapsed.tenant_id,
    collapsed.encounter_id,
    coalesce(patients.current_patient_id, collapsed.patient_id) as patient_id,
    coalesce(collapsed.service_unit_id, 'unknown') as service_unit_id,
    coalesce(providers.current_provider_id, collapsed.provider_id, 'unknown') as provider_id,
    coalesce(payers.current_payer_id, collapsed.payer_id, known.payer_id) as payer_id,
    coalesce(collapsed.visit_type_id, 'unknown') as visit_type_id,
    collapsed.appointment_id,
    collapsed.encounter_class,
    collapsed.status,
    collapsed.admission_source,
    collapsed.discharge_disposition,
    collapsed.started_at,
    collapsed.ended_at,
    collapsed.signed_at,
    units.time_zone,
    {{ local_timestamp('collapsed.started_at', 'units.time_zone') }} as local_started_at,
    {{ local_date('collapsed.started_at', 'units.time_zone') }} as encounter_date,
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
left join {{ ref('int_encounter_payers') }} as known
    on collapsed.tenant_id = known.tenant_id
    and collapsed.encounter_id = known.encounter_id
inner join {{ ref('int_service_units') }} as units
    on collapsed.tenant_id = units.tenant_id
    and coalesce(collapsed.service_unit_id, 'unknown') = units.service_unit_id
