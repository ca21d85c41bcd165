-- A reversal takes back one earlier decision of the same payer on the same claim, of the same amounts with the sign
-- turned: by the payer's own number first, then by patient control number and day of service. Within a way the first
-- reversal takes the first decision before it, as brackets close; a decision in the same payment corrects, and is not
-- what that reversal takes back. Files come in any order, so what found nothing before it may find it after (desc).
-- Last come reversals of a part. Nothing is taken back beyond what was decided.
{%- set by_number = ['claim_id', 'payer_id', 'control_number', 'billed_size', 'paid_size'] %}
{%- set by_claim = ['known_claim_id', 'payer_id', 'service_day', 'billed_size', 'paid_size'] %}
{%- set ways = [
    ('control_number_amount', by_number, 'asc'),
    ('claim_amount', by_claim, 'asc'),
    ('control_number_amount', by_number, 'desc'),
    ('claim_amount', by_claim, 'desc'),
] %}
with reversed_claims as (
    select tenant_id, claim_id, payer_id
    from {{ ref('int_remittance_claims') }}
    where is_counted and is_reversal
    group by tenant_id, claim_id, payer_id
),

answers as materialized (
    select
        claims.tenant_id,
        claims.remittance_claim_id,
        coalesce(claims.remittance_id, claims.remittance_claim_id) as payment_key,
        claims.claim_id,
        -- 0 stands for a patient control number the payer was not given.
        nullif(claims.claim_id, '0') as known_claim_id,
        claims.payer_id,
        case when claims.is_reversal
            then coalesce(claims.original_payer_claim_control_number, claims.payer_claim_control_number)
            else claims.payer_claim_control_number end as control_number,
        coalesce(claims.service_from_date, date '1900-01-01') as service_day,
        case when claims.is_reversal then -1 else 1 end as step,
        claims.is_reversal,
        case when claims.is_reversal then - claims.billed_amount else claims.billed_amount end as billed_size,
        case when claims.is_reversal then - claims.payer_paid_amount else claims.payer_paid_amount end as paid_size,
        claims.payment_date,
        not claims.is_reversal and max(case when claims.is_reversal then 1 else 0 end) over (
            partition by claims.tenant_id, claims.claim_id, claims.payer_id,
                coalesce(claims.remittance_id, claims.remittance_claim_id)
        ) = 1 as is_beside_reversal
    from {{ ref('int_remittance_claims') }} as claims
    inner join reversed_claims
        on claims.tenant_id = reversed_claims.tenant_id
        and claims.claim_id = reversed_claims.claim_id
        and claims.payer_id = reversed_claims.payer_id
    where claims.is_counted and claims.claim_status_code not in ('23', '25')
),

pairs_0 as materialized (
    select tenant_id, remittance_claim_id, remittance_claim_id as reversed_id, 'none' as match_method
    from answers
    where payment_key is null
)
{%- for method, keys, direction in ways %}
{%- set partition = 'partition by tenant_id, ' ~ keys | join(', ') %}
{%- set in_order = partition ~ ' order by payment_date ' ~ direction ~ ', payment_key ' ~ direction
    ~ ', step, remittance_claim_id' %},

open_{{ loop.index }} as (
    select answers.*
    from answers
    left join (
        select tenant_id, remittance_claim_id from pairs_{{ loop.index0 }}
        union all
        select tenant_id, reversed_id from pairs_{{ loop.index0 }}
    ) as taken
        on answers.tenant_id = taken.tenant_id
        and answers.remittance_claim_id = taken.remittance_claim_id
    where taken.remittance_claim_id is null {%- if direction == 'desc' %} and not answers.is_beside_reversal {%- endif %}
),

heights_{{ loop.index }} as (
    select *, sum(step) over ({{ in_order }} rows unbounded preceding) as height
    from open_{{ loop.index }}
),

floors_{{ loop.index }} as (
    select
        *,
        coalesce(min(height) over ({{ in_order }} rows between unbounded preceding and 1 preceding), 0) as floor_before
    from heights_{{ loop.index }}
),

