-- Denials (4), reversals (22), forwarded claims (23) and predeterminations (25) do not say which payer decided: primary,
-- secondary or tertiary. What is known says it, in this order: what the same payer stated on the claim (of the payment that a
-- reversal names first, else of the nearest day), the 837 to that payer, and what other payers decided before. Reason 23
-- proves that another payer decided before. A reversal has the order of what it takes back.
with answers as (
    select
        claims.tenant_id,
        claims.remittance_claim_id,
        claims.claim_key,
        claims.claim_id,
        claims.payer_id,
        claims.claim_status_code,
        claims.payer_claim_control_number,
        coalesce(claims.original_payer_claim_control_number, claims.payer_claim_control_number) as named_control_number,
        claims.stated_sequence,
        claims.adjudicated_date,
        prior.remittance_claim_id is not null as states_prior_payer
    from {{ ref('int_remittance_claims') }} as claims
    left join (
        select tenant_id, remittance_claim_id
        from {{ ref('stg_remittance_adjustments') }}
        where reason_code = '23' and adjustment_amount <> 0
        group by tenant_id, remittance_claim_id
    ) as prior
        on claims.tenant_id = prior.tenant_id
        and claims.remittance_claim_id = prior.remittance_claim_id
    where claims.is_counted
),

by_payer as (
    select
        silent.tenant_id,
        silent.remittance_claim_id,
        stated.stated_sequence as payer_sequence,
        row_number() over (
            partition by silent.tenant_id, silent.remittance_claim_id
            order by
                case when silent.named_control_number = stated.payer_claim_control_number then 0 else 1 end,
                case when stated.adjudicated_date <= silent.adjudicated_date then 0 else 1 end,
                abs({{ date_diff_days('stated.adjudicated_date', 'silent.adjudicated_date') }}),
                stated.stated_sequence
        ) as nearness
    from answers as silent
    inner join answers as stated
        on silent.tenant_id = stated.tenant_id
        and silent.claim_key = stated.claim_key
        and silent.payer_id = stated.payer_id
        and silent.stated_sequence is null
        and stated.stated_sequence is not null
),

by_submission as (
    select
        tenant_id,
        claim_id,
        payer_id,
        min(case payer_sequence when 'secondary' then 2 when 'tertiary' then 3 else 1 end) as payer_sequence
    from {{ ref('int_claim_submissions') }}
    where is_counted
    group by tenant_id, claim_id, payer_id
),

known as (
    select
        answers.*,
        coalesce(answers.stated_sequence, by_payer.payer_sequence, by_submission.payer_sequence) as known_sequence
    from answers
    left join (select * from by_payer where nearness = 1) as by_payer
        on answers.tenant_id = by_payer.tenant_id
        and answers.remittance_claim_id = by_payer.remittance_claim_id
    left join by_submission
        on answers.tenant_id = by_submission.tenant_id
        and answers.claim_id = by_submission.claim_id
        and answers.payer_id = by_submission.payer_id
),

-- Some payers state primary (1) whenever they pay; reason 23 beside it and another payer's decision contradict them.
undecided as (
    select * from known
    where known_sequence is null or (known_sequence = 1 and states_prior_payer)
),

others as (
    select
        undecided.tenant_id,
        undecided.remittance_claim_id,
        max(known.known_sequence) as prior_sequence
    from undecided
    inner join known
        on undecided.tenant_id = known.tenant_id
        and undecided.claim_key = known.claim_key
        and undecided.payer_id <> known.payer_id
    where (known.known_sequence > 1 or (known.known_sequence = 1 and not known.states_prior_payer))
        and (
            undecided.states_prior_payer
            or known.adjudicated_date <= undecided.adjudicated_date
            -- The primary or secondary payer forwarded the claim.
            or known.claim_status_code in ('19', '20', '21')
        )
    group by undecided.tenant_id, undecided.remittance_claim_id
),

decided as (
    select
        known.tenant_id,
        known.remittance_claim_id,
        case
            when others.prior_sequence is not null then least(others.prior_sequence + 1, 3)
            when known.known_sequence is not null then known.known_sequence
            when known.states_prior_payer then 2
            else 1
        end as payer_sequence
    from known
    left join others
        on known.tenant_id = others.tenant_id
        and known.remittance_claim_id = others.remittance_claim_id
)

select
    decided.tenant_id,
    decided.remittance_claim_id,
    coalesce(taken_back.payer_sequence, decided.payer_sequence) as payer_sequence
from decided
left join {{ ref('int_remittance_reversals') }} as reversals
    on decided.tenant_id = reversals.tenant_id
    and decided.remittance_claim_id = reversals.remittance_claim_id
left join decided as taken_back
    on reversals.tenant_id = taken_back.tenant_id
    and reversals.reversed_remittance_claim_id = taken_back.remittance_claim_id
order by decided.tenant_id, decided.remittance_claim_id
