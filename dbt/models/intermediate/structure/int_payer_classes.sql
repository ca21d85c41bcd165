-- The history of classes comes whole from one feed: the record, else the next that classes the payer at all. Where that
-- feed dates nothing, the classes it was seen to give on other days stand beside the one it gives now.
with dated as (
    select tenant_id, source_system, payer_id, effective_from, name, payer_class, electronic_payer_id, source_updated_at
    from {{ ref('stg_payers') }}
),

undated as (
    select tenant_id, source_system, payer_id, name, payer_class, electronic_payer_id, source_updated_at
    from (
        select dated.*, count(*) over (partition by tenant_id, source_system, payer_id) as rows_of_payer from dated
    ) as counted
    where rows_of_payer = 1 and effective_from = cast('1900-01-01' as date)
),

seen as (
    select
        undated.tenant_id,
        undated.source_system,
        undated.payer_id,
        changes.effective_from,
        undated.name,
        case
            when row_number() over (
                partition by undated.tenant_id, undated.source_system, undated.payer_id
                order by changes.effective_from desc
            ) = 1 then undated.payer_class
            else changes.payer_class
        end as payer_class,
        undated.electronic_payer_id,
        undated.source_updated_at
    from undated
    inner join {{ ref('int_structure_changes') }} as changes
        on undated.tenant_id = changes.tenant_id
        and undated.payer_id = changes.identifier
        and undated.source_system = changes.source_system
        and changes.entity = 'payer'
),

payers as (
    select tenant_id, source_system, payer_id, effective_from, name, payer_class, electronic_payer_id, source_updated_at
    from seen
    union all
    select dated.tenant_id, dated.source_system, dated.payer_id, dated.effective_from, dated.name, dated.payer_class,
        dated.electronic_payer_id, dated.source_updated_at
    from dated
    left join (select distinct tenant_id, source_system, payer_id from seen) as known
        on dated.tenant_id = known.tenant_id
        and dated.source_system = known.source_system
        and dated.payer_id = known.payer_id
    where known.payer_id is null
),

rekeyed as (
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
    from payers
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
