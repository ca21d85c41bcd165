-- CM-PLAUS-010: claims of payers without a class, from one in a hundred of the feed's claims or money on. Claims that name no payer
-- are none of these.
with claims as (
    select
        tenant_id,
        source_system,
        source_position,
        service_date,
        billed_amount,
        case when payer_class = 'unmapped' and payer_id <> 'unknown' then 1 else 0 end as is_unmapped
    from {{ ref('fct_claims') }}
    where source_system is not null
),

feeds as (
    select
        tenant_id,
        source_system,
        count(*) as all_claims,
        sum(is_unmapped) as unmapped_claims,
        sum(abs(billed_amount)) as all_amount,
        sum(is_unmapped * abs(billed_amount)) as unmapped_amount
    from claims
    group by tenant_id, source_system
)

select
    claims.tenant_id,
    'CM-PLAUS-010' as code,
    claims.source_system as feed,
    '' as other_feed,
    'payer' as entity,
    claims.source_position,
    claims.service_date as found_day,
    1 as found_rows,
    claims.billed_amount as found_amount
from claims
inner join feeds
    on claims.tenant_id = feeds.tenant_id
    and claims.source_system = feeds.source_system
where
    claims.is_unmapped = 1
    and ({{ is_material('feeds.unmapped_claims', 'feeds.all_claims') }}
        or {{ is_material('feeds.unmapped_amount', 'feeds.all_amount') }})
