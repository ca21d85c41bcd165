-- What the payers of a claim state, on each billed line where every claim payment of the claim states its amounts there, else
-- on the claim as a whole (target "claim").
with statements as (
    select
        claims.tenant_id,
        claims.claim_key,
        claims.remittance_claim_id,
        sequences.payer_sequence,
        claims.adjudicated_date,
        claims.billed_amount,
        claims.payer_paid_amount
    from {{ ref('int_remittance_claims') }} as claims
    inner join {{ ref('int_payer_sequences') }} as sequences
        on claims.tenant_id = sequences.tenant_id
        and claims.remittance_claim_id = sequences.remittance_claim_id
    -- Only claims on which a later payer states contractual amounts.
    inner join (
        select distinct claims.tenant_id, claims.claim_key
        from {{ ref('int_adjustment_reasons') }} as reasons
        inner join {{ ref('int_remittance_claims') }} as claims
            on reasons.tenant_id = claims.tenant_id
            and reasons.remittance_claim_id = claims.remittance_claim_id
            and claims.is_matched
        inner join {{ ref('int_payer_sequences') }} as sequences
            on reasons.tenant_id = sequences.tenant_id
            and reasons.remittance_claim_id = sequences.remittance_claim_id
            and sequences.payer_sequence > 1
        where reasons.stated_contractual_amount <> 0
    ) as wanted
        on claims.tenant_id = wanted.tenant_id
        and claims.claim_key = wanted.claim_key
    where claims.is_counted and claims.claim_status_code not in ('23', '25')
),

lines as (
    select
        lines.tenant_id,
        lines.remittance_claim_id,
        lines.remittance_line_id,
        lines.billed_amount,
        lines.payer_paid_amount,
        matches.charge_line_id
    from statements
    inner join {{ ref('int_remittance_line_amounts') }} as lines
        on statements.tenant_id = lines.tenant_id
        and statements.remittance_claim_id = lines.remittance_claim_id
    left join {{ ref('int_remittance_line_matches') }} as matches
        on lines.tenant_id = matches.tenant_id
        and lines.remittance_line_id = matches.remittance_line_id
),

adjusted as (
    select
        reasons.tenant_id,
        reasons.remittance_claim_id,
        reasons.remittance_line_id,
        sum(reasons.stated_contractual_amount) as contractual_amount,
        sum(case when reasons.reason_code = '23' then 0
            else reasons.adjustment_amount - reasons.stated_contractual_amount end) as left_open_amount
    from statements
    inner join {{ ref('int_adjustment_reasons') }} as reasons
        on statements.tenant_id = reasons.tenant_id
        and statements.remittance_claim_id = reasons.remittance_claim_id
    group by reasons.tenant_id, reasons.remittance_claim_id, reasons.remittance_line_id
),

-- Claims of which every amount stands on a billed line.
lined as (
    select statements.tenant_id, statements.claim_key
    from statements
    left join (
        select
            tenant_id,
            remittance_claim_id,
            sum(payer_paid_amount) as payer_paid_amount,
            max(case when charge_line_id is null then 1 else 0 end) as unmatched
        from lines
        group by tenant_id, remittance_claim_id
    ) as summed
        on statements.tenant_id = summed.tenant_id
        and statements.remittance_claim_id = summed.remittance_claim_id
    left join (select * from adjusted where remittance_line_id is null) as on_claim
        on statements.tenant_id = on_claim.tenant_id
        and statements.remittance_claim_id = on_claim.remittance_claim_id
    group by statements.tenant_id, statements.claim_key
    having max(case
        when summed.unmatched = 0 and summed.payer_paid_amount = statements.payer_paid_amount
            and on_claim.remittance_claim_id is null then 0
        else 1
    end) = 0
),

amounts as (
    select
        lines.tenant_id,
        lines.remittance_claim_id,
        lines.charge_line_id as target,
        sum(lines.billed_amount) as billed_amount,
        sum(lines.payer_paid_amount) as payer_paid_amount,
        sum(coalesce(adjusted.contractual_amount, 0)) as contractual_amount,
        sum(coalesce(adjusted.left_open_amount, 0)) as left_open_amount
    from lines
    inner join statements
        on lines.tenant_id = statements.tenant_id
        and lines.remittance_claim_id = statements.remittance_claim_id
    inner join lined
        on statements.tenant_id = lined.tenant_id
        and statements.claim_key = lined.claim_key
    left join adjusted
        on lines.tenant_id = adjusted.tenant_id
        and lines.remittance_line_id = adjusted.remittance_line_id
    group by lines.tenant_id, lines.remittance_claim_id, lines.charge_line_id
    union all
    select
        statements.tenant_id,
        statements.remittance_claim_id,
        'claim',
        statements.billed_amount,
        statements.payer_paid_amount,
        coalesce(sum(adjusted.contractual_amount), 0),
        coalesce(sum(adjusted.left_open_amount), 0)
    from statements
    left join lined
        on statements.tenant_id = lined.tenant_id
        and statements.claim_key = lined.claim_key
    left join adjusted
        on statements.tenant_id = adjusted.tenant_id
        and statements.remittance_claim_id = adjusted.remittance_claim_id
    where lined.claim_key is null
    group by statements.tenant_id, statements.remittance_claim_id, statements.billed_amount, statements.payer_paid_amount
)
select
    statements.tenant_id,
    statements.claim_key,
    statements.remittance_claim_id,
    amounts.target,
    statements.payer_sequence,
    statements.adjudicated_date,
    amounts.payer_paid_amount,
    amounts.contractual_amount,
    -- What others explain: the charge less what this payer pays and leaves open.
    amounts.billed_amount - amounts.payer_paid_amount - amounts.left_open_amount as explained_amount
from amounts
inner join statements
    on amounts.tenant_id = statements.tenant_id
    and amounts.remittance_claim_id = statements.remittance_claim_id
order by statements.tenant_id, statements.remittance_claim_id
