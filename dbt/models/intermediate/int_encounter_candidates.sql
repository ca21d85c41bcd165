with fed as (
    select tenant_id, source_system from {{ ref('stg_encounters') }} group by tenant_id, source_system
),

numbered as (
    select
        fed.tenant_id,
        fed.source_system,
        row_number() over (
            partition by fed.tenant_id order by coalesce(ranking.precedence, 999), fed.source_system
        ) as feed_number,
        count(*) over (partition by fed.tenant_id) as feeds
    from fed
    left join {{ ref('stg_system_of_record') }} as ranking
        on fed.tenant_id = ranking.tenant_id
        and fed.source_system = ranking.source_system
        and ranking.entity = 'encounter'
),

-- Tenants with one feed of encounters end here. A bit stands for a feed; the 63rd and further feeds match nothing.
feeds as (
    select tenant_id, source_system, feed_number, cast(1 as bigint) << cast(feed_number - 1 as integer) as feed_bit
    from numbered
    where feeds > 1 and feed_number <= 62
),

known as (
    select
        encounters.tenant_id,
        encounters.encounter_id,
        cast(sum(feeds.feed_bit) as bigint) as feed_bits,
        min(feeds.feed_number) as feed_number
    from {{ ref('stg_encounters') }} as encounters
    inner join feeds
        on encounters.tenant_id = feeds.tenant_id
        and encounters.source_system = feeds.source_system
    group by encounters.tenant_id, encounters.encounter_id
),

-- Where every visit is known to the same feeds, or to feeds of which one knows all, there is nothing to look for.
sets as (
    select tenant_id, feed_bits from known group by tenant_id, feed_bits
),

open_sets as (
    select one.tenant_id, one.feed_bits
    from sets as one
    inner join sets as other
        on one.tenant_id = other.tenant_id
        and (one.feed_bits & other.feed_bits) = 0
    group by one.tenant_id, one.feed_bits
)

select
    known.tenant_id,
    known.encounter_id,
    known.feed_bits,
    known.feed_number,
    {{ first_known(current_id('encounters', 'patient'), 'feeds.feed_number') }} as patient_id,
    {{ first_known('encounters.appointment_id', 'feeds.feed_number') }} as appointment_id,
    {{ first_known('encounters.service_unit_id', 'feeds.feed_number') }} as service_unit_id,
    {{ first_known('encounters.status', 'feeds.feed_number') }} as status,
    {{ first_known('encounters.started_at', 'feeds.feed_number') }} as started_at,
    {{ first_known('coalesce(encounters.ended_at, encounters.started_at)', 'feeds.feed_number') }} as ended_at,
    {{ first_known('encounters.encounter_class', 'feeds.feed_number') }} as encounter_class
from known
inner join open_sets
    on known.tenant_id = open_sets.tenant_id
    and known.feed_bits = open_sets.feed_bits
inner join {{ ref('stg_encounters') }} as encounters
    on known.tenant_id = encounters.tenant_id
    and known.encounter_id = encounters.encounter_id
inner join feeds
    on encounters.tenant_id = feeds.tenant_id
    and encounters.source_system = feeds.source_system
{{ crosswalk_joins('encounters', ['patient']) }}
group by known.tenant_id, known.encounter_id, known.feed_bits, known.feed_number
