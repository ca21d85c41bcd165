with source as (
    select * from {{ source('raw', 'remittance_line') }}{{ where_touched() }}
)

select
    tenant_id,
    source_system,
    remittance_line_id,
    remittance_claim_id,
    claim_id,
    line_number,
    line_control_number,
    procedure_code,
    submitted_procedure_code,
    modifiers,
    revenue_code,
    remark_codes,
    units_paid,
    billed_amount,
    payer_paid_amount,
    allowed_amount,
    service_date,
    source_record_id,
    source_updated_at,
    batch_id,
    source_position,
    batch_sequence
from source
