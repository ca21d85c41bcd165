with source as (
    select * from {{ source('raw', 'referral') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    referral_id,
    {{ issued_key('patient_id') }} as patient_id,
    referral_partner_id,
    {{ issued_key('referring_provider_id') }} as referring_provider_id,
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
from source{{ issued_key_joins({'patient_id': 'patient', 'referring_provider_id': 'provider'}) }}
