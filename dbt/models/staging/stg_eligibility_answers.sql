with source as (
    select * from {{ source('raw', 'eligibility_answer') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    eligibility_answer_id,
    {{ issued_key('patient_id') }} as patient_id,
    member_token,
    birth_year,
    payer_id,
    plan_name,
    status,
    reject_code,
    answered_at,
    valid_from,
    valid_to,
    trace_number,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source{{ issued_key_joins({'patient_id': 'patient'}) }}
