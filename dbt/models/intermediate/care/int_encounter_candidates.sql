with numbered as (
    {{ ranked_feeds(ref('stg_encounters'), 'encounter') | indent(4) }}
),

-- Tenants with one feed of encounters end here. A bit stands for a feed; the 63rd and further feeds match nothing.
feeds as (
    select tenant_id, source_system, feed_number, cast(1 as bigint) << cast(feed_number - 1 as integer) as feed_bit
    from numbered
    where feeds > 1 and feed_number <= 62
),

-- A part of a visit is no visit that another feed could know.
known as (
    select
        encounters.tenant_id,
        encounters.encounter_id,
        cast(sum(feeds.feed_bit) as bigint) as feed_bits,
        min(feeds.feed_number) as feed_number,
        {{ first_known(current_id('encounters', 'patient'), 'feeds.feed_number') }} as patient_id
    from {{ ref('stg_encounters') }} as encounters
    inner join feeds
        on encounters.tenant_id = feeds.tenant_id
        and encounters.source_system = feeds.source_system
    {{ crosswalk_joins('encounters', ['patient']) | indent(4) }}
    left join {{ ref('int_encounter_parts') }} as parts
        on encounters.tenant_id = parts.tenant_id
        and encounters.encounter_id = parts.encounter_id
    where parts.encounter_id is null
    group by encounters.tenant_id, encounters.encounter_id
),

-- A visit can only be one that the same patient, or nobody named, has in feeds of which none knows the visit itself.
-- Where every visit is known to the same feeds, or to feeds of which one knows all, there is nothing to look for.
people as (
    select tenant_id, patient_id, feed_bits from known group by tenant_id, patient_id, feed_bits
),

nobody as (
    select tenant_id, feed_bits from people where patient_id is null
),

open_people as (
    select one.tenant_id, one.patient_id, one.feed_bits
    from people as one
    inner join people as other
        on one.tenant_id = other.tenant_id
        and one.patient_id = other.patient_id
    where (one.feed_bits & other.feed_bits) = 0
    union
    select people.tenant_id, people.patient_id, people.feed_bits
    from people
    inner join nobody
        on people.tenant_id = nobody.tenant_id
    where (people.feed_bits & nobody.feed_bits) = 0
    union
    select nobody.tenant_id, null, nobody.feed_bits
    from nobody
    inner join people
        on nobody.tenant_id = people.tenant_id
    where (people.feed_bits & nobody.feed_bits) = 0
),

candidates as (
    select known.*
    from known
    inner join open_people
        on known.tenant_id = open_people.tenant_id
        and known.feed_bits = open_people.feed_bits
        and coalesce(known.patient_id, '') = coalesce(open_people.patient_id, '')
)

select
    candidates.tenant_id,
    candidates.encounter_id,
    candidates.feed_bits,
    candidates.feed_number,
    candidates.patient_id,
    {{ first_known('encounters.appointment_id', 'feeds.feed_number') }} as appointment_id,
    {{ first_known('encounters.service_unit_id', 'feeds.feed_number') }} as service_unit_id,
    {{ first_known('encounters.status', 'feeds.feed_number') }} as status,
    {{ first_known('encounters.started_at', 'feeds.feed_number') }} as started_at,
    {{ first_known('coalesce(encounters.ended_at, encounters.started_at)', 'feeds.feed_number') }} as ended_at,
    {{ first_known('encounters.encounter_class', 'feeds.feed_number') }} as encounter_class
from candidates
inner join {{ ref('stg_encounters') }} as encounters
    on candidates.tenant_id = encounters.tenant_id
    and candidates.encounter_id = encounters.encounter_id
inner join feeds
    on encounters.tenant_id = feeds.tenant_id
    and encounters.source_system = feeds.source_system
group by
    candidates.tenant_id,
    candidates.encounter_id,
    candidates.feed_bits,
    candidates.feed_number,
    candidates.patient_id
