with source as (
    select * from {{ source('raw', 'encounter') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    encounter_id,
    patient_id,
    service_unit_id,
    provider_id,
    payer_id,
    visit_type_id,
    appointment_id,
    part_of_encounter_id,
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
from source
