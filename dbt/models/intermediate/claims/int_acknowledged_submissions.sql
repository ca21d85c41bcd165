-- Control numbers come round: of the submissions that bear them, those sent in the 45 days before the answer are meant,
-- first among those of the sender it is addressed to, and of transactions the latest. Numbers lose their leading zeros
-- on the way through some systems.
{%- set keys = {
    'interchange': "ltrim(interchange_control_number, '0')",
    'group': "ltrim(group_control_number, '0')",
    'transaction': "ltrim(group_control_number, '0') || '/' || ltrim(transaction_control_number, '0')",
} %}
with collapsed as (
    {{ collapse(ref('stg_acknowledgements'), 'acknowledgement', 'acknowledgement_id',
        ['level', 'transaction_kind', 'interchange_control_number', 'group_control_number',
         'transaction_control_number', 'receiver_code', 'outcome_code', 'is_accepted', 'error_codes', 'reported_at']) }}
),

answers as (
    select
        tenant_id,
        acknowledgement_id,
        level,
        outcome_code,
        error_codes,
        -- A group taken on in part names the transactions that were not; the others were.
        coalesce(is_accepted, case when level = 'group' and outcome_code = 'P' then true end) as is_accepted,
        receiver_code,
        coalesce(reported_at, source_updated_at) as reported_at,
        case level {%- for level, key in keys.items() %} when '{{ level }}' then {{ key }} {%- endfor %} end as control_key,
        source_system,
        source_record_id,
        source_position
    from collapsed
    where level <> 'transaction' or transaction_kind = '837'
),

submissions as (
    {%- for level, key in keys.items() %}
    {%- if not loop.first %}
    union all
    {%- endif %}
    select
        tenant_id,
        '{{ level }}' as level,
        {{ key }} as control_key,
        source_system,
        claim_submission_id,
        sender_code,
        submitted_at
    from {{ ref('stg_claims') }}
    where group_control_number is not null
    {%- endfor %}
),

ranked as (
    select
        answers.tenant_id,
        answers.acknowledgement_id,
        submissions.source_system as claim_source_system,
        submissions.claim_submission_id,
        coalesce(submissions.sender_code = answers.receiver_code, false) as is_addressed,
        rank() over (
            partition by answers.tenant_id, answers.acknowledgement_id
            order by
                case when submissions.sender_code = answers.receiver_code then 0 else 1 end,
                case when answers.level = 'transaction' then submissions.submitted_at end desc
        ) as choice
    from answers
    inner join submissions
        on answers.tenant_id = submissions.tenant_id
        and answers.level = submissions.level
        and answers.control_key = submissions.control_key
        and submissions.submitted_at <= answers.reported_at
        and submissions.submitted_at > answers.reported_at - interval '45 days'
),

-- What is said of the transaction itself goes before what is said of its group; an interchange taken on says nothing yet.
by_itself as (
    select ranked.tenant_id, ranked.claim_source_system, ranked.claim_submission_id
    from ranked
    inner join answers
        on ranked.tenant_id = answers.tenant_id
        and ranked.acknowledgement_id = answers.acknowledgement_id
        and answers.level = 'transaction'
    where ranked.choice = 1
    group by ranked.tenant_id, ranked.claim_source_system, ranked.claim_submission_id
)

select
    answers.tenant_id,
    answers.acknowledgement_id,
    answers.level,
    ranked.claim_source_system,
    ranked.claim_submission_id,
    claims.claim_id,
    case
        when ranked.claim_submission_id is null then 'none'
        when ranked.is_addressed then 'control_numbers_and_sender'
        else 'control_numbers'
    end as match_method,
    answers.outcome_code,
    answers.error_codes,
    answers.is_accepted,
    answers.reported_at,
    answers.source_system,
    answers.source_record_id,
    answers.source_position
from answers
left join ranked
    on answers.tenant_id = ranked.tenant_id
    and answers.acknowledgement_id = ranked.acknowledgement_id
    and ranked.choice = 1
left join {{ ref('int_claim_submissions') }} as claims
    on ranked.tenant_id = claims.tenant_id
    and ranked.claim_source_system = claims.source_system
    and ranked.claim_submission_id = claims.claim_submission_id
left join by_itself
    on ranked.tenant_id = by_itself.tenant_id
    and ranked.claim_source_system = by_itself.claim_source_system
    and ranked.claim_submission_id = by_itself.claim_submission_id
where answers.level = 'transaction'
    or (by_itself.claim_submission_id is null and (answers.level = 'group' or answers.is_accepted is distinct from true))
order by answers.tenant_id, claims.claim_id
