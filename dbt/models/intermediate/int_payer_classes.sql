-- The history of classes comes whole from one feed: the record, else the next that classes the payer at all.
with rekeyed as (
    select
        payers.tenant_id,
        payers.source_system,
        coalesce(crosswalk.current_payer_id, payers.payer_id) as payer_id,
        payers.effective_from,
        payers.name,
        payers.payer_class,
        payers.electronic_payer_id,
        case when payers.payer_class = 'unmapped' then 1 else 0 end as is_unmapped,
        case when crosswalk.current_payer_id is null then 0 else 1 end as is_alias,
        coalesce(ranking.precedence, 999) as precedence,
        payers.source_updated_at
    from {{ ref('stg_payers') }} as payers
    left join {{ ref('int_payer_crosswalk') }} as crosswalk
        on payers.tenant_id = crosswalk.tenant_id
        and payers.payer_id = crosswalk.payer_id
    left join {{ ref('stg_system_of_record') }} as ranking
        on payers.tenant_id = ranking.tenant_id
        and payers.source_system = ranking.source_system
        and ranking.entity = 'payer'
),

feeds as (
    select
        tenant_id,
        payer_id,
        source_system,
        row_number() over (
            partition by tenant_id, payer_id
            order by min(is_unmapped), min(precedence), source_system
        ) as choice
    from rekeyed
    group by tenant_id, payer_id, source_system
),

history as (
    select
        rekeyed.*,
        row_number() over (
            partition by rekeyed.tenant_id, rekeyed.payer_id, rekeyed.effective_from
            order by rekeyed.is_alias, rekeyed.source_updated_at desc, rekeyed.payer_class
        ) as choice
    from rekeyed
    inner join feeds
        on rekeyed.tenant_id = feeds.tenant_id
        and rekeyed.payer_id = feeds.payer_id
        and rekeyed.source_system = feeds.source_system
        and feeds.choice = 1
)

-- No gaps: the first class also holds before its start and a class holds until the next one starts.
select
    tenant_id,
    payer_id,
    case
        when lag(effective_from) over (partition by tenant_id, payer_id order by effective_from) is null
            then cast('0001-01-01' as date)
        else effective_from
    end as valid_from,
    coalesce(
        {{ add_days('lead(effective_from) over (partition by tenant_id, payer_id order by effective_from)', -1) }},
        cast('9999-12-31' as date)
    ) as valid_to,
    name,
    payer_class,
    electronic_payer_id
from history
where choice = 1
order by 1, 2, 3
