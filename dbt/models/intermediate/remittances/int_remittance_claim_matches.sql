-- The claim of a claim payment: the claim of its number that is most like it. If there is none, or several, the
-- claim that the payer's number stands for. If two claims are possible, none is matched.
with by_number as (
    select
        bills.tenant_id,
        bills.remittance_claim_id,
        min(claims.claim_id) as claim_id,
        min(claims.claim_id) < max(claims.claim_id) as is_ambiguous
    from {{ ref('int_remitted_bills') }} as bills
    inner join {{ ref('int_bill_claims') }} as claims
        on bills.tenant_id = claims.tenant_id
        and bills.bill_id = claims.bill_id
    group by bills.tenant_id, bills.remittance_claim_id
),

undecided as (
    select
        answers.tenant_id,
        answers.remittance_claim_id,
        answers.payer_id,
        answers.payer_claim_control_number,
        answers.original_payer_claim_control_number,
        by_number.claim_id is not null as is_ambiguous
    from {{ ref('int_remitted_claims') }} as answers
    left join by_number
        on answers.tenant_id = by_number.tenant_id
        and answers.remittance_claim_id = by_number.remittance_claim_id
    where coalesce(by_number.is_ambiguous, true)
),

-- What reverses or corrects a decision names that one's number too.
named as (
    select tenant_id, remittance_claim_id, payer_id, is_ambiguous, payer_claim_control_number as control_number
    from undecided
    where payer_claim_control_number is not null
    union
    select tenant_id, remittance_claim_id, payer_id, is_ambiguous, original_payer_claim_control_number
    from undecided
    where original_payer_claim_control_number is not null
),

-- Payers' numbers: of decisions that found their claim, and of what replacements say they replace.
control_numbers as (
    select named.tenant_id, named.remittance_claim_id, named.is_ambiguous, by_number.claim_id
    from named
    inner join {{ ref('int_remitted_claims') }} as answers
        on named.tenant_id = answers.tenant_id
        and named.payer_id = answers.payer_id
        and named.control_number = answers.payer_claim_control_number
    inner join by_number
        on answers.tenant_id = by_number.tenant_id
        and answers.remittance_claim_id = by_number.remittance_claim_id
        and not by_number.is_ambiguous
    union all
    select named.tenant_id, named.remittance_claim_id, named.is_ambiguous, submissions.claim_id
    from named
    inner join {{ ref('int_claim_submissions') }} as submissions
        on named.tenant_id = submissions.tenant_id
        and named.payer_id = submissions.payer_id
        and named.control_number = submissions.original_payer_claim_control_number
        and submissions.frequency_code not in ('0', '1')
),

by_control_number as (
    select found.tenant_id, found.remittance_claim_id, min(found.claim_id) as claim_id
    from control_numbers as found
    left join (
        select bills.tenant_id, bills.remittance_claim_id, claims.claim_id
        from {{ ref('int_remitted_bills') }} as bills
        inner join by_number
            on bills.tenant_id = by_number.tenant_id
            and bills.remittance_claim_id = by_number.remittance_claim_id
            and by_number.is_ambiguous
        inner join {{ ref('int_bill_claims') }} as claims
            on bills.tenant_id = claims.tenant_id
            and bills.bill_id = claims.bill_id
        group by bills.tenant_id, bills.remittance_claim_id, claims.claim_id
    ) as candidates
        on found.tenant_id = candidates.tenant_id
        and found.remittance_claim_id = candidates.remittance_claim_id
        and found.claim_id = candidates.claim_id
    where not found.is_ambiguous or candidates.claim_id is not null
    group by found.tenant_id, found.remittance_claim_id
    having min(found.claim_id) = max(found.claim_id)
)

select tenant_id, remittance_claim_id, claim_id, 'claim_id' as match_method
from by_number
where not is_ambiguous
union all
select undecided.tenant_id, undecided.remittance_claim_id, found.claim_id,
    case when found.claim_id is not null then 'payer_control_number' else 'ambiguous' end
from undecided
left join by_control_number as found
    on undecided.tenant_id = found.tenant_id
    and undecided.remittance_claim_id = found.remittance_claim_id
where undecided.is_ambiguous or found.claim_id is not null
