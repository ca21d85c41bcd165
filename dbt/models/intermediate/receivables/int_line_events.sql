-- Everything that moves the balance of a line after it was billed. What names only a claim is spread over the lines of
-- the claim; it stays on the claim's own line only where the claim has no others. A view, because nearly all rows are
-- those of int_posted_events.
{{ config(materialized='view') }}
{%- set columns = ['tenant_id', 'event_id', 'charge_line_id', 'claim_id', 'event_date', 'match_method', 'payer_sequence',
    'is_reversal', 'payer_paid_amount', 'patient_paid_amount', 'contractual_amount', 'written_off_amount',
    'patient_share_amount', 'allowed_amount', 'paid_date', 'is_point_of_service', 'adjustment_type'] %}
select
    {%- for column in columns %}
    posted.{{ column }}{{ ',' if not loop.last }}
    {%- endfor %}
from {{ ref('int_posted_events') }} as posted
left join (
    select tenant_id, event_id
    from {{ ref('int_claim_event_shares') }}
    group by tenant_id, event_id
) as spread
    on posted.tenant_id = spread.tenant_id
    and posted.event_id = spread.event_id
where spread.event_id is null
union all
select {{ columns | join(', ') }}
from {{ ref('int_claim_event_shares') }}
