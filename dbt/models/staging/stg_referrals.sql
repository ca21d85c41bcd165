with source as (
    select * from {{ source('raw', 'referral') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    referral_id,
    patient_id,
    referral_partner_id,
    referring_provider_id,
    service_unit_id,
    visit_type_id,
    status,
    ordered_at,
    authorized_at,
    expires_at,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
