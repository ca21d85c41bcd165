-- The latest word counts: what was allowed once and denied later is not allowed.
with ranked as (
    select
        tenant_id,
        charge_line_id,
        allowed_amount,
        row_number() over (
            partition by tenant_id, charge_line_id
            order by adjudicated_date desc, remittance_line_id desc
        ) as recency
    from {{ ref('int_remittance_lines') }}
    where charge_line_id is not null
        and payer_sequence = 1
        and not is_reversal
)

select tenant_id, charge_line_id, allowed_amount
from ranked
where recency = 1 and allowed_amount > 0
order by tenant_id, charge_line_id
