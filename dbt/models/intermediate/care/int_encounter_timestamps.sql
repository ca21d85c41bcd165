{# A time of which only the day is known says nothing of a wait. Within a feed a visit begins with the first event of a kind and ends with the last: a patient may be roomed twice. #}
with by_feed as (
    select
        event.tenant_id,
        {{ current_id('event', 'encounter') }} as encounter_id,
        row_number() over (
            partition by event.tenant_id, {{ current_id('event', 'encounter') }}
            order by coalesce(min(ranking.precedence), 999), event.source_system
        ) as feed_rank,
        min(case when event.event_type = 'check_in' then event.occurred_exact_at end) as checked_in_at,
        min(case when event.event_type = 'roomed' then event.occurred_exact_at end) as roomed_at,
        min(case when event.event_type = 'provider_in' then event.occurred_exact_at end) as provider_in_at,
        max(case when event.event_type = 'provider_out' then event.occurred_exact_at end) as provider_out_at,
        max(case when event.event_type = 'room_out' then event.occurred_exact_at end) as room_out_at,
        max(case when event.event_type = 'check_out' then event.occurred_exact_at end) as checked_out_at,
        min(case when event.event_type = 'decision_to_admit' then event.occurred_exact_at end) as admit_decided_at
    from {{ ref('stg_encounter_events') }} as event
    left join {{ ref('stg_system_of_record') }} as ranking
        on event.tenant_id = ranking.tenant_id
        and event.source_system = ranking.source_system
        and ranking.entity = 'encounter_event'
    {{ crosswalk_joins('event', ['encounter']) | indent(4) }}
    where event.event_type <> 'class_change'
        and event.occurred_exact_at is not null
    group by event.tenant_id, {{ current_id('event', 'encounter') }}, event.source_system
)

select
    tenant_id,
    encounter_id,
    {{ first_known('checked_in_at', 'feed_rank') }} as checked_in_at,
    {{ first_known('roomed_at', 'feed_rank') }} as roomed_at,
    {{ first_known('provider_in_at', 'feed_rank') }} as provider_in_at,
    {{ first_known('provider_out_at', 'feed_rank') }} as provider_out_at,
    {{ first_known('room_out_at', 'feed_rank') }} as room_out_at,
    {{ first_known('checked_out_at', 'feed_rank') }} as checked_out_at,
    {{ first_known('admit_decided_at', 'feed_rank') }} as admit_decided_at
from by_feed
group by tenant_id, encounter_id
