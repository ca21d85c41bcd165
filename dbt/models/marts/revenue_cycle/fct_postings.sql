-- What was billed and what was taken off without payment, by the accounting day; fct_charge_lines has the same by the day
-- of service, fct_payments what was paid.
with postings as (
    select
        tenant_id,
        'billed/' || charge_line_id as posting_id,
        charge_line_id,
        posted_date as posting_date,
        'billed' as posting_type,
        billed_amount,
        0 as contractual_amount,
        0 as written_off_amount
    from {{ ref('int_charge_lines') }}
    where billed_amount <> 0
    union all
    select
        tenant_id,
        event_id,
        charge_line_id,
        event_date,
        adjustment_type,
        0,
        contractual_amount,
        written_off_amount
    from {{ ref('int_line_events') }}
    where contractual_amount <> 0 or written_off_amount <> 0
)

select
    {{ entity_key(['postings.posting_id', 'postings.charge_line_id'], 'postings.tenant_id') }} as posting_key,
    postings.tenant_id,
    postings.posting_id,
    postings.charge_line_id,
    postings.posting_date,
    postings.posting_type,
    lines.claim_id,
    lines.patient_id,
    {{ line_dimensions('lines') }},
    lines.service_date,
    {{ money('postings.billed_amount') }} as billed_amount,
    {{ money('postings.contractual_amount') }} as contractual_amount,
    {{ money('postings.written_off_amount') }} as written_off_amount
from postings
inner join {{ ref('int_charge_lines') }} as lines
    on postings.tenant_id = lines.tenant_id
    and postings.charge_line_id = lines.charge_line_id
order by lines.tenant_id, postings.posting_date
