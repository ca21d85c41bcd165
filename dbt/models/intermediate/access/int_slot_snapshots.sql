{# Snapshots are the longest table of a tenant, so slots of one feed, the common case, pass without being compared. #}
with feeds as (
    select
        feed.tenant_id,
        feed.source_system,
        row_number() over (
            partition by feed.tenant_id order by coalesce(ranking.precedence, 999), feed.source_system
        ) as feed_rank
    from (select distinct tenant_id, source_system from {{ ref('stg_slots') }}) as feed
    left join {{ ref('stg_system_of_record') }} as ranking
        on feed.tenant_id = ranking.tenant_id
        and feed.source_system = ranking.source_system
        and ranking.entity = 'slot'
),

ranked as (
    select slot.*, feed.feed_rank
    from {{ ref('stg_slots') }} as slot
    inner join feeds as feed
        on slot.tenant_id = feed.tenant_id
        and slot.source_system = feed.source_system
),

-- The best feed's row of a slot that any lesser feed knows too.
shared as (
    select
        lesser.tenant_id,
        lesser.slot_id,
        lesser.snapshot_date,
        min(ranked.feed_rank) as best_rank
    from (
        select distinct tenant_id, slot_id, snapshot_date from ranked where feed_rank > 1
    ) as lesser
    inner join ranked
        on lesser.tenant_id = ranked.tenant_id
        and lesser.slot_id = ranked.slot_id
        and lesser.snapshot_date = ranked.snapshot_date
    group by lesser.tenant_id, lesser.slot_id, lesser.snapshot_date
),

slots as (
    select
        ranked.tenant_id,
        ranked.slot_id,
        unit.service_unit_id,
        coalesce(provider.current_provider_id, ranked.provider_id, 'unknown') as provider_id,
        coalesce(ranked.visit_type_id, 'unknown') as visit_type_id,
        ranked.status,
        ranked.source_system,
        {{ minutes_between('ranked.start_at', 'ranked.end_at') }} as slot_minutes,
        ranked.snapshot_date,
        {{ local_timestamp('ranked.start_at', 'unit.time_zone') }} as local_start_at,
        ranked.start_at
    from ranked
    inner join {{ ref('int_service_units') }} as unit
        on ranked.tenant_id = unit.tenant_id
        and coalesce(ranked.service_unit_id, 'unknown') = unit.service_unit_id
    left join {{ ref('int_provider_crosswalk') }} as provider
        on ranked.tenant_id = provider.tenant_id
        and ranked.provider_id = provider.provider_id
    left join shared
        on ranked.tenant_id = shared.tenant_id
        and ranked.slot_id = shared.slot_id
        and ranked.snapshot_date = shared.snapshot_date
    where ranked.feed_rank = coalesce(shared.best_rank, ranked.feed_rank)
)

select
    *,
    cast(local_start_at as date) as slot_date
from slots
