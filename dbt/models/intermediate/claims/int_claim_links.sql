-- What a bill belongs to: a replacement or void to the bill whose payer number it names (REF*F8), else to the one whose
-- number it names, else to an earlier one with the same number; charges, and what another kind of feed says differently, to
-- the submission of their number. What could be two is linked to none.
with bills as (
    select * from {{ ref('int_claim_bills') }}
),

contested as (
    select * from bills
    where bills_of_number <= {{ most_bills_of_number() }} and has_other_bills
),

-- A practice's system and an 837 may differ in the amount or by some days. Two 837s that differ are two claims.
told_twice as (
    select
        others.tenant_id,
        others.bill_id,
        min(records.bill_id) as parent_bill_id
    from contested as others
    inner join contested as records
        on others.tenant_id = records.tenant_id
        and others.claim_number = records.claim_number
        and others.bill_id <> records.bill_id
        and others.is_original
        and records.is_original
        and others.first_feed = others.last_feed
        and records.first_feed = records.last_feed
        and not others.is_837
        and (records.is_837 or records.first_feed < others.first_feed)
        and others.first_feed <> records.first_feed
    where not {{ contradicts('others', 'records', 'patient_id') }}
        and (
            not {{ days_apart('others', 'records') }}
            or (others.billed_amount = records.billed_amount
                and abs({{ date_diff_days('others.first_day', 'records.first_day') }}) <= 3)
        )
    group by others.tenant_id, others.bill_id
    having count(*) = 1
),

-- What was turned back before anybody decided it, and is sent as an original again, is put right: one claim, although its
-- amount changed. Originals of other days are other claims: monthly ones often agree in the amount.
statuses as (
    select
        statuses.tenant_id,
        statuses.source_system || '/' || statuses.claim_status_id as reference_id,
        statuses.claim_id as claim_number,
        statuses.billing_provider_npi,
        cast(null as varchar) as billing_tax_token,
        cast(null as varchar) as patient_id,
        statuses.service_from_date as first_day,
        coalesce(statuses.service_to_date, statuses.service_from_date) as last_day,
        abs(statuses.billed_amount) as billed_amount,
        statuses.is_accepted,
        statuses.reported_at
    from {{ ref('stg_claim_statuses') }} as statuses
    inner join (select tenant_id, claim_number from contested group by tenant_id, claim_number) as numbers
        on statuses.tenant_id = numbers.tenant_id
        and statuses.claim_id = numbers.claim_number
    where statuses.is_accepted is not null
),

answered as (
    select
        *,
        rank() over (partition by tenant_id, reference_id order by likeness) as choice
    from ({{ bill_candidates('statuses') }}) as found
),

turned_back as (
    select found.tenant_id, found.bill_id, min(statuses.reported_at) as reported_at
    from (
        select *, count(*) over (partition by tenant_id, reference_id) as bills from answered
        where choice = 1
    ) as found
    inner join statuses
        on found.tenant_id = statuses.tenant_id
        and found.reference_id = statuses.reference_id
    left join (select tenant_id, bill_id from {{ ref('int_remitted_bills') }} group by tenant_id, bill_id) as decided
        on found.tenant_id = decided.tenant_id
        and found.bill_id = decided.bill_id
    where found.bills = 1 and decided.bill_id is null
    group by found.tenant_id, found.bill_id
    having max(case when statuses.is_accepted then 1 else 0 end) = 0
),

put_right as (
    select
        later.tenant_id,
        later.bill_id,
        min(earlier.bill_id) as parent_bill_id
    from contested as later
    inner join contested as earlier
        on later.tenant_id = earlier.tenant_id
        and later.claim_number = earlier.claim_number
        and later.bill_id <> earlier.bill_id
        and later.is_original
        and earlier.is_original
    inner join turned_back
        on earlier.tenant_id = turned_back.tenant_id
        and earlier.bill_id = turned_back.bill_id
        and turned_back.reported_at between earlier.first_submitted_at and later.first_submitted_at
    where not {{ days_apart('later', 'earlier') }}
        {%- for column in ['issuer', 'patient_id', 'patient_match_token'] %}
        and not {{ contradicts('later', 'earlier', column) }}
        {%- endfor %}
    group by later.tenant_id, later.bill_id
    having count(*) = 1
),

-- One bill that may be another's put right is so for the first one sent.
sent_again as (
    select tenant_id, bill_id, parent_bill_id
    from (
        select
            put_right.*,
            row_number() over (
                partition by put_right.tenant_id, put_right.parent_bill_id
                order by bills.first_submitted_at, put_right.bill_id
            ) as place
        from put_right
        inner join bills
            on put_right.tenant_id = bills.tenant_id
            and put_right.bill_id = bills.bill_id
    ) as placed
    where place = 1
),

