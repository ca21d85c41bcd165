-- The latest word counts: what was allowed once and denied, or taken back, later is not allowed.
with taken_back as (
    select tenant_id, reversed_remittance_claim_id
    from {{ ref('int_remittance_reversals') }}
    where is_whole
),

ranked as (
    select
        lines.tenant_id,
        lines.charge_line_id,
        lines.allowed_amount,
        row_number() over (
            partition by lines.tenant_id, lines.charge_line_id
            order by lines.adjudicated_date desc, lines.remittance_line_id desc
        ) as recency
    from {{ ref('int_remittance_lines') }} as lines
    left join taken_back
        on lines.tenant_id = taken_back.tenant_id
        and lines.remittance_claim_id = taken_back.reversed_remittance_claim_id
    where lines.charge_line_id is not null
        and lines.payer_sequence = 1
        and not lines.is_reversal
        and taken_back.reversed_remittance_claim_id is null
)

select tenant_id, charge_line_id, allowed_amount
from ranked
where recency = 1 and allowed_amount > 0
order by tenant_id, charge_line_id