places_{{ loop.index }} as materialized (
    select *, row_number() over ({{ partition }}, is_reversal order by payment_date {{ direction }}, payment_key
        {{ direction }}, remittance_claim_id) as place
    from floors_{{ loop.index }}
    -- A reversal below every height so far has no decision to close.
    where not is_reversal or height >= least(floor_before, 0)
),

pairs_{{ loop.index }} as materialized (
    select * from pairs_{{ loop.index0 }}
    union all
    select reversals.tenant_id, reversals.remittance_claim_id, decisions.remittance_claim_id, '{{ method }}'
    from places_{{ loop.index }} as reversals
    inner join places_{{ loop.index }} as decisions
        on reversals.tenant_id = decisions.tenant_id
        {%- for key in keys %}
        and reversals.{{ key }} = decisions.{{ key }}
        {%- endfor %}
        and reversals.place = decisions.place
        and reversals.is_reversal
        and not decisions.is_reversal
)
{%- endfor %},

parts as (
    select
        reversals.tenant_id,
        reversals.remittance_claim_id,
        decisions.remittance_claim_id as reversed_id,
        case when reversals.control_number = decisions.control_number then 'control_number_part' else 'claim_part' end
            as match_method,
        reversals.payment_date,
        reversals.billed_size,
        reversals.paid_size,
        decisions.billed_size as decided_billed_size,
        decisions.paid_size as decided_paid_size,
        row_number() over (
            partition by reversals.tenant_id, reversals.remittance_claim_id
            order by
                case when reversals.control_number = decisions.control_number then 0 else 1 end,
                decisions.payment_date desc,
                decisions.remittance_claim_id
        ) as choice
    from answers as reversals
    inner join answers as decisions
        on reversals.tenant_id = decisions.tenant_id
        and reversals.claim_id = decisions.claim_id
        and reversals.payer_id = decisions.payer_id
        and reversals.is_reversal
        and not decisions.is_reversal
        and reversals.payment_key <> decisions.payment_key
        and reversals.payment_date >= decisions.payment_date
        and reversals.billed_size between 0 and decisions.billed_size
        and reversals.paid_size between 0 and decisions.paid_size
    left join pairs_{{ ways | length }} as closed
        on reversals.tenant_id = closed.tenant_id
        and reversals.remittance_claim_id = closed.remittance_claim_id
    left join pairs_{{ ways | length }} as taken
        on decisions.tenant_id = taken.tenant_id
        and decisions.remittance_claim_id = taken.reversed_id
    where closed.remittance_claim_id is null
        and taken.reversed_id is null
        and (
            reversals.control_number = decisions.control_number
            or (reversals.known_claim_id is not null and reversals.service_day = decisions.service_day)
        )
),

summed as (
    select
        parts.*,
        sum(billed_size) over (
            partition by tenant_id, reversed_id order by payment_date, remittance_claim_id rows unbounded preceding
        ) as taken_billed_size,
        sum(paid_size) over (
            partition by tenant_id, reversed_id order by payment_date, remittance_claim_id rows unbounded preceding
        ) as taken_paid_size
    from parts
    where choice = 1
),

found as (
    select tenant_id, remittance_claim_id, reversed_id, match_method, true as is_whole
    from pairs_{{ ways | length }}
    union all
    select tenant_id, remittance_claim_id, reversed_id, match_method, false
    from summed
    where taken_billed_size <= decided_billed_size and taken_paid_size <= decided_paid_size
)

select
    answers.tenant_id,
    answers.remittance_claim_id,
    found.reversed_id as reversed_remittance_claim_id,
    coalesce(found.match_method, 'none') as match_method,
    coalesce(found.is_whole, false) as is_whole
from answers
left join found
    on answers.tenant_id = found.tenant_id
    and answers.remittance_claim_id = found.remittance_claim_id
where answers.is_reversal
order by answers.tenant_id, answers.remittance_claim_id
