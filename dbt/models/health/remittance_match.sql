with matched as (
    select
        tenant_id,
        source_system as feed,
        'claim' as level,
        match_method,
        is_matched,
        billed_amount,
        payer_paid_amount
    from {{ ref('int_remittance_claims') }}
    where is_counted
    union all
    select
        lines.tenant_id,
        claims.source_system as feed,
        'line' as level,
        lines.match_method,
        lines.charge_line_id is not null as is_matched,
        lines.billed_amount,
        lines.payer_paid_amount
    from {{ ref('int_remittance_lines') }} as lines
    inner join {{ ref('int_remittance_claims') }} as claims
        on lines.tenant_id = claims.tenant_id
        and lines.remittance_claim_id = claims.remittance_claim_id
    union all
    select
        reversals.tenant_id,
        claims.source_system as feed,
        'reversal' as level,
        reversals.match_method,
        reversals.reversed_remittance_claim_id is not null as is_matched,
        claims.billed_amount,
        claims.payer_paid_amount
    from {{ ref('int_remittance_reversals') }} as reversals
    inner join {{ ref('int_remittance_claims') }} as claims
        on reversals.tenant_id = claims.tenant_id
        and reversals.remittance_claim_id = claims.remittance_claim_id
)

select
    tenant_id,
    feed,
    level,
    match_method,
    is_matched,
    count(*) as records,
    {{ money('sum(billed_amount)') }} as billed_amount,
    {{ money('sum(payer_paid_amount)') }} as payer_paid_amount
from matched
group by tenant_id, feed, level, match_method, is_matched
order by tenant_id, feed, level, match_method