originals as (
    select contested.*
    from contested
    left join (
        select tenant_id, bill_id from told_twice
        union
        select tenant_id, bill_id from sent_again
    ) as linked
        on contested.tenant_id = linked.tenant_id
        and contested.bill_id = linked.bill_id
    where contested.is_original and linked.bill_id is null
),

by_own_number as (
    select
        later.tenant_id,
        later.bill_id,
        later.is_charge,
        earlier.bill_id as parent_bill_id,
        earlier.is_original,
        earlier.first_submitted_at,
        case
            when not {{ days_apart('later', 'earlier') }} then
                case
                    when not earlier.is_original then 3
                    when later.first_day = earlier.first_day and later.last_day = earlier.last_day then 1
                    else 2
                end
            when not later.is_charge then case when earlier.is_original then 4 end
            when later.billed_amount = earlier.billed_amount then 4
        end as likeness
    from contested as later
    inner join (
        select * from originals
        union all
        select * from contested
        where not is_original and not is_charge
    ) as earlier
        on later.tenant_id = earlier.tenant_id
        and later.claim_number = earlier.claim_number
        and later.bill_id <> earlier.bill_id
    where not later.is_original
        and (
            later.is_charge or earlier.is_original
            or earlier.first_submitted_at < later.first_submitted_at
            or (earlier.first_submitted_at = later.first_submitted_at and earlier.bill_id < later.bill_id)
        )
        {%- for column in ['issuer', 'patient_id', 'patient_match_token'] %}
        and not {{ contradicts('later', 'earlier', column) }}
        {%- endfor %}
),

own_numbers as (
    select
        ranked.*,
        sum(case when is_original then 1 else 0 end) over (partition by tenant_id, bill_id) as originals,
        row_number() over (partition by tenant_id, bill_id order by case when is_original then 0 else 1 end,
            first_submitted_at, parent_bill_id) as place
    from (
        select *, rank() over (partition by tenant_id, bill_id order by likeness) as choice
        from by_own_number
        where likeness is not null
    ) as ranked
    where choice = 1
),

-- Replacements and voids, with what they say they replace.
replacements as (
    select
        claims.tenant_id,
        coalesce(submissions.bill_id, claims.claim_id || '/1') as bill_id,
        {{ current_id('claims', 'payer') }} as payer_id,
        claims.original_payer_claim_control_number,
        claims.replaced_claim_id
    from {{ ref('stg_claims') }} as claims
    left join {{ ref('int_claim_submission_bills') }} as submissions
        on claims.tenant_id = submissions.tenant_id
        and claims.source_system = submissions.source_system
        and claims.claim_submission_id = submissions.claim_submission_id
    {{ crosswalk_joins('claims', ['payer']) | indent(4) }}
    where {{ claim_kind('claims') }} <> 'original'
        and (claims.original_payer_claim_control_number is not null or claims.replaced_claim_id is not null)
),

-- The payer's number may stand on the replacement, or on the decision about it.
named_numbers as (
    select named.tenant_id, named.bill_id, named.payer_id, named.control_number
    from (
        select tenant_id, bill_id, payer_id, original_payer_claim_control_number as control_number from replacements
        union all
        select candidates.tenant_id, candidates.bill_id, answers.payer_id, answers.original_payer_claim_control_number
        from {{ ref('int_remitted_bills') }} as candidates
        inner join {{ ref('int_remitted_claims') }} as answers
            on candidates.tenant_id = answers.tenant_id
            and candidates.remittance_claim_id = answers.remittance_claim_id
        where not candidates.is_original
    ) as named
    inner join bills
        on named.tenant_id = bills.tenant_id
        and named.bill_id = bills.bill_id
        and not bills.is_original
        and not bills.is_charge
    where named.control_number is not null
    group by named.tenant_id, named.bill_id, named.payer_id, named.control_number
),

-- Decisions of which it is plain what bill they answer give the payers' numbers their bills.
numbered_answers as (
    select answers.tenant_id, answers.remittance_claim_id, answers.payer_id, answers.adjudicated_date,
        answers.payer_claim_control_number as control_number
    from {{ ref('int_remitted_claims') }} as answers
    inner join (select tenant_id, control_number from named_numbers group by tenant_id, control_number) as named
        on answers.tenant_id = named.tenant_id
        and answers.payer_claim_control_number = named.control_number
),

numbered_bills as (
    select tenant_id, control_number, payer_id, bill_id, is_original, min(adjudicated_date) as first_decided_date
    from (
        select
            answers.*,
            candidates.bill_id,
            candidates.is_original,
            count(*) over (partition by answers.tenant_id, answers.remittance_claim_id) as candidates,
            sum(case when candidates.is_original then 1 else 0 end) over (
                partition by answers.tenant_id, answers.remittance_claim_id
            ) as originals
        from numbered_answers as answers
        inner join {{ ref('int_remitted_bills') }} as candidates
            on answers.tenant_id = candidates.tenant_id
            and answers.remittance_claim_id = candidates.remittance_claim_id
    ) as answered
    where candidates = 1 or (originals = 1 and is_original)
    group by 1, 2, 3, 4, 5
),

