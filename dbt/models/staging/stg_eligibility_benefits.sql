with source as (
    select * from {{ source('raw', 'eligibility_benefit') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    eligibility_benefit_id,
    eligibility_answer_id,
    benefit_type,
    service_type_code,
    coverage_level,
    network,
    amount_kind,
    benefit_amount,
    benefit_percent,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
