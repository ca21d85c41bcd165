{#- While the record says that a visit goes on, no other feed ends it. -#}
{%- set open_encounter = "status in ('planned', 'arrived', 'in_progress', 'on_leave')" -%}
with collapsed as (
    {{ collapse(ref('stg_encounters'), 'encounter', 'encounter_id',
        ['patient_id', 'service_unit_id', 'provider_id', 'payer_id', 'visit_type_id', 'appointment_id',
         'encounter_class', 'status', 'admission_source', 'discharge_disposition', 'started_at', 'ended_at',
         'signed_at'],
        empty_says={'ended_at': open_encounter, 'discharge_disposition': open_encounter},
        unknown={'encounter_class': 'UNK', 'status': 'unknown'},
        crosswalk=ref('int_encounter_crosswalk')) }}
)

select
    collapsed.tenant_id,
    collapsed.encounter_id,
    {{ current_id('collapsed', 'patient') }} as patient_id,
    coalesce(collapsed.service_unit_id, 'unknown') as service_unit_id,
    coalesce({{ current_id('collapsed', 'provider') }}, 'unknown') as provider_id,
    coalesce({{ current_id('collapsed', 'payer') }}, known.payer_id) as payer_id,
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
{{ crosswalk_joins('collapsed', ['patient', 'provider', 'payer']) }}
left join {{ ref('int_encounter_payers') }} as known
    on collapsed.tenant_id = known.tenant_id
    and collapsed.encounter_id = known.encounter_id
inner join {{ ref('int_service_units') }} as units
    on collapsed.tenant_id = units.tenant_id
    and coalesce(collapsed.service_unit_id, 'unknown') = units.service_unit_id