by_control_number as (
    select
        later.tenant_id,
        later.bill_id,
        numbered_bills.bill_id as parent_bill_id,
        numbered_bills.is_original,
        numbered_bills.first_decided_date,
        rank() over (
            partition by later.tenant_id, later.bill_id
            order by
                case when numbered_bills.payer_id = named_numbers.payer_id then 0 else 1 end,
                case when numbered_bills.is_original then 0 else 1 end
        ) as choice
    from named_numbers
    inner join bills as later
        on named_numbers.tenant_id = later.tenant_id
        and named_numbers.bill_id = later.bill_id
    inner join numbered_bills
        on named_numbers.tenant_id = numbered_bills.tenant_id
        and named_numbers.control_number = numbered_bills.control_number
        and named_numbers.bill_id <> numbered_bills.bill_id
    inner join bills as earlier
        on numbered_bills.tenant_id = earlier.tenant_id
        and numbered_bills.bill_id = earlier.bill_id
        and coalesce(earlier.first_submitted_at <= later.first_submitted_at, true)
    where not {{ contradicts('later', 'earlier', 'patient_id') }}
        and not {{ contradicts('later', 'earlier', 'patient_match_token') }}
        and (numbered_bills.payer_id = named_numbers.payer_id or not {{ contradicts('later', 'earlier', 'issuer') }})
),

control_numbers as (
    select
        tenant_id,
        bill_id,
        {{ first_known('parent_bill_id', 'place') }} as parent_bill_id
    from (
        select
            tenant_id,
            bill_id,
            parent_bill_id,
            is_original,
            count(*) over (partition by tenant_id, bill_id) as parents,
            row_number() over (
                partition by tenant_id, bill_id order by min(first_decided_date), parent_bill_id
            ) as place
        from by_control_number
        where choice = 1
        group by tenant_id, bill_id, parent_bill_id, is_original
    ) as chosen
    group by tenant_id, bill_id
    having max(case when is_original then parents else 1 end) = 1
),

-- Claims that name another by its number.
by_other_number as (
    select
        later.tenant_id,
        later.bill_id,
        earlier.bill_id as parent_bill_id,
        rank() over (
            partition by later.tenant_id, later.bill_id
            order by
                case when earlier.is_original then 0 else 1 end,
                case when {{ days_apart('later', 'earlier') }} then 1 else 0 end
        ) as choice
    from (
        select tenant_id, bill_id, replaced_claim_id from replacements
        where replaced_claim_id is not null
        group by tenant_id, bill_id, replaced_claim_id
    ) as named
    inner join bills as later
        on named.tenant_id = later.tenant_id
        and named.bill_id = later.bill_id
        and not later.is_original
    inner join bills as earlier
        on named.tenant_id = earlier.tenant_id
        and named.replaced_claim_id = earlier.claim_number
        and later.bill_id <> earlier.bill_id
        and not earlier.is_charge
    where not {{ contradicts('later', 'earlier', 'patient_id') }}
),

other_numbers as (
    select tenant_id, bill_id, min(parent_bill_id) as parent_bill_id
    from by_other_number
    where choice = 1
    group by tenant_id, bill_id
    having count(*) = 1
),

ways as (
    select tenant_id, bill_id, parent_bill_id, 'payer_control_number' as link_method, 1 as preference
    from control_numbers
    union all
    select tenant_id, bill_id, parent_bill_id, 'replaced_claim', 2
    from other_numbers
    union all
    select tenant_id, bill_id, parent_bill_id, case when is_charge then 'charge' else 'claim_number' end, 3
    from own_numbers
    where place = 1 and originals <= 1
    union all
    select tenant_id, bill_id, parent_bill_id, 'told_twice', 3
    from told_twice
    union all
    select tenant_id, bill_id, parent_bill_id, 'sent_again', 3
    from sent_again
),

linked as (
    select *, row_number() over (partition by tenant_id, bill_id order by preference, parent_bill_id) as choice
    from ways
),

-- Charges of one patient that belong to no submission of their number are one claim.
alone as (
    select
        bills.tenant_id,
        bills.bill_id,
        min(bills.bill_id) over (
            partition by bills.tenant_id, bills.claim_number, coalesce(bills.patient_id, '')
        ) as parent_bill_id
    from bills
    left join (select * from linked where choice = 1) as linked
        on bills.tenant_id = linked.tenant_id
        and bills.bill_id = linked.bill_id
    where bills.is_charge and bills.charge_day is not null and linked.bill_id is null
)

select tenant_id, bill_id, parent_bill_id, link_method
from linked
where choice = 1
union all
select tenant_id, bill_id, parent_bill_id, 'charge'
from alone
where bill_id <> parent_bill_id
order by 1, 2
