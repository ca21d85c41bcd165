-- CM-PLAUS-003: payments that name a number which several claims share, where nothing tells which claim is meant.
-- CM-PLAUS-007: payments for claims that no feed has brought, from one in a hundred of the feed's answers or money on.
with answers as (
    select
        tenant_id,
        source_system,
        source_position,
        coalesce(service_from_date, adjudicated_date) as service_date,
        payer_paid_amount,
        is_matched,
        match_method = 'ambiguous' as is_ambiguous
    from {{ ref('int_remittance_claims') }}
    where is_counted
),

feeds as (
    select
        tenant_id,
        source_system,
        count(*) as answers,
        count(case when not is_matched and not is_ambiguous then 1 end) as unmatched,
        sum(abs(payer_paid_amount)) as paid_amount,
        sum(case when not is_matched and not is_ambiguous then abs(payer_paid_amount) else 0 end) as unmatched_amount
    from answers
    group by tenant_id, source_system
)

select
    answers.tenant_id,
    case when answers.is_ambiguous then 'CM-PLAUS-003' else 'CM-PLAUS-007' end as code,
    answers.source_system as feed,
    '' as other_feed,
    'remittance_claim' as entity,
    answers.source_position,
    answers.service_date as found_day,
    1 as found_rows,
    answers.payer_paid_amount as found_amount
from answers
inner join feeds
    on answers.tenant_id = feeds.tenant_id
    and answers.source_system = feeds.source_system
where
    answers.is_ambiguous
    or not answers.is_matched and ({{ is_material('feeds.unmatched', 'feeds.answers') }}
        or {{ is_material('feeds.unmatched_amount', 'feeds.paid_amount') }})
